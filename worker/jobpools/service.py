"""A service: an object that a worker opens once and handlers share, such as a connection pool or a model."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar

from jobpools.errors import ConfigurationError

T = TypeVar("T")


class Service(Generic[T]):
    """A declared service: the result of `@app.service`. A handler gets its object with `ctx.service(…)`.

    Raises:
        ConfigurationError: The function is not a generator function.
    """

    __slots__ = ("file", "name", "open")

    def __init__(self, function: Callable[[], AsyncIterator[T] | Iterator[T]]) -> None:
        self.name: str = getattr(function, "__name__", repr(function))
        self.open: Callable[[], Any]
        """Returns a context manager, async or plain, whose value is the object."""
        if inspect.isasyncgenfunction(function):
            self.open = asynccontextmanager(function)
        elif inspect.isgeneratorfunction(function):
            self.open = contextmanager(function)
        else:
            raise ConfigurationError(f"service {self.name}: not a generator function; yield the object once")
        code = getattr(inspect.unwrap(function), "__code__", None)
        self.file: str = code.co_filename if code is not None else ""
        """File that defines the function; empty: unknown."""
