"""What happens to a job whose attempt did not complete: the only path for failed, timed out and crashed alike."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal, TypedDict, Unpack

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from jobpools.core.backoff import Backoff
from jobpools.core.decision import Decision
from jobpools.core.jobs.job import HISTORY_LIMIT, Attempt, Disposition, History, Outcome, OutcomeKind, Settlement
from jobpools.core.schema import Duration, Model
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import format_duration, parse_duration
from jobpools.core.text.error_text import bare_name, display_name, error_message, qualified_name
from jobpools.core.text.validation import explain
from jobpools.errors import ConfigurationError

RetryFunction = Callable[[int, BaseException | None], float | None]
"""(attempt that just failed, from 1; its exception) → seconds until the next one, or None for no further attempt."""


class RetryValues(TypedDict, total=False):
    """What `Retry(…)` may say; a Retry's own fields are the checked form."""

    strategy: Literal["none", "fixed", "exponential"]
    max_attempts: int
    initial: str | float | timedelta
    max: str | float | timedelta
    factor: float
    jitter: float
    on: Iterable[str | type[BaseException]]
    """As in an `except`: `[ConnectionError]` means a ConnectionResetError too. Names, for classes not at hand here."""
    function: RetryFunction | None


def _named(given: Any) -> Any:
    """The names of exception classes: what travels in an envelope, and what an error's kin is compared with."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{given!r} is no list: write it in brackets")  # noqa: TRY004  # what pydantic takes for theirs
    return tuple(_name(each) for each in given)


def _name(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, type) and issubclass(given, BaseException):
        return qualified_name(given)
    raise ValueError(f"{given!r} is neither an exception class nor the name of one")


class Retry(Model):
    """How often and when a failed job runs again."""

    def __init__(self, **given: Unpack[RetryValues]) -> None:
        """Raises ConfigurationError for a name or a value that is none."""
        values: dict[str, Any] = {**given}
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_explained(error)) from error

    # What stands in YAML or in an envelope does not come this way: its errors name their place there.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pydantic's own mark of such an __init__

    strategy: Literal["none", "fixed", "exponential"] = "exponential"
    """`none`: the first failure is final; `fixed`: always `initial`; `exponential`: `initial`, then each time `factor`
    times as much, at most `max`."""
    max_attempts: int = Field(default=3, ge=1)
    """Attempts in all, the first one included. Crashes of the worker are counted apart (`maxCrashes`)."""
    initial: Duration = 1.0
    """The delay before the second attempt."""
    max: Duration = 3600.0
    """The longest delay."""
    factor: float = Field(default=2.0, ge=1)
    """By what each delay is longer than the one before."""
    jitter: float = Field(default=0.1, ge=0, le=1)
    """The share of the delay that is drawn at random, so that jobs that failed together do not return together."""
    on: Annotated[tuple[str, ...], BeforeValidator(_named)] = ()
    """Exception classes to retry, bare or qualified (`TimeoutError`, `httpx.ConnectError`), with those that derive from
    them; empty: all."""
    function: SkipJsonSchema[RetryFunction | None] = Field(default=None, exclude=True)
    """Python only: decides each delay itself, within `max_attempts`."""


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"Retry: {field}: no such option{did_you_mean(field, Retry.model_fields)}"
    return f"Retry: {field}: {explain(first)}"


UNRUNNABLE_DELAY = 30.0
"""Seconds for which a job that this worker cannot run is left to others before anybody looks at it again."""
MESSAGE_LIMIT = 1000
"""Characters of an attempt's message that the history keeps."""
TRACEBACK_LIMIT = 4000
"""Characters of an attempt's traceback that the history keeps: the last ones, where the error stands."""

_TIMEOUT_NAMES = ("TimeoutError", "builtins.TimeoutError", "asyncio.TimeoutError")


def settle(  # noqa: PLR0913  all that the one failure path depends on is an argument
    outcome: Outcome, policy: Retry, history: History, now: float, jitter: float, *, max_crashes: int, worker: str = ""
) -> Decision[Settlement]:
    """What is done with a job after an attempt that ended as `outcome`.

    `history` is what came before this attempt, `now` the server's time in seconds since the epoch, `jitter` a draw from
    [0, 1), `worker` who ran it. Reasons: Completed, Cancelled, HandedBack, Unrunnable, Crashed, Retried, RetriesUsedUp,
    NotRetried. Never raises: a retry function that fails counts as none.
    """
    match outcome.kind:
        case OutcomeKind.COMPLETED:
            return Decision(Settlement(Disposition.COMPLETE, history=history), "Completed", "the job completed")
        case OutcomeKind.CANCELLED:
            return Decision(Settlement(Disposition.CANCEL, history=history), "Cancelled", "the job was cancelled")
        case OutcomeKind.INTERRUPTED:
            back = Settlement(Disposition.RETURN, delay=outcome.delay or None, history=replace(history, note=""))
            return Decision(back, "HandedBack", f"{outcome.message or 'the worker goes'}; no attempt is charged")
        case OutcomeKind.UNRUNNABLE:
            return _unrunnable(outcome, history, jitter)
        case OutcomeKind.CRASHED:
            return _crashed(outcome, history, now, max_crashes, worker)
        case OutcomeKind.FAILED | OutcomeKind.TIMED_OUT:
            return _failed(outcome, policy, history, now, jitter, worker)


def _unrunnable(outcome: Outcome, history: History, jitter: float) -> Decision[Settlement]:
    note = outcome.message[:MESSAGE_LIMIT] or outcome.error or "this worker cannot run it"
    delay = UNRUNNABLE_DELAY * (1 + 0.1 * jitter)
    left = Settlement(Disposition.RETURN, delay=delay, history=replace(history, note=note))
    return Decision(left, "Unrunnable", f"{note}; left for another worker, no attempt is charged")


def _crashed(outcome: Outcome, history: History, now: float, max_crashes: int, worker: str) -> Decision[Settlement]:
    crashes = history.crashes + 1
    dead = crashes >= max_crashes
    what = outcome.message or f"the worker{f' {worker}' if worker else ''} vanished"
    message = f"{what}, crash {crashes} of at most {max_crashes}"
    entry = _entry(outcome, history, now, worker, None if dead else 0.0)
    after = _add(replace(history, crashes=crashes), entry)
    if dead:
        return _dead(after, "Crashed", message)
    return Decision(Settlement(Disposition.RETRY, history=after), "Crashed", f"{message}; it runs again at once")


def _failed(
    outcome: Outcome, policy: Retry, history: History, now: float, jitter: float, worker: str
) -> Decision[Settlement]:
    attempt = history.attempts + 1
    said = f"attempt {attempt} of {policy.max_attempts} {_said(outcome)}"
    delay = next_delay(outcome, policy, attempt, jitter)
    entry = _entry(outcome, history, now, worker, delay.value)
    after = _add(replace(history, attempts=attempt), entry)
    if delay.value is None:
        return _dead(after, delay.reason, f"{said}; {delay.message}")
    again = Settlement(Disposition.RETRY, delay=delay.value, history=after)
    return Decision(again, delay.reason, f"{said}; {delay.message}")


def next_delay(outcome: Outcome, policy: Retry, attempt: int, jitter: float) -> Decision[float | None]:
    """Seconds until the attempt after the failed one of number `attempt` (from 1), or None: it was the last."""
    if outcome.final:
        return Decision(None, "NotRetried", outcome.final)
    if policy.strategy == "none":
        return Decision(None, "NotRetried", "its retry strategy is none")
    if policy.on and not set(policy.on) & _names(outcome):
        return Decision(None, "NotRetried", f"only {', '.join(map(display_name, policy.on))} is retried")
    if attempt >= policy.max_attempts:
        return Decision(None, "RetriesUsedUp", "no attempt is left")
    if policy.function is not None:
        return _asked(policy, policy.function, outcome, attempt, jitter)
    delay = backoff(policy, attempt, jitter)
    return Decision(delay, "Retried", f"the next one in {format_duration(delay)}")


def backoff(policy: Retry, attempt: int, jitter: float) -> float:
    """Return the seconds between the failed attempt of number `attempt` (from 1) and the next one."""
    factor = policy.factor if policy.strategy == "exponential" else 1.0
    return Backoff(policy.initial, policy.max, factor, policy.jitter).delay(attempt, jitter)


def _asked(
    policy: Retry, function: RetryFunction, outcome: Outcome, attempt: int, jitter: float
) -> Decision[float | None]:
    try:
        answer = function(attempt, outcome.exception)
        if answer is None:
            return Decision(None, "NotRetried", "the retry function says no")
        delay = parse_duration(answer)
    except BaseException as error:  # noqa: BLE001  user code: even SystemExit is only a decision that failed
        delay = backoff(policy, attempt, jitter)
        wrong = f"its retry function failed ({bare_name(type(error))}: {error_message(error)[:MESSAGE_LIMIT]})"
        return Decision(delay, "Retried", f"{wrong}, so the next one in {format_duration(delay)}")
    return Decision(delay, "Retried", f"the next one in {format_duration(delay)}")


def _names(outcome: Outcome) -> set[str]:
    timed_out = _TIMEOUT_NAMES if outcome.kind is OutcomeKind.TIMED_OUT else ()
    return {outcome.error, *outcome.error_types, *timed_out}


def _said(outcome: Outcome) -> str:
    how = "timed out" if outcome.kind is OutcomeKind.TIMED_OUT else "failed"
    what = ": ".join(part for part in (outcome.error, outcome.message[:MESSAGE_LIMIT]) if part)
    return f"{how} ({what})" if what else how


def _dead(history: History, reason: str, message: str) -> Decision[Settlement]:
    noted = replace(history, note=f"{reason}: {message}")
    return Decision(Settlement(Disposition.DEAD, history=noted), reason, message)


def _entry(outcome: Outcome, history: History, now: float, worker: str, delay: float | None) -> Attempt:
    return Attempt(
        attempt=history.attempts + history.crashes + 1,
        outcome=outcome.kind,
        at=now,
        error=outcome.error,
        message=outcome.message[:MESSAGE_LIMIT],
        traceback=outcome.traceback[-TRACEBACK_LIMIT:],
        delay=delay,
        worker=worker,
    )


def _add(history: History, entry: Attempt) -> History:
    return replace(history, entries=(*history.entries, entry)[-HISTORY_LIMIT:], note="")
