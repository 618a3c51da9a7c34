"""Exceptions whose own code raises or recurses when a worker describes them."""

from collections.abc import Callable
from typing import Any, cast


class _MutedMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class MuteClassError(Exception, metaclass=_MutedMeta):
    """Every attribute of its class raises."""


class ExitInTextError(Exception):
    """Its `__str__` raises SystemExit."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class RaisingAttributesError(Exception):
    """Every unknown attribute raises RuntimeError."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class RecursingAttributesError(Exception):
    """Every unknown attribute recurses without end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name)


class RaisingClassError(Exception):
    """Its `__class__`, which `isinstance` reads, raises KeyboardInterrupt."""

    @property  # type: ignore[misc]  # the subject
    def __class__(self) -> Any:
        raise KeyboardInterrupt("no class")


class NotesError(Exception):
    """Reading its notes raises SystemExit."""

    @property
    def __notes__(self) -> Any:  # type: ignore[override]  # the subject
        raise SystemExit(4)


class TraceError(Exception):
    """Reading its traceback, cause or context raises RuntimeError."""

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]  # the subject
        raise RuntimeError("no traceback")

    __cause__ = __context__ = __suppress_context__ = __traceback__  # type: ignore[assignment]  # the subject


class RaisingText(str):
    """Text whose every method raises."""

    __slots__ = ()

    def split(self, *_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("no split")

    __len__ = __getitem__ = __format__ = encode = split  # type: ignore[assignment]  # the subject


class OddTextError(Exception):
    """Its text is of a subclass of str and contains half of a surrogate pair."""

    def __str__(self) -> str:
        return RaisingText("odd \udce9")


def chained(length: int) -> BaseException:
    """Return an error with a long chain of causes."""
    error: BaseException = ValueError("the first")
    for number in range(length):
        following = ValueError(f"number {number}")
        following.__cause__ = error
        error = following
    return error


def circular() -> BaseException:
    """Return an error that is the cause of its own cause."""
    error, cause = ValueError("the end"), ValueError("the beginning")
    error.__cause__, cause.__cause__ = cause, error
    error.__context__, cause.__context__ = cause, error
    return error


def nested(depth: int) -> BaseException:
    """Return nested exception groups."""
    error: Exception = ValueError("the innermost")
    for _ in range(depth):
        error = ExceptionGroup("outer", [error])
    return error


def named(name: str) -> BaseException:
    """Return an error whose class has this name, and a module that is not a string."""
    kind = type("Error", (Exception,), {})
    kind.__qualname__ = name
    kind.__module__ = 7  # type: ignore[assignment]  # the subject
    return cast("BaseException", kind("said"))


HOSTILE: dict[str, Callable[[], BaseException]] = {
    "class": MuteClassError,
    "exit in text": ExitInTextError,
    "attributes raise": RaisingAttributesError,
    "attributes recurse": RecursingAttributesError,
    "class raises": RaisingClassError,
    "notes": NotesError,
    "trace": TraceError,
    "odd text": OddTextError,
    "chain": lambda: chained(3000),
    "circle": circular,
    "groups": lambda: nested(3000),
    "name": lambda: named("Two\nlines"),
    "huge": lambda: ValueError("x" * 50_000_000),
    "surrogate": lambda: ValueError("\ud800"),
    "syntax": lambda: SyntaxError("bad", ("f", 10**30, -5, "x" * 100, None, None)),
    "recursion": lambda: RecursionError("maximum"),
    "memory": MemoryError,
    "stop": StopIteration,
    "stop async": StopAsyncIteration,
    "generator exit": GeneratorExit,
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
}
"""By name: the function that creates the error."""
