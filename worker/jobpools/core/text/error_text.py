"""The type and the message of an exception as text. No function here raises, whatever the exception's code does."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

T = TypeVar("T")
NAME_LIMIT = 200
"""Maximum characters of an error type."""
READ_LIMIT = 20_000
"""Maximum characters of an exception's text that are read."""
GROUP_DEPTH = 20
"""Maximum levels of nested exception groups that are searched for the first error."""

# A metaclass may override these attributes; the descriptors of `type` and BaseException cannot be overridden.
_MODULE = type.__dict__["__module__"].__get__
_QUALNAME = type.__dict__["__qualname__"].__get__
_MRO = type.__dict__["__mro__"].__get__
_TRACEBACK = BaseException.__dict__["__traceback__"].__get__
_EXCEPTIONS: Callable[[Any], tuple[Any, ...]] = BaseExceptionGroup.exceptions.__get__


def safely(describe: Callable[[], T], fallback: T) -> T:
    """Return what `describe` returns, or `fallback` when it raises anything at all."""
    try:
        return describe()
    except BaseException:  # noqa: BLE001  # code of an exception: even its SystemExit must not escape
        return fallback


def one_line(text: str, limit: int) -> str:
    """Return the text in one line, as a plain `str` of at most `limit` characters."""
    plain = str.__str__(text)  # a subclass of str may override every method
    return " ".join(plain[:READ_LIMIT].split())[:limit]


def qualified_name(kind: type[BaseException]) -> str:
    """Return `module.Class`, which distinguishes `builtins.ConnectionError` from that of `requests`."""
    module = safely(lambda: one_line(_MODULE(kind), NAME_LIMIT), "unknown")
    return f"{module}.{bare_name(kind)}"


def bare_name(kind: type[BaseException]) -> str:
    """Return the name of the class without its module."""
    return safely(lambda: one_line(_QUALNAME(kind), NAME_LIMIT), "exception without a name")


def error_type(error: BaseException) -> str:
    """Return the name of an error's class as messages show it: `ValueError`, `httpx.ConnectError`."""
    return display_name(qualified_name(type(error)))


def display_name(name: str) -> str:
    """Return a qualified name without `builtins.`: `ValueError`, and `httpx.ConnectError`."""
    return name.removeprefix("builtins.")


def ancestors(kind: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Return the class and the exception classes it derives from."""
    return safely(lambda: tuple(one for one in _MRO(kind) if issubclass(one, BaseException)), (BaseException,))


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the exception's traceback."""
    found: TracebackType | None = _TRACEBACK(error)
    return found


def first_line(source: BaseException | str) -> str:
    """Return the first line of a text or of an error's message; an error without a message gives its class."""
    text = source if isinstance(source, str) else safely(lambda: str(source), "")
    line = text.partition("\n")[0].rstrip("\r")
    return line if line or isinstance(source, str) else bare_name(type(source))


def error_message(error: BaseException) -> str:
    """Return an exception's message in one line; for an exception group, with the first error in it."""
    try:
        text = one_line(str(error), READ_LIMIT)
    except BaseException as raised:  # noqa: BLE001  # user code: the job must still be settled
        return f"no message: its __str__ raised {bare_name(type(raised))}"
    first = safely(lambda: _first(error), None)
    if first is None:
        return text
    return f"{text}: {error_type(first)}: {error_message(first)}"


def _first(error: BaseException) -> BaseException | None:
    """Return the first error in a group that is not a group itself; None for a plain exception."""
    found: Any = error
    for _ in range(GROUP_DEPTH):
        kind = cast("type[BaseException]", type(found))
        if not issubclass(kind, BaseExceptionGroup):
            return None if found is error else found
        found = _EXCEPTIONS(found)[0]
    return None
