"""Exceptions, results and arguments whose own code raises, recurses or lies: what a worker must survive describing."""

from collections.abc import Callable
from typing import Any, cast


class _MutedMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class MuteClassError(Exception, metaclass=_MutedMeta):
    """Not even its class answers."""


class ExitInTextError(Exception):
    """Asked for its text, it leaves."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class RaisingAttributesError(Exception):
    """It has no attribute that may be asked for."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class RecursingAttributesError(Exception):
    """Every attribute leads to itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name)


class LyingClassError(Exception):
    """`isinstance` asks for `__class__`."""

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


class Text(str):
    """Text whose every method raises."""

    __slots__ = ()

    def split(self, *_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("no split")

    __len__ = __getitem__ = __format__ = encode = split  # type: ignore[assignment]  # the subject


class OddTextError(Exception):
    """Its text is of a class of its own, and half a character."""

    def __str__(self) -> str:
        return Text("odd \udce9")


def chained(length: int) -> BaseException:
    """An error with a long chain of causes."""
    error: BaseException = ValueError("the first")
    for number in range(length):
        following = ValueError(f"number {number}")
        following.__cause__ = error
        error = following
    return error


def circular() -> BaseException:
    """An error that is the cause of its cause."""
    error, cause = ValueError("the end"), ValueError("the beginning")
    error.__cause__, cause.__cause__ = cause, error
    error.__context__, cause.__context__ = cause, error
    return error


def nested(depth: int) -> BaseException:
    """A group in a group in a group."""
    error: Exception = ValueError("the innermost")
    for _ in range(depth):
        error = ExceptionGroup("outer", [error])
    return error


def named(name: str) -> BaseException:
    """An error whose class has a name of two lines."""
    kind = type("Error", (Exception,), {})
    kind.__qualname__ = name
    kind.__module__ = 7  # type: ignore[assignment]  # the subject
    return cast("BaseException", kind("said"))


HOSTILE: dict[str, Callable[[], BaseException]] = {
    "class": MuteClassError,
    "exit in text": ExitInTextError,
    "attributes raise": RaisingAttributesError,
    "attributes recurse": RecursingAttributesError,
    "lying class": LyingClassError,
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
"""By a name for each: what makes the error."""
