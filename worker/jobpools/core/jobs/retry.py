"""Decide what happens to a job after an attempt: retries, delays, crashes and dead letters.

`settle` is the only path for failed, timed-out, crashed and handed-back attempts; `backoff` computes a retry's delay.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal, TypedDict, Unpack, cast

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from jobpools.core.backoff import Backoff
from jobpools.core.decision import Decision
from jobpools.core.jobs.error_groups import with_groups
from jobpools.core.jobs.job import (
    HISTORY_LIMIT,
    AttemptRecord,
    DeadReason,
    Disposition,
    History,
    NotRetryable,
    Outcome,
    OutcomeKind,
    Settlement,
)
from jobpools.core.jobs.reasons import SettlementReason
from jobpools.core.schema import Duration, Model
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import format_duration, parse_duration
from jobpools.core.text.error_text import bare_name, display_name, error_message, qualified_name
from jobpools.core.text.validation import explain
from jobpools.errors import ConfigurationError

RetryFunction = Callable[[int, BaseException | None], float | None]
"""Decides about a retry: takes the number of the failed attempt (from 1) and its exception, and returns the seconds
until the next attempt, or None for no further attempt. It must be a plain function, not a coroutine function."""


class RetryValues(TypedDict, total=False):
    """The arguments of `Retry(…)`, for type checkers."""

    strategy: Literal["none", "fixed", "exponential"]
    max_attempts: int
    initial: str | float | timedelta
    max: str | float | timedelta
    factor: float
    jitter: float
    on: Iterable[str | type[BaseException]]
    on_timeout: bool
    function: RetryFunction | None


def _class_names(given: Any) -> Any:
    """Return the names of exception classes: an envelope cannot carry classes."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{given!r} is not a list; write it in brackets")  # noqa: TRY004  # pydantic takes a ValueError
    return tuple(_class_name(each) for each in cast("Iterable[object]", given))


def _class_name(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, type) and issubclass(given, BaseException):
        return qualified_name(given)
    raise ValueError(f"{given!r} is not an exception class; give a class or its name")


class Retry(Model):
    """Policy that decides when and how often a failed job is retried: `retry=` in `@app.job` and `options`.

    An attempt fails when the handler raises or when it exceeds its timeout. A crash of the worker is not a failed
    attempt: `max_crashes` limits crashes.

    Args:
        strategy: `"exponential"` (default): the delay starts at `initial` and is multiplied by `factor` after each
            failed attempt, up to `max`. `"fixed"`: the delay is always `initial`. `"none"`: no retries.
        max_attempts: Maximum number of attempts, the first one included; at least 1. Default: 3.
        initial: Delay before the second attempt: seconds, text such as `"90s"` or `"1h30m"`, or a timedelta.
            Default: 1 second.
        max: Maximum delay, in the same forms. Default: 1 hour.
        factor: Factor by which the delay grows after each failed attempt; at least 1. Default: 2.0.
        jitter: Maximum share by which a delay is shortened at random, from 0 to 1, so that jobs that failed together
            are not retried together. A delay of 10 s with jitter 0.1 becomes 9 s to 10 s. Default: 0.1.
        on: Exception classes to retry, as in `except`: subclasses are retried too. Names (`"httpx.ConnectError"` or
            `"ConnectError"`) stand for classes that cannot be imported here; `"network"` and `"database"` for the
            errors of many libraries. Default: all exceptions.
        on_timeout: Whether an attempt that exceeded its timeout is retried. With `on`, it is retried if TimeoutError,
            OSError or `"network"` is listed too. Default: True.
        function: Computes each delay instead of `strategy`: takes the number of the failed attempt (from 1) and the
            exception, and returns seconds, or None for no further attempt. It works within `max_attempts` and `on`,
            must be a plain function, and can be given to `@app.job` only. If it raises, the strategy's delay is used.

    A handler may also decide itself: it raises RetryAfter, Discard or Snooze.

    Raises:
        ConfigurationError: An argument is unknown or has an invalid value.

    Example:
        >>> from jobpools import App, Retry
        >>> app = App("shop")
        >>> @app.job(retry=Retry(max_attempts=5, initial="10s", max="10m", on=[ConnectionError, TimeoutError]))
        ... async def charge(order: int) -> None: ...
    """

    def __init__(self, **given: Unpack[RetryValues]) -> None:
        """Check the arguments; the class describes them."""
        values: dict[str, Any] = {**given}
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_describe(error)) from error

    # Values from YAML and envelopes do not pass through __init__: their errors name the place in the document.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]  # pydantic's own mark of such an __init__

    strategy: Literal["none", "fixed", "exponential"] = "exponential"
    """How the delay grows. `exponential` starts at `initial` and multiplies by `factor` after each failed attempt,
    up to `max`; `fixed` always waits `initial`; `none` does not retry."""
    max_attempts: int = Field(default=3, ge=1)
    """Maximum number of attempts, including the first. Crashes of the worker are limited by `maxCrashes` instead."""
    initial: Duration = 1.0
    """Delay before the second attempt."""
    max: Duration = 3600.0
    """Maximum delay between two attempts."""
    factor: float = Field(default=2.0, ge=1)
    """Factor by which the delay grows after each failed attempt."""
    jitter: float = Field(default=0.1, ge=0, le=1)
    """Maximum share by which a delay is shortened at random, from 0 to 1, so that jobs that failed together are not
    retried together."""
    on: Annotated[tuple[str, ...], BeforeValidator(_class_names)] = ()
    """Exception classes to retry, including their subclasses, with or without their module: `TimeoutError`,
    `httpx.ConnectError`. `network` and `database` stand for the errors of many libraries. Empty: all."""
    on_timeout: bool = True
    """Whether an attempt that exceeded its timeout is retried. If `onErrors` is not empty, it must also contain
    `TimeoutError`, `OSError` or `network`."""
    function: SkipJsonSchema[RetryFunction | None] = Field(default=None, exclude=True)
    """Computes each delay instead of `strategy`; only in Python."""


def _describe(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"Retry: {field}: no such option{did_you_mean(field, Retry.model_fields)}"
    return f"Retry: {field}: {explain(first)}"


UNRUNNABLE_DELAY = 30.0
"""Seconds after which a job that this worker cannot run may be claimed again."""
MESSAGE_LIMIT = 1000
"""Maximum characters of an attempt's message in the history."""
TRACEBACK_LIMIT = 4000
"""Maximum characters of an attempt's traceback in the history. The last ones are kept: the error is there."""

_WHY_NOT_RETRYABLE: Mapping[NotRetryable, str] = {
    NotRetryable.DISCARDED: "the handler discarded the job",
    NotRetryable.ARGUMENTS: "another attempt would have the same arguments",
    NotRetryable.RESULT: "the work is done, and the result of another attempt would fail in the same way",
}
_TIMEOUT_NAMES = ("TimeoutError", "builtins.TimeoutError", "asyncio.TimeoutError")


def settle(  # noqa: PLR0913  # everything that the decision depends on is an argument
    outcome: Outcome, policy: Retry, history: History, now: float, jitter: float, *, max_crashes: int, worker: str = ""
) -> Decision[Settlement]:
    """Decide what is done with a job after an attempt that ended as `outcome`.

    Never raises: if a retry function raises, the strategy's delay is used.

    Args:
        outcome: How the attempt ended.
        policy: The job's retry policy.
        history: The job's earlier attempts.
        now: The server's time, seconds since the epoch.
        jitter: A random number from [0, 1).
        max_crashes: Number of crashes after which the job is dead.
        worker: The worker that ran the attempt.

    Returns:
        The settlement, with a `SettlementReason`.
    """
    match outcome.kind:
        case OutcomeKind.FAILED | OutcomeKind.TIMED_OUT:
            return _failed(outcome, policy, history, now, jitter, worker)
        case OutcomeKind.CRASHED:
            return _crashed(outcome, history, now, max_crashes, worker)
        case OutcomeKind.EXPIRED:
            return _dead(history, DeadReason.EXPIRED, SettlementReason.EXPIRED, outcome.message)
        case OutcomeKind.CANCELLED | OutcomeKind.INTERRUPTED | OutcomeKind.UNRUNNABLE | OutcomeKind.SNOOZED:
            return _uncharged(outcome, history, jitter)


def _uncharged(outcome: Outcome, history: History, jitter: float) -> Decision[Settlement]:
    if outcome.kind is OutcomeKind.CANCELLED:
        cancelled = Settlement(Disposition.CANCEL, history=history)
        return Decision(cancelled, SettlementReason.CANCELLED, "the job was cancelled")
    if outcome.kind is OutcomeKind.UNRUNNABLE:
        return _unrunnable(outcome, history, jitter)
    if outcome.kind is OutcomeKind.SNOOZED:
        return _snoozed(outcome, history)
    returned = Settlement(Disposition.RETURN, delay=outcome.delay or None, history=replace(history, note=""))
    message = f"{outcome.message or 'the worker stops'}; no attempt is charged"
    return Decision(returned, SettlementReason.HANDED_BACK, message)


def _unrunnable(outcome: Outcome, history: History, jitter: float) -> Decision[Settlement]:
    note = outcome.message[:MESSAGE_LIMIT] or outcome.error or "this worker cannot run it"
    delay = UNRUNNABLE_DELAY * (1 + 0.1 * jitter)
    returned = Settlement(Disposition.RETURN, delay=delay, history=replace(history, note=note))
    return Decision(returned, SettlementReason.UNRUNNABLE, f"{note}; left for another worker, no attempt is charged")


def _snoozed(outcome: Outcome, history: History) -> Decision[Settlement]:
    # Without a note: a note means that the job waits for a worker that can run it.
    after = replace(history, snoozes=history.snoozes + 1, note="")
    why = f" ({outcome.message[:MESSAGE_LIMIT]})" if outcome.message else ""
    message = f"snoozed{why}; it runs again in {format_duration(outcome.delay)}, no attempt is charged"
    returned = Settlement(Disposition.RETURN, delay=outcome.delay, history=after)
    return Decision(returned, SettlementReason.SNOOZED, message)


def _crashed(outcome: Outcome, history: History, now: float, max_crashes: int, worker: str) -> Decision[Settlement]:
    crashes = history.crashes + 1
    dead = crashes >= max_crashes
    what = outcome.message or f"the worker{f' {worker}' if worker else ''} vanished"
    message = f"{what}, crash {crashes} of at most {max_crashes}"
    record = _record(outcome, history, now, worker, None if dead else 0.0)
    after = _add(replace(history, crashes=crashes), record)
    if dead:
        return _dead(after, DeadReason.CRASHED, SettlementReason.CRASHED, message)
    return Decision(
        Settlement(Disposition.RETRY, history=after), SettlementReason.CRASHED, f"{message}; it runs again at once"
    )


def _failed(
    outcome: Outcome, policy: Retry, history: History, now: float, jitter: float, worker: str
) -> Decision[Settlement]:
    attempt = history.attempts + 1
    failure = f"attempt {attempt} of {policy.max_attempts} {_describe_failure(outcome)}"
    delay = next_delay(outcome, policy, attempt, jitter)
    record = _record(outcome, history, now, worker, delay.value)
    after = _add(replace(history, attempts=attempt), record)
    if delay.value is None:
        return _dead(after, _dead_reason(outcome), delay.reason, f"{failure}; {delay.message}")
    retry = Settlement(Disposition.RETRY, delay=delay.value, history=after)
    return Decision(retry, delay.reason, f"{failure}; {delay.message}")


def next_delay(outcome: Outcome, policy: Retry, attempt: int, jitter: float) -> Decision[float | None]:
    """Decide the seconds between the failed attempt number `attempt` (from 1) and the next one; None: there is none."""
    if outcome.not_retryable is NotRetryable.DISCARDED:
        return Decision(None, SettlementReason.DISCARDED, _WHY_NOT_RETRYABLE[NotRetryable.DISCARDED])
    if refusal := _why_not_retried(outcome, policy):
        return Decision(None, SettlementReason.NOT_RETRIED, refusal)
    if attempt >= policy.max_attempts:
        return Decision(None, SettlementReason.RETRIES_USED_UP, "no attempt is left")
    if outcome.retry_after is not None:
        when = format_duration(outcome.retry_after)
        return Decision(outcome.retry_after, SettlementReason.RETRIED, f"the handler asked for the next one in {when}")
    if policy.function is not None:
        return _delay_by_function(policy, policy.function, outcome, attempt, jitter)
    delay = backoff(policy, attempt, jitter)
    return Decision(delay, SettlementReason.RETRIED, f"the next one in {format_duration(delay)}")


def _why_not_retried(outcome: Outcome, policy: Retry) -> str:
    """Return why the policy excludes a retry of this outcome, whatever the number of the attempt; empty: it does not.

    Attempts for which the handler raised RetryAfter are not compared with `on`.
    """
    if outcome.not_retryable is not None:
        return _WHY_NOT_RETRYABLE[outcome.not_retryable]
    if policy.strategy == "none":
        return "its retry strategy is 'none'"
    if outcome.retry_after is not None:
        return ""
    if outcome.kind is OutcomeKind.TIMED_OUT and not policy.on_timeout:
        return "its policy does not retry timeouts"
    if policy.on and not with_groups(policy.on) & _names(outcome):
        return f"only {', '.join(map(display_name, policy.on))} is retried"
    return ""


def backoff(policy: Retry, attempt: int, jitter: float) -> float:
    """Return the seconds between the failed attempt of number `attempt` (from 1) and the next one."""
    factor = policy.factor if policy.strategy == "exponential" else 1.0
    return Backoff(policy.initial, policy.max, factor, policy.jitter).delay(attempt, jitter)


def _delay_by_function(
    policy: Retry, function: RetryFunction, outcome: Outcome, attempt: int, jitter: float
) -> Decision[float | None]:
    try:
        answer = function(attempt, outcome.exception)
        if answer is None:
            return Decision(None, SettlementReason.NOT_RETRIED, "the retry function returned None")
        delay = parse_duration(answer)
    except BaseException as error:  # noqa: BLE001  # user code: even SystemExit must not end the worker here
        delay = backoff(policy, attempt, jitter)
        wrong = f"its retry function raised ({bare_name(type(error))}: {error_message(error)[:MESSAGE_LIMIT]})"
        return Decision(
            delay, SettlementReason.RETRIED, f"{wrong}; the strategy decides: the next one in {format_duration(delay)}"
        )
    return Decision(delay, SettlementReason.RETRIED, f"the next one in {format_duration(delay)}")


def _names(outcome: Outcome) -> set[str]:
    timed_out = _TIMEOUT_NAMES if outcome.kind is OutcomeKind.TIMED_OUT else ()
    return {outcome.error, *outcome.error_types, *timed_out}


def _describe_failure(outcome: Outcome) -> str:
    how = "timed out" if outcome.kind is OutcomeKind.TIMED_OUT else "failed"
    what = ": ".join(part for part in (outcome.error, outcome.message[:MESSAGE_LIMIT]) if part)
    return f"{how} ({what})" if what else how


def _dead_reason(outcome: Outcome) -> DeadReason:
    if outcome.not_retryable is not None:
        return DeadReason.DISCARDED if outcome.not_retryable is NotRetryable.DISCARDED else DeadReason.INVALID
    return DeadReason.TIMEOUT if outcome.kind is OutcomeKind.TIMED_OUT else DeadReason.ATTEMPTS


def _dead(history: History, dead_reason: DeadReason, reason: str, message: str) -> Decision[Settlement]:
    noted = replace(history, note=f"{reason}: {message}", reason=dead_reason)
    return Decision(Settlement(Disposition.DEAD, history=noted), reason, message)


def _record(outcome: Outcome, history: History, now: float, worker: str, delay: float | None) -> AttemptRecord:
    return AttemptRecord(
        attempt=history.attempts + history.crashes + 1,
        outcome=outcome.kind,
        at=now,
        error=outcome.error,
        message=outcome.message[:MESSAGE_LIMIT],
        traceback=outcome.traceback[-TRACEBACK_LIMIT:],
        delay=delay,
        worker=worker,
    )


def _add(history: History, record: AttemptRecord) -> History:
    return replace(history, entries=(*history.entries, record)[-HISTORY_LIMIT:], note="")
