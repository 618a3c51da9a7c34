"""Turn exceptions into outcomes, with texts of limited length.

An exception may run code of the app. Nothing here raises, whatever its `__str__`, attributes, class or causes do.
"""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import cast

from jobpools.core.jobs.job import NotRetryable, Outcome, OutcomeKind
from jobpools.core.jobs.settlement_requests import Discard, RetryAfter, SettlementRequest, Snooze
from jobpools.core.text.durations import format_duration, parse_duration
from jobpools.core.text.error_text import (
    ancestors,
    bare_name,
    display_name,
    error_message,
    error_type,
    qualified_name,
    safely,
    traceback_of,
)
from jobpools.observability.app_errors import traceback_text

MESSAGE_LIMIT = 500
"""Maximum characters of an error message."""
TRACEBACK_LIMIT = 8000
"""Maximum characters of a traceback. Of a longer one the end is kept, which has the error."""
_OURS = ("jobpools/runtime/", "jobpools/middleware.py")
_ASYNCIO = Path(asyncio.__file__).parent.as_posix()


def failed(error: BaseException, not_retryable: NotRetryable | None = None) -> Outcome:
    """Return the outcome of an attempt that raised. `not_retryable` None: the policy decides about a retry."""
    if not_retryable is None and issubclass(type(error), SettlementRequest):
        return safely(lambda: _requested(cast("SettlementRequest", error)), None) or _failed(error)
    return _failed(error, not_retryable)


def _requested(request: SettlementRequest) -> Outcome:
    """Return the outcome that the handler asks for. A request without a message has that of the error behind it."""
    kind, origin = type(request), request.__cause__ or request.__context__
    message = _message(request) or ("" if origin is None else f"{error_type(origin)}: {_message(origin)}")
    # Not isinstance: it would run the code of a request that overrides __class__.
    if issubclass(kind, Snooze):
        return Outcome(OutcomeKind.SNOOZED, message=message, delay=_delay(request))
    failure = _failed(request)
    failure = replace(failure, message=message, traceback=failure.traceback if origin else "")
    if issubclass(kind, RetryAfter):
        return replace(failure, retry_after=_delay(request))
    if issubclass(kind, Discard):
        return replace(failure, not_retryable=NotRetryable.DISCARDED)
    return failure


def _delay(request: SettlementRequest) -> float:
    return parse_duration(cast("Snooze | RetryAfter", request).delay)


def _failed(error: BaseException, not_retryable: NotRetryable | None = None) -> Outcome:
    kind = type(error)
    return Outcome(
        OutcomeKind.FAILED,
        error=display_name(qualified_name(kind)),
        message=_message(error),
        traceback=_traceback(error),
        error_types=_types(kind),
        not_retryable=not_retryable,
        exception=error,
    )


def timed_out(seconds: float) -> Outcome:
    """Return the outcome of an attempt that took longer than its timeout. `Retry.on` sees a TimeoutError."""
    message = f"ran longer than {format_duration(seconds)}"
    return Outcome(
        OutcomeKind.TIMED_OUT,
        error="TimeoutError",
        message=message,
        error_types=_types(TimeoutError),
        exception=TimeoutError(message),
    )


def summary(error: BaseException, is_own: Callable[[str], bool]) -> str:
    """Return an error's type, message and innermost line in a file for which `is_own` is true, as one line of text."""
    frames = safely(lambda: traceback.extract_tb(traceback_of(error)), traceback.StackSummary())
    location = next((f" ({each.filename}:{each.lineno})" for each in reversed(frames) if is_own(each.filename)), "")
    return f"{error_type(error)}: {error_message(error)}{location}"


def _types(kind: type[BaseException]) -> tuple[str, ...]:
    return tuple(name for one in ancestors(kind) for name in (qualified_name(one), bare_name(one)))


def _message(error: BaseException) -> str:
    text = error_message(error)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _traceback(error: BaseException) -> str:
    trace = safely(lambda: _handlers_part(traceback_of(error)), None)
    text = traceback_text(error, trace)
    return text if len(text) <= TRACEBACK_LIMIT else "…" + text[1 - TRACEBACK_LIMIT :]


def _handlers_part(trace: TracebackType | None) -> TracebackType | None:
    """Return the frames from the handler on, without those of jobpools and asyncio that called it."""
    step = trace
    while step is not None and is_plumbing(step.tb_frame.f_code.co_filename.replace("\\", "/")):
        step = step.tb_next
    return step or trace


def is_plumbing(file: str) -> bool:
    """Return whether the file belongs to jobpools or asyncio, and not to the user."""
    return any(each in file for each in _OURS) or file.startswith(_ASYNCIO)
