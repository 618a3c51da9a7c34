"""A service: what the worker opens once and handlers share, such as a connection pool, a client or a model."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar

from jobpools.errors import ConfigurationError

T = TypeVar("T")


class Service(Generic[T]):
    """A named generator function that yields the thing itself once; `ctx.service(it)` gives the thing to a handler."""

    __slots__ = ("file", "name", "open")

    def __init__(self, function: Callable[[], AsyncIterator[T] | Iterator[T]]) -> None:
        """Raises ConfigurationError when it is not a generator function."""
        self.name: str = getattr(function, "__name__", repr(function))
        self.open: Callable[[], Any]
        if inspect.isasyncgenfunction(function):
            self.open = asynccontextmanager(function)
        elif inspect.isgeneratorfunction(function):
            self.open = contextmanager(function)
        else:
            raise ConfigurationError(f"service {self.name}: write a function that yields the service once")
        code = getattr(inspect.unwrap(function), "__code__", None)
        self.file: str = code.co_filename if code is not None else ""
