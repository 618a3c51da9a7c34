"""The one failure path: what happens to a job after an attempt that did not complete."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given, strategies as st

from jobpools.core.decision import Decision
from jobpools.core.jobs.job import HISTORY_LIMIT, Disposition, History, Outcome, OutcomeKind, Settlement
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
PLAIN = Retry(jitter=0.0)

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
    ("story", "outcome", "policy", "history", "expected"),
    [
        ("a failure is retried later", FAILED, PLAIN, History(), ("retry", 1, "Retried")),
        ("a timeout likewise", TIMED_OUT, PLAIN, History(), ("retry", 1, "Retried")),
        ("the second delay is longer", FAILED, PLAIN, History(attempts=1), ("retry", 2, "Retried")),
        ("the last failure is final", FAILED, PLAIN, History(attempts=2), ("dead", None, "RetriesUsedUp")),
        ("no retries at all", FAILED, Retry(strategy="none"), History(), ("dead", None, "NotRetried")),
        ("one attempt in all", FAILED, Retry(max_attempts=1), History(), ("dead", None, "RetriesUsedUp")),
        ("nothing would change", dataclasses.replace(FAILED, final="it would end the same"), PLAIN, History(),
         ("dead", None, "NotRetried")),
        ("another exception", FAILED, Retry(on=("ValueError",)), History(), ("dead", None, "NotRetried")),
        ("a listed parent", FAILED, Retry(on=("OSError",), jitter=0), History(), ("retry", 1, "Retried")),
        ("a qualified name", FAILED, Retry(on=("builtins.ConnectionError",), jitter=0), History(), ("retry", 1,
         "Retried")),
        ("a listed timeout", TIMED_OUT, Retry(on=("TimeoutError",), jitter=0), History(),
         ("retry", 1, "Retried")),
        ("a timeout that is not listed", TIMED_OUT, Retry(on=("OSError",)), History(), ("dead", None, "NotRetried")),
        ("always the same delay", FAILED, Retry(strategy="fixed", initial=7, jitter=0, max_attempts=9),
         History(attempts=5), ("retry", 7, "Retried")),
        ("never above max", FAILED, Retry(max=10, jitter=0, max_attempts=99), History(attempts=50), ("retry", 10,
         "Retried")),
        ("a crash runs again at once", CRASHED, PLAIN, History(), ("retry", None, "Crashed")),
        ("crashes do not use up attempts", FAILED, PLAIN, History(attempts=1, crashes=2),
         ("retry", 2, "Retried")),
        ("attempts do not use up crashes", CRASHED, PLAIN, History(attempts=2, crashes=1), ("retry", None, "Crashed")),
        ("a crash is retried even if failures are not", CRASHED, Retry(strategy="none"), History(), ("retry", None,
         "Crashed")),
        ("poison stops", CRASHED, PLAIN, History(crashes=2), ("dead", None, "Crashed")),
        ("shutting down", Outcome(OutcomeKind.INTERRUPTED), PLAIN, History(attempts=2), ("return", None, "HandedBack")),
        ("nobody knows it", Outcome(OutcomeKind.UNRUNNABLE, message="no job x"), PLAIN, History(attempts=2), ("return",
         UNRUNNABLE_DELAY, "Unrunnable")),
        ("cancelled", Outcome(OutcomeKind.CANCELLED), PLAIN, History(), ("cancel", None, "Cancelled")),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_table(
    story: str, outcome: Outcome, policy: Retry, history: History, expected: tuple[str, float | None, str]
) -> None:
    decision = after(outcome, policy, history)
    assert (decision.value.disposition, decision.value.delay, decision.reason) == expected, story
    assert decision.message
    assert "\n" not in decision.message


def test_what_is_handed_back_is_not_charged() -> None:
    history = History(attempts=2, crashes=1, note="old")
    assert after(Outcome(OutcomeKind.INTERRUPTED), history=history).value.history == History(attempts=2, crashes=1)
    left = after(Outcome(OutcomeKind.UNRUNNABLE, message="no worker has registered mail"), history=history)
    assert left.value.history == History(attempts=2, crashes=1, note="no worker has registered mail")


def test_the_history_lists_all_attempts_and_why_the_job_is_dead() -> None:
    history = History()
    for outcome in (CRASHED, FAILED, TIMED_OUT, FAILED):
        history = after(outcome, history=history).value.history
    assert (history.attempts, history.crashes) == (3, 1)
    assert [attempt.attempt for attempt in history.entries] == [1, 2, 3, 4]
    assert [attempt.delay for attempt in history.entries] == [0.0, 1.0, 2.0, None]
    assert {attempt.worker for attempt in history.entries} == {"a.1"}
    assert history.note.startswith("RetriesUsedUp: attempt 3 of 3 failed (ConnectionError: refused)")


def test_a_function_decides_within_max_attempts() -> None:
    asked: list[tuple[int, BaseException | None]] = []

    def function(attempt: int, exception: BaseException | None) -> float | None:
        asked.append((attempt, exception))
        return 42.0

    error = ValueError("x")
    outcome = Outcome(OutcomeKind.FAILED, error="ValueError", exception=error)
    policy = Retry(function=function)
    assert after(outcome, policy, History(attempts=1)).value.delay == 42
    assert asked == [(2, error)]
    assert after(outcome, policy, History(attempts=2)).reason == "RetriesUsedUp"
    assert after(outcome, Retry(function=lambda *_: None)).reason == "NotRetried"


@pytest.mark.parametrize("answer", [math.nan, math.inf, -1.0, "soon"])
def test_a_function_that_talks_nonsense_counts_as_none(answer: float) -> None:
    decision = after(FAILED, Retry(function=lambda *_: answer, jitter=0))
    assert decision.value.delay == 1
    assert "its retry function raised" in decision.message


def test_a_function_that_raises_counts_as_none() -> None:
    def function(attempt: int, exception: BaseException | None) -> float | None:
        raise KeyError(attempt, exception)

    assert after(FAILED, Retry(function=function, jitter=0)).value.delay == 1


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_a_function_whose_error_cannot_say_what_it_is_counts_as_none() -> None:
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
