"""Translate errors of the Redis client into StoreErrors, by the code with which the server refuses a command."""

import contextlib
import os
import re
from collections.abc import Generator

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ClusterError,
    ConnectionError as RedisConnectionError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError as RedisTimeoutError,
    TryAgainError,
)

from jobpools.core.text.error_text import first_line
from jobpools.errors import StoreAuthError, StoreDataError, StoreError, StoreUnavailableError

FOREIGN = (RedisError, RedisClusterException, OSError)
"""What the client raises: the cluster's own errors are not RedisErrors."""

_LOGIN = "check user and password in the URL, and the user's ACL"
_OTHER_TYPE = "is something else using its name?"

CODES: dict[str, tuple[type[StoreError], str, str]] = {
    "READONLY": (StoreUnavailableError, "is a read-only replica", "writes go to the primary"),
    "LOADING": (StoreUnavailableError, "is loading its data", "it answers when it is done"),
    "BUSY": (StoreUnavailableError, "is busy with a script", "end it with SCRIPT KILL if it does not end"),
    "OOM": (StoreUnavailableError, "out of memory", "raise maxmemory"),
    "MISCONF": (StoreUnavailableError, "cannot save its data to disk", "free disk space, and read the server's log"),
    "NOREPLICAS": (StoreUnavailableError, "has too few replicas to accept writes", "see min-replicas-to-write"),
    "MASTERDOWN": (StoreUnavailableError, "is a replica without its primary", "it is tried again"),
    "UNBLOCKED": (StoreUnavailableError, "has become a replica", "writes go to the primary"),
    "CLUSTERDOWN": (StoreUnavailableError, "is a cluster with slots that no node serves", "see CLUSTER INFO"),
    "TRYAGAIN": (StoreUnavailableError, "moves these keys to another node", "it is tried again"),
    "ASK": (StoreUnavailableError, "moves these keys to another node", "it is tried again"),
    "MOVED": (StoreUnavailableError, "is a node of a cluster", "write redis+cluster:// in the URL"),
    "MAXCLIENTS": (StoreUnavailableError, "has too many clients", "raise maxclients"),
    "NOAUTH": (StoreAuthError, "needs a password", _LOGIN),
    "WRONGPASS": (StoreAuthError, "refuses the user or password", _LOGIN),
    "NOPERM": (StoreAuthError, "does not permit the command", _LOGIN),
    "DENIED": (StoreAuthError, "accepts local connections only", "set a password, or turn off its protected mode"),
    "WRONGTYPE": (StoreDataError, "a key of the queue holds another type", _OTHER_TYPE),
}
"""By the first word of an error reply: the class to raise, what is wrong, and how to fix it."""

ELSEWHERE = frozenset({"READONLY", "UNBLOCKED", "MASTERDOWN"})
"""Refusals of a server that was the primary: its address may lead to the new one, over a new connection."""

_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "WRONGPASS"),
    (AuthorizationError, "NOPERM"),
    (NoPermissionError, "NOPERM"),
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
    (TryAgainError, "TRYAGAIN"),
    (AskError, "ASK"),
)
"""Errors from whose text the client removes the code."""
_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("max number of clients reached", "MAXCLIENTS"),
    ("is loading the dataset", "LOADING"),
    ("Authentication required", "NOAUTH"),
    ("invalid username-password", "WRONGPASS"),
    ("invalid password", "WRONGPASS"),
    ("without any password configured", "WRONGPASS"),
    ("ACL failure", "NOPERM"),
    ("can't run this command", "NOPERM"),
)
"""Refusals that have no code of their own, or lose it on the way."""
_UNREACHABLE = (RedisConnectionError, RedisTimeoutError, RedisClusterException, ClusterError, InvalidResponse, OSError)
_CODE = re.compile(r"(?:^|\s-)([A-Z]{3,})(?=\s)")
"""Also within the text: Redis 6 puts `ERR Error running script …: -OOM …` before what a script's command met."""
_IN_PIPELINE = re.compile(r"^Command # .* of pipeline caused error: \(?['\"]?(.*?)['\"]?,?\)?$")
_IN_SCRIPT = re.compile(r"\.? script: [0-9a-f]*,? ?on @.*")


def safe_url(url: str) -> str:
    """Return the URL without its password, even if it is malformed."""
    scheme, found, rest = url.partition("://")
    before, at, host = rest.rpartition("@")
    user, colon, _ = before.partition(":")
    hidden = f"{user}:***" if colon else before
    shown = re.sub(r"(?i)([?&][^=&]*password=)[^&]*", r"\1***", host)
    return f"{scheme}{found}{hidden}{at}{shown}"


def _text(error: Exception) -> str:
    """Return the first line of what the server said, without what the client put around it."""
    return _IN_PIPELINE.sub(r"\1", first_line(error))


def code_of(error: Exception) -> str:
    """Return the code of a server's refusal, as in CODES; empty: the error is another one."""
    text = _text(error)
    found = next((code for code in _CODE.findall(text) if code in CODES), "")
    said = next((code for part, code in _BY_TEXT if part in text), "")
    kind = next((code for kind, code in _CLASSES if isinstance(error, kind)), "")
    return found or said or kind


def translate(error: Exception, url: str) -> StoreError:
    """Return the StoreError for an error of the client: one line, without the password."""
    # An error in a script ends with the script's hash and line, which help no user.
    where, text = safe_url(url), _IN_SCRIPT.sub("", _text(error)).rstrip(".")
    if found := CODES.get(code_of(error)):
        kind, what, remedy = found
        said = "" if kind is StoreDataError else f" ({text})"
        return kind(f"{where}: {what}{said}; {remedy}")
    if isinstance(error, _UNREACHABLE):
        return StoreUnavailableError(f"{where}: cannot be reached: {_reason(error, text)}")
    return StoreError(f"{where}: {text or type(error).__name__}")


def _reason(error: Exception, text: str) -> str:
    """Return the cause alone: `Connection refused` of `Error 111 connecting to host:1. Connect call failed`."""
    if found := re.search(r"Error (-?\d+) connecting to \S+ (.*)", text):
        number, rest = int(found[1]), found[2].rstrip(".")
        return os.strerror(number) if number > 0 else rest
    return text.rstrip(".") or type(error).__name__


@contextlib.contextmanager
def translated(url: str) -> Generator[None]:
    """Translate the client's errors into StoreErrors, which keep them as their cause."""
    try:
        yield
    except FOREIGN as error:
        raise translate(error, url) from error
