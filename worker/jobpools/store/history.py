"""The history of a job's attempts, as Redis holds it."""

from dataclasses import replace
from typing import Any

import msgspec

from jobpools.core.jobs.job import HISTORY_BYTES, AttemptRecord, DeadReason, History, OutcomeKind
from jobpools.errors import StoreDataError


class _Attempt(msgspec.Struct, omit_defaults=True):
    attempt: int
    outcome: OutcomeKind
    at: float
    error: str = ""
    message: str = ""
    traceback: str = ""
    delay: float | None = None
    worker: str = ""
    fence: str = ""


class _History(msgspec.Struct, omit_defaults=True):
    attempts: int = 0
    crashes: int = 0
    entries: tuple[_Attempt, ...] = ()
    note: str = ""
    reason: str = ""
    snoozes: int = 0
    replays: int = 0


_history = msgspec.json.Decoder(_History)
_FIELDS = _Attempt.__struct_fields__
_REASONS = tuple(map(str, DeadReason))


_SHORT = 200
"""Number of characters to which the texts of a history are cut if it is too long."""


def encode_history(history: History) -> bytes:
    """Return a history as JSON. Never raises: otherwise its step could never be sent.

    One that is longer than HISTORY_BYTES loses the tracebacks of older attempts first.
    """
    try:
        return _fitted(history)
    except Exception:  # noqa: BLE001  # it holds texts of exceptions, whose classes are the user's code
        note = "the history could not be encoded"
        return msgspec.json.encode(_stored(history, (), note))


def _fitted(history: History) -> bytes:
    encoded, attempts = _encoded(history), list(history.entries)
    for index in range(len(attempts) - 1):
        if len(encoded) <= HISTORY_BYTES:
            return encoded
        attempts[index] = replace(attempts[index], traceback="")
        encoded = _encoded(replace(history, entries=tuple(attempts)))
    return encoded if len(encoded) <= HISTORY_BYTES else _shortened(history, attempts)


def _shortened(history: History, attempts: list[AttemptRecord]) -> bytes:
    """Cut all texts, and then keep as many of the latest attempts as fit."""
    cut = [
        replace(each, error=each.error[:_SHORT], message=each.message[:_SHORT], traceback=each.traceback[-5 * _SHORT :])
        for each in attempts
    ]
    short = replace(history, entries=tuple(cut), note=history.note[: 2 * _SHORT])
    while len(short.entries) > 1 and len(_encoded(short)) > HISTORY_BYTES:
        short = replace(short, entries=short.entries[1:])
    return _encoded(short)


def _encoded(history: History) -> bytes:
    attempts = tuple(_Attempt(**{name: _as_utf8(getattr(each, name)) for name in _FIELDS}) for each in history.entries)
    return msgspec.json.encode(_stored(history, attempts, _as_utf8(history.note)))


def _stored(history: History, attempts: tuple[_Attempt, ...], note: str) -> _History:
    reason = str(history.reason or "")
    return _History(history.attempts, history.crashes, attempts, note, reason, history.snoozes, history.replays)


def _as_utf8(value: Any) -> Any:
    """Return text that UTF-8 can hold, as a plain `str`: a lone surrogate is spelt out with a backslash."""
    return str.encode(value, errors="backslashreplace").decode() if isinstance(value, str) else value


def decode_history(raw: bytes | None) -> History:
    """Parse a history; None and an empty value are an empty history. Raises StoreDataError."""
    if not raw:
        return History()
    try:
        found = _history.decode(raw)
    except msgspec.DecodeError as error:
        raise StoreDataError(f"not a history: {error}") from error
    attempts = tuple(AttemptRecord(**{name: getattr(each, name) for name in _FIELDS}) for each in found.entries)
    reason = DeadReason(found.reason) if found.reason in _REASONS else None
    return History(found.attempts, found.crashes, attempts, found.note, reason, found.snoozes, found.replays)


def read_history(raw: bytes | None) -> History:
    """Parse a history; return an empty one, with the error as its note, if it cannot be read."""
    try:
        return decode_history(raw)
    except StoreDataError as error:
        return History(note=str(error))
