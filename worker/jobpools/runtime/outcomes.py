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

MESSAGE_LIMIT = 500
"""Maximum characters of an error message."""
TRACEBACK_LIMIT = 8000
"""Maximum characters of a traceback. Of a longer one the end is kept, which has the error."""
FRAMES_LIMIT = 50
"""Maximum frames that are kept of a traceback whose exception cannot be formatted."""
_OURS = ("jobpools/runtime/", "jobpools/middleware.py")
_ASYNCIO = Path(asyncio.__file__).parent.as_posix()


def failed(error: BaseException, not_retryable: NotRetryable | None = None) -> Outcome:
    """Return the outcome of an attempt that raised. `not_retryable` None: the policy decides about a retry."""
    if not_retryable is None and issubclass(type(error), SettlementRequest):
        return safely(lambda: _requested(cast("SettlementRequest", error)), None) or _failed(error)
    return _failed(error, not_retryable)


def _requested(request: SettlementRequest) -> Outcome:
    """Return the outcome that the handler asks for. A request without a message has that of the error behind it."""
    origin = request.__cause__ or request.__context__
    message = _message(request) or ("" if origin is None else f"{error_type(origin)}: {_message(origin)}")
    if isinstance(request, Snooze):
        return Outcome(OutcomeKind.SNOOZED, message=message, delay=parse_duration(request.delay))
    failure = _failed(request)
    failure = replace(failure, message=message, traceback=failure.traceback if origin else "")
    if isinstance(request, RetryAfter):
        return replace(failure, retry_after=parse_duration(request.delay))
    if isinstance(request, Discard):
        return replace(failure, not_retryable=NotRetryable.DISCARDED)
    return failure


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
    text = safely(lambda: _formatted(error, trace), "") or _without_its_code(error, trace)
    return text if len(text) <= TRACEBACK_LIMIT else "…" + text[1 - TRACEBACK_LIMIT :]


def _formatted(error: BaseException, trace: TracebackType | None) -> str:
    return "".join(traceback.format_exception(type(error), error, trace))


def _without_its_code(error: BaseException, trace: TracebackType | None) -> str:
    """Return the traceback of an exception whose own code raises when it is formatted: frames, type and message."""
    frames = safely(lambda: "".join(traceback.format_tb(trace, -FRAMES_LIMIT)), "")
    return f"Traceback (most recent call last):\n{frames}{error_type(error)}: {_message(error)}\n"


def _handlers_part(trace: TracebackType | None) -> TracebackType | None:
    """Return the frames from the handler on, without those of jobpools and asyncio that called it."""
    step = trace
    while step is not None and is_plumbing(step.tb_frame.f_code.co_filename.replace("\\", "/")):
        step = step.tb_next
    return step or trace


def is_plumbing(file: str) -> bool:
    """Return whether the file belongs to jobpools or asyncio, and not to the user."""
    return any(each in file for each in _OURS) or file.startswith(_ASYNCIO)
