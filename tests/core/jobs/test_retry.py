"""What happens to a job after an attempt that did not complete."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given, strategies as st

from jobpools.core.decision import Decision
from jobpools.core.jobs.job import (
    HISTORY_LIMIT,
    DeadReason,
    Disposition,
    History,
    NotRetryable,
    Outcome,
    OutcomeKind,
    Settlement,
)
from jobpools.core.jobs.reasons import SettlementReason
from jobpools.core.jobs.retry import UNRUNNABLE_DELAY, Retry, backoff, settle

NOW = 1_000_000.0
FAILED = Outcome(
    OutcomeKind.FAILED,
    error="ConnectionError",
    message="refused",
    error_types=("builtins.ConnectionError", "ConnectionError", "builtins.OSError", "OSError", "Exception"),
)
TIMED_OUT = Outcome(OutcomeKind.TIMED_OUT, message="ran longer than 5m")
CRASHED = Outcome(OutcomeKind.CRASHED, error="WorkerLost")
RETRY_AFTER = dataclasses.replace(FAILED, retry_after=30.0)
INVALID = dataclasses.replace(FAILED, not_retryable=NotRetryable.ARGUMENTS)
INVALID_RESULT = dataclasses.replace(FAILED, not_retryable=NotRetryable.RESULT)
DISCARDED = dataclasses.replace(FAILED, not_retryable=NotRetryable.DISCARDED)
SNOOZED = Outcome(OutcomeKind.SNOOZED, message="not ready", delay=600.0)
EXPIRED = Outcome(OutcomeKind.EXPIRED, message="it was not started within 1h")
PLAIN = Retry(jitter=0.0)
RETRIED, NOT_RETRIED = SettlementReason.RETRIED, SettlementReason.NOT_RETRIED
USED_UP, CRASH = SettlementReason.RETRIES_USED_UP, SettlementReason.CRASHED
HANDED_BACK, UNRUNNABLE = SettlementReason.HANDED_BACK, SettlementReason.UNRUNNABLE
CANCELLED = SettlementReason.CANCELLED

outcomes = st.sampled_from([FAILED, TIMED_OUT, CRASHED])
draws = st.floats(0, 1, exclude_max=True)
policies = st.builds(
    Retry,
    strategy=st.sampled_from(["none", "fixed", "exponential"]),
    max_attempts=st.integers(1, 50),
    initial=st.floats(0, 1e6),
    max=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    jitter=st.floats(0, 1),
)


def after(
    outcome: Outcome, policy: Retry = PLAIN, history: History | None = None, max_crashes: int = 3
) -> Decision[Settlement]:
    return settle(outcome, policy, history or History(), NOW, 0.0, max_crashes=max_crashes, worker="a.1")


@pytest.mark.parametrize(
    ("name", "outcome", "policy", "history", "expected"),
    [
        ("a failure is retried later", FAILED, PLAIN, History(), ("retry", 1, RETRIED)),
        ("a timeout is retried later", TIMED_OUT, PLAIN, History(), ("retry", 1, RETRIED)),
        ("the second delay is longer", FAILED, PLAIN, History(attempts=1), ("retry", 2, RETRIED)),
        ("the last failure is final", FAILED, PLAIN, History(attempts=2), ("dead", None, USED_UP)),
        ("the strategy none", FAILED, Retry(strategy="none"), History(), ("dead", None, NOT_RETRIED)),
        ("a single attempt", FAILED, Retry(max_attempts=1), History(), ("dead", None, USED_UP)),
        ("invalid arguments", INVALID, PLAIN, History(), ("dead", None, NOT_RETRIED)),
        ("an invalid result", INVALID_RESULT, PLAIN, History(), ("dead", None, NOT_RETRIED)),
        ("another exception", FAILED, Retry(on=("ValueError",)), History(), ("dead", None, NOT_RETRIED)),
        ("a listed parent", FAILED, Retry(on=("OSError",), jitter=0), History(), ("retry", 1, RETRIED)),
        ("a qualified name", FAILED, Retry(on=("builtins.ConnectionError",), jitter=0), History(),
         ("retry", 1, RETRIED)),
        ("a listed timeout", TIMED_OUT, Retry(on=("TimeoutError",), jitter=0), History(),
         ("retry", 1, RETRIED)),
        ("a timeout that is not listed", TIMED_OUT, Retry(on=("OSError",)), History(), ("dead", None, NOT_RETRIED)),
        ("always the same delay", FAILED, Retry(strategy="fixed", initial=7, jitter=0, max_attempts=9),
         History(attempts=5), ("retry", 7, RETRIED)),
        ("never above max", FAILED, Retry(max=10, jitter=0, max_attempts=99), History(attempts=50),
         ("retry", 10, RETRIED)),
        ("a crash runs again at once", CRASHED, PLAIN, History(), ("retry", None, CRASH)),
        ("crashes do not use up attempts", FAILED, PLAIN, History(attempts=1, crashes=2),
         ("retry", 2, RETRIED)),
        ("attempts do not use up crashes", CRASHED, PLAIN, History(attempts=2, crashes=1), ("retry", None, CRASH)),
        ("a crash is retried even if failures are not", CRASHED, Retry(strategy="none"), History(),
         ("retry", None, CRASH)),
        ("the last crash is final", CRASHED, PLAIN, History(crashes=2), ("dead", None, CRASH)),
        ("the worker stops", Outcome(OutcomeKind.INTERRUPTED), PLAIN, History(attempts=2),
         ("return", None, HANDED_BACK)),
        ("an unknown handler", Outcome(OutcomeKind.UNRUNNABLE, message="no job x"), PLAIN, History(attempts=2),
         ("return", UNRUNNABLE_DELAY, UNRUNNABLE)),
        ("cancelled", Outcome(OutcomeKind.CANCELLED), PLAIN, History(), ("cancel", None, CANCELLED)),
        ("a timeout that the policy does not retry", TIMED_OUT, Retry(on_timeout=False), History(),
         ("dead", None, NOT_RETRIED)),
        ("a failure where timeouts are not retried", FAILED, Retry(on_timeout=False, jitter=0), History(),
         ("retry", 1, RETRIED)),
        ("a timeout with the group network", TIMED_OUT, Retry(on=["network"], jitter=0), History(),
         ("retry", 1, RETRIED)),
        ("a timeout with the group database", TIMED_OUT, Retry(on=["database"]), History(),
         ("dead", None, NOT_RETRIED)),
        ("the handler's own delay", RETRY_AFTER, Retry(on=["ValueError"], function=lambda *_: None), History(),
         ("retry", 30, RETRIED)),
        ("the handler's own delay after the last attempt", RETRY_AFTER, PLAIN, History(attempts=2),
         ("dead", None, USED_UP)),
        ("the handler's own delay with the strategy none", RETRY_AFTER, Retry(strategy="none"), History(),
         ("dead", None, NOT_RETRIED)),
        ("discarded", DISCARDED, PLAIN, History(), ("dead", None, SettlementReason.DISCARDED)),
        ("snoozed", SNOOZED, PLAIN, History(attempts=2), ("return", 600, SettlementReason.SNOOZED)),
        ("expired", EXPIRED, PLAIN, History(attempts=1), ("dead", None, SettlementReason.EXPIRED)),
    ],
    ids=lambda value: value if type(value) is str else "",
)  # fmt: skip
def test_the_settlement_of_an_outcome(
    name: str, outcome: Outcome, policy: Retry, history: History, expected: tuple[str, float | None, str]
) -> None:
    decision = after(outcome, policy, history)
    assert (decision.value.disposition, decision.value.delay, decision.reason) == expected, name
    assert decision.message
    assert "\n" not in decision.message


def test_an_attempt_that_is_handed_back_does_not_count() -> None:
    history = History(attempts=2, crashes=1, note="old")
    assert after(Outcome(OutcomeKind.INTERRUPTED), history=history).value.history == History(attempts=2, crashes=1)
    left = after(Outcome(OutcomeKind.UNRUNNABLE, message="no worker has registered mail"), history=history)
    assert left.value.history == History(attempts=2, crashes=1, note="no worker has registered mail")


@pytest.mark.parametrize(
    ("outcome", "policy", "history", "reason"),
    [
        (FAILED, PLAIN, History(attempts=2), DeadReason.ATTEMPTS),
        (FAILED, Retry(strategy="none"), History(), DeadReason.ATTEMPTS),
        (TIMED_OUT, PLAIN, History(attempts=2), DeadReason.TIMEOUT),
        (TIMED_OUT, Retry(on_timeout=False), History(), DeadReason.TIMEOUT),
        (CRASHED, PLAIN, History(crashes=2), DeadReason.CRASHED),
        (INVALID, PLAIN, History(), DeadReason.INVALID),
        (INVALID_RESULT, PLAIN, History(), DeadReason.INVALID),
        (DISCARDED, PLAIN, History(), DeadReason.DISCARDED),
        (EXPIRED, PLAIN, History(), DeadReason.EXPIRED),
        (FAILED, PLAIN, History(), None),
        (CRASHED, PLAIN, History(), None),
        (SNOOZED, PLAIN, History(), None),
    ],
)
def test_the_reason_of_a_dead_letter(
    outcome: Outcome, policy: Retry, history: History, reason: DeadReason | None
) -> None:
    settlement = after(outcome, policy, history).value
    assert settlement.history.reason is reason
    assert (settlement.disposition is Disposition.DEAD) == (reason is not None)


def test_snoozes_and_expiry_charge_no_attempt() -> None:
    history = History(attempts=1, crashes=1)
    assert after(SNOOZED, history=history).value.history == dataclasses.replace(history, snoozes=1)
    expired = after(EXPIRED, history=history).value.history
    assert (expired.attempts, expired.crashes, expired.entries) == (1, 1, ())
    assert expired.note == "Expired: it was not started within 1h"


def test_the_history_lists_all_attempts_and_why_the_job_is_dead() -> None:
    history = History()
    for outcome in (CRASHED, FAILED, TIMED_OUT, FAILED):
        history = after(outcome, history=history).value.history
    assert (history.attempts, history.crashes) == (3, 1)
    assert [attempt.attempt for attempt in history.entries] == [1, 2, 3, 4]
    assert [attempt.delay for attempt in history.entries] == [0.0, 1.0, 2.0, None]
    assert {attempt.worker for attempt in history.entries} == {"a.1"}
    assert history.note.startswith("RetriesUsedUp: attempt 3 of 3 failed (ConnectionError: refused)")


def test_a_retry_function_decides_within_max_attempts() -> None:
    asked: list[tuple[int, BaseException | None]] = []

    def function(attempt: int, exception: BaseException | None) -> float | None:
        asked.append((attempt, exception))
        return 42.0

    error = ValueError("x")
    outcome = Outcome(OutcomeKind.FAILED, error="ValueError", exception=error)
    policy = Retry(function=function)
    assert after(outcome, policy, History(attempts=1)).value.delay == 42
    assert asked == [(2, error)]
    assert after(outcome, policy, History(attempts=2)).reason == SettlementReason.RETRIES_USED_UP
    assert after(outcome, Retry(function=lambda *_: None)).reason == SettlementReason.NOT_RETRIED


@pytest.mark.parametrize("answer", [math.nan, math.inf, -1.0, "soon"])
def test_an_invalid_answer_of_a_retry_function_gives_the_delay_of_the_strategy(answer: float) -> None:
    decision = after(FAILED, Retry(function=lambda *_: answer, jitter=0))
    assert decision.value.delay == 1
    assert "its retry function raised" in decision.message


def test_a_retry_function_that_raises_gives_the_delay_of_the_strategy() -> None:
    def function(attempt: int, exception: BaseException | None) -> float | None:
        raise KeyError(attempt, exception)

    assert after(FAILED, Retry(function=function, jitter=0)).value.delay == 1


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_retry_function_whose_error_has_no_text_gives_the_delay_of_the_strategy() -> None:
    def function(attempt: int, exception: BaseException | None) -> float | None:
        raise MuteError(attempt, exception)

    assert after(FAILED, Retry(function=function, jitter=0)).value.delay == 1


@given(policies, st.integers(1, 10**9), draws)
def test_a_delay_stays_within_its_bounds(policy: Retry, attempt: int, draw: float) -> None:
    delay = backoff(policy, attempt, draw)
    assert math.isfinite(delay)
    assert 0 <= delay <= policy.max
    full = backoff(policy, attempt, 0.0)
    assert full * (1 - policy.jitter) * (1 - 1e-9) <= delay <= full


@given(policies, draws)
def test_delays_never_decrease(policy: Retry, draw: float) -> None:
    delays = [backoff(policy, attempt, draw) for attempt in range(1, 30)]
    assert all(a <= b * (1 + 1e-9) for a, b in itertools.pairwise(delays))


@given(st.lists(outcomes, max_size=80), policies, st.integers(1, 20), draws)
def test_every_history_ends_and_stays_bounded(
    story: list[Outcome], policy: Retry, max_crashes: int, draw: float
) -> None:
    history = History()
    for outcome in story:
        settlement = settle(outcome, policy, history, NOW, draw, max_crashes=max_crashes).value
        assert settlement.history.attempts + settlement.history.crashes == history.attempts + history.crashes + 1
        history = settlement.history
        assert len(history.entries) <= HISTORY_LIMIT
        assert history.attempts <= policy.max_attempts
        assert history.crashes <= max_crashes
        if settlement.disposition is Disposition.DEAD:
            return
        assert history.crashes < max_crashes
        assert history.attempts < policy.max_attempts
    assert len(story) < policy.max_attempts + max_crashes
