"""Exceptions as outcomes: what is kept of a failed attempt, and no more than an operator wants to read."""

import traceback
from collections.abc import Callable
from types import TracebackType

from jobpools.core.job import Outcome, OutcomeKind
from jobpools.core.retry import qualified, spoken, words
from jobpools.core.units import format_duration

MESSAGE_LIMIT = 500
TRACEBACK_LIMIT = 8000
"""Characters; of a longer traceback the end is kept, where the error is."""
_OURS = "jobpools/runtime/"


def failed(error: BaseException) -> Outcome:
    """A handler raised."""
    return Outcome(
        OutcomeKind.FAILED,
        error=spoken(qualified(type(error))),
        message=_message(error),
        traceback=_traceback(error),
        error_types=_types(type(error)),
        exception=error,
    )


def timed_out(seconds: float) -> Outcome:
    """The attempt took longer than it may. It counts as a TimeoutError for `Retry.on`."""
    message = f"ran longer than {format_duration(seconds)}"
    return Outcome(
        OutcomeKind.TIMED_OUT,
        error=spoken(qualified(TimeoutError)),
        message=message,
        error_types=_types(TimeoutError),
        exception=TimeoutError(message),
    )


def in_a_line(error: BaseException, theirs: Callable[[str], bool]) -> str:
    """What an error is, what it says, and the innermost line of a file that is `theirs`: for where nobody reads on."""
    frames = traceback.extract_tb(error.__traceback__)
    place = next((f" ({each.filename}:{each.lineno})" for each in reversed(frames) if theirs(each.filename)), "")
    return f"{spoken(qualified(type(error)))}: {words(error)}{place}"


def _types(kind: type[BaseException]) -> tuple[str, ...]:
    classes = [one for one in kind.__mro__ if issubclass(one, BaseException)]
    return tuple(name for one in classes for name in (qualified(one), one.__name__))


def _message(error: BaseException) -> str:
    text = words(error)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(type(error), error, _handlers_part(error.__traceback__)))
    return text if len(text) <= TRACEBACK_LIMIT else "…" + text[1 - TRACEBACK_LIMIT :]


def _handlers_part(trace: TracebackType | None) -> TracebackType | None:
    """The frames from the handler on: ours above it tell the user nothing."""
    step = trace
    while step is not None and _OURS in step.tb_frame.f_code.co_filename.replace("\\", "/"):
        step = step.tb_next
    return step or trace
