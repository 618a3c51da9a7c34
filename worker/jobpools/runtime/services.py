"""The open services of a worker: opened when it starts, closed in reverse order when it stops."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar, cast

from jobpools.errors import ConfigurationError
from jobpools.runtime import outcomes
from jobpools.runtime.stopping import Stopped
from jobpools.service import Service

log = logging.getLogger("jobpools.worker")
T = TypeVar("T")


class Services:
    """The open services of one worker."""

    __slots__ = ("_open", "_stack", "is_blocking")

    def __init__(self) -> None:
        self.is_blocking = False
        """Whether a plain generator function is opening its service now, which blocks the event loop."""
        self._stack = AsyncExitStack()
        self._open: dict[Service[Any], Any] = {}

    async def start(self, services: Sequence[Service[Any]]) -> None:
        """Open all services in the order of their declaration. If one fails, close the others.

        Raises:
            ConfigurationError: A service does not open; the message is one line that names service, error and line.
        """
        try:
            for service in services:
                await self._enter(service)
        except BaseException:
            await self.stop()
            raise

    async def _enter(self, service: Service[Any]) -> None:
        try:
            manager = service.open()
            if hasattr(manager, "__aenter__"):
                self._open[service] = await self._stack.enter_async_context(manager)
            else:
                self.is_blocking = True
                try:
                    self._open[service] = self._stack.enter_context(manager)
                finally:
                    self.is_blocking = False
        except BaseException as error:  # code of the app may raise anything, and exit
            if isinstance(error, Stopped) or is_cancelled(error):
                raise
            log.debug("service %s", service.name, exc_info=True)
            text = outcomes.summary(error, service.file.__eq__)
            raise ConfigurationError(
                f"service {service.name} does not open: {text}; the worker does not start without it"
            ) from error

    async def stop(self) -> None:
        """Close all services in reverse order of opening."""
        self._open.clear()
        await self._stack.aclose()

    def get(self, service: Service[T]) -> T:
        """Return the opened object of a service. Raises ConfigurationError if the app did not declare the service."""
        try:
            return cast("T", self._open[service])
        except KeyError:
            raise ConfigurationError(f"service {service.name}: not open; declare it with @app.service") from None


def is_cancelled(error: BaseException) -> bool:
    """Return whether the worker was stopped meanwhile; a CancelledError that the service raised is a failure."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
