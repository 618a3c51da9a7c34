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

from jobpools.core.configuration.settings_table import DEFAULT_REDIS_URL
from jobpools.core.text.error_text import first_line
from jobpools.errors import StoreAuthError, StoreDataError, StoreError, StoreUnavailableError

CLIENT_ERRORS = (RedisError, RedisClusterException, OSError)
"""Classes of errors that the client raises; those of clusters are not RedisErrors."""

_LOGIN = "check user and password in the URL, and the user's ACL"
_OTHER_TYPE = "rename or delete the key if something else uses its name"

CODES: dict[str, tuple[type[StoreError], str, str]] = {
    "READONLY": (StoreUnavailableError, "is a read-only replica", "writes go to the primary"),
    "LOADING": (StoreUnavailableError, "is loading its data", "it answers when it is done"),
    "BUSY": (StoreUnavailableError, "is busy with a script", "end it with SCRIPT KILL if it does not end"),
    "OOM": (StoreUnavailableError, "is out of memory", "raise maxmemory"),
    "MISCONF": (StoreUnavailableError, "cannot save its data to disk", "free disk space, and read the server's log"),
    "NOREPLICAS": (StoreUnavailableError, "has too few replicas to accept writes", "see min-replicas-to-write"),
    "MASTERDOWN": (StoreUnavailableError, "is a replica without its primary", "the command is tried again"),
    "UNBLOCKED": (StoreUnavailableError, "has become a replica", "writes go to the primary"),
    "CLUSTERDOWN": (StoreUnavailableError, "is a cluster with slots that no node serves", "see CLUSTER INFO"),
    "TRYAGAIN": (StoreUnavailableError, "moves these keys to another node", "the command is tried again"),
    "ASK": (StoreUnavailableError, "moves these keys to another node", "the command is tried again"),
    "MOVED": (StoreUnavailableError, "is a node of a cluster", "write redis+cluster:// in the URL"),
    "MAXCLIENTS": (StoreUnavailableError, "has too many clients", "raise maxclients"),
    "NOAUTH": (StoreAuthError, "needs a password", _LOGIN),
    "WRONGPASS": (StoreAuthError, "refuses the user or password", _LOGIN),
    "NOPERM": (StoreAuthError, "does not permit the command", _LOGIN),
    "DENIED": (StoreAuthError, "accepts local connections only", "set a password, or turn off its protected mode"),
    "WRONGTYPE": (StoreDataError, "a key of the queue holds another type", _OTHER_TYPE),
}
"""By the first word of an error reply: the class to raise, what is wrong, and how to fix it."""

DEMOTED = frozenset({"READONLY", "UNBLOCKED", "MASTERDOWN"})
"""Codes of a server that is no longer the primary. A new connection to its address may lead to the new primary."""

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
"""Codes of the errors from whose text the client removes the code."""
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
"""Codes of errors that have none in their text, by a part of the text."""
_UNREACHABLE = (RedisConnectionError, RedisTimeoutError, RedisClusterException, ClusterError, InvalidResponse, OSError)
_DEFAULT_HINT = "; it is the default: set JOBPOOLS_REDIS_URL, or redis_url in jobpools.toml"
_CODE = re.compile(r"(?:^|\s-)([A-Z]{3,})(?=\s)")
"""Also within the text: for a command that failed in a script Redis 6 replies `ERR Error running script …: -OOM …`."""
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
    """Return the first line of the server's message, without the text that the client adds."""
    return _IN_PIPELINE.sub(r"\1", first_line(error))


def code_of(error: Exception) -> str:
    """Return the code of a server's refusal, as in CODES; empty: it has none of them."""
    text = _text(error)
    spelt = next((code for code in _CODE.findall(text) if code in CODES), "")
    implied = next((code for part, code in _BY_TEXT if part in text), "")
    by_class = next((code for kind, code in _CLASSES if isinstance(error, kind)), "")
    return spelt or implied or by_class


def translate(error: Exception, url: str) -> StoreError:
    """Return the StoreError for an error of the client: one line, without the password."""
    # Leave out the script's hash and line, with which an error in a script ends.
    where, text = safe_url(url), _IN_SCRIPT.sub("", _text(error)).rstrip(".")
    if found := CODES.get(code_of(error)):
        kind, what, remedy = found
        detail = "" if kind is StoreDataError else f" ({text})"
        return kind(f"{where}: {what}{detail}; {remedy}")
    if isinstance(error, _UNREACHABLE):
        hint = _DEFAULT_HINT if url == DEFAULT_REDIS_URL else ""
        return StoreUnavailableError(f"{where}: cannot be reached: {_reason(error, text)}{hint}")
    return StoreError(f"{where}: {text or type(error).__name__}")


def _reason(error: Exception, text: str) -> str:
    """Return the cause alone: `Connection refused` of `Error 111 connecting to host:1. Connect call failed`."""
    if found := re.match(r"No master found for (\S+)", text):  # the rest describes objects of the client
        return f"no sentinel names a reachable master {found[1]}"
    if found := re.search(r"Error (-?\d+) connecting to \S+ (.*)", text):
        number, rest = int(found[1]), found[2].rstrip(".")
        return os.strerror(number) if number > 0 else rest
    return text.rstrip(".") or type(error).__name__


@contextlib.contextmanager
def translated(url: str) -> Generator[None]:
    """Translate the client's errors into StoreErrors, which keep them as their cause."""
    try:
        yield
    except CLIENT_ERRORS as error:
        raise translate(error, url) from error
