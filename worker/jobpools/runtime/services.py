"""What handlers share and the worker opens once: connection pools, clients, models. Closed when it goes."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar, cast

from jobpools.errors import ConfigurationError

T = TypeVar("T")


class Service(Generic[T]):
    """A named generator function that yields the thing itself once; `ctx.service(it)` gives the thing to a handler."""

    __slots__ = ("name", "open")

    def __init__(self, function: Callable[[], AsyncIterator[T] | Iterator[T]]) -> None:
        """Raises ConfigurationError when it is not a generator function."""
        self.name: str = function.__name__
        self.open: Callable[[], Any]
        if inspect.isasyncgenfunction(function):
            self.open = asynccontextmanager(function)
        elif inspect.isgeneratorfunction(function):
            self.open = contextmanager(function)
        else:
            raise ConfigurationError(f"service {self.name}: write a function that yields the service once")


class Services:
    """The open services of one worker."""

    __slots__ = ("_open", "_stack")

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._open: dict[Service[Any], Any] = {}

    async def start(self, services: Sequence[Service[Any]]) -> None:
        """Open all, in the order in which they were declared; what opened is closed again when one fails."""
        try:
            for service in services:
                manager = service.open()
                if hasattr(manager, "__aenter__"):
                    self._open[service] = await self._stack.enter_async_context(manager)
                else:
                    self._open[service] = self._stack.enter_context(manager)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close all, the last opened first."""
        self._open.clear()
        await self._stack.aclose()

    def get(self, service: Service[T]) -> T:
        """The open thing. Raises ConfigurationError when the worker's app does not have it."""
        try:
            return cast("T", self._open[service])
        except KeyError:
            raise ConfigurationError(f"service {service.name} is not open: declare it with @app.service") from None
