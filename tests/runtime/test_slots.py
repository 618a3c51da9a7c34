"""Slots: what may be claimed, what is handed back, and what becomes of attempts that are stopped."""

import asyncio
import contextvars
from typing import Any

import pytest

from jobpools.core.jobs.job import Disposition, History, Outcome, OutcomeKind
from jobpools.runtime.slots import CANCEL_GRACE, MAX_WAIT, clock
from tests.runtime.harness import SlotsHarness

CANCELLED = Outcome(OutcomeKind.CANCELLED)
user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="none")


async def noop(_ctx: Any, _args: dict[str, Any]) -> None: ...


async def forever(_ctx: Any, _args: dict[str, Any]) -> None:
    await asyncio.Event().wait()


# What may be claimed


async def test_before_the_first_measurement_only_free_slots_are_claimed_for() -> None:
    harness = SlotsHarness(forever, size=3)
    assert harness.slots.room() == 3
    harness.slots.take([harness.attempt("a"), harness.attempt("b")])
    assert harness.slots.room() == 1


async def test_long_jobs_are_never_claimed_beyond_the_free_slots() -> None:
    harness = SlotsHarness(forever, size=10)
    harness.prefetch.observe(30.0)
    for free in range(10, 0, -1):
        assert harness.slots.room() == free
        harness.slots.take([harness.attempt(f"attempt {free}")])
    assert harness.slots.room() == 0


async def test_slots_with_a_slow_job_are_not_claimed_for() -> None:
    harness = SlotsHarness(forever, size=10)
    harness.prefetch.observe(0.005)
    attempts = [harness.attempt(str(n)) for n in range(9)]
    harness.slots.take(attempts)
    await harness.until_started(*attempts)
    harness.slots.check_deadlines(clock() + 1)
    assert harness.slots.room() == 1 + 10, "as many as one free slot starts within 50 ms"


async def test_draining_slots_claim_nothing_and_hand_back_what_waits() -> None:
    harness = SlotsHarness(forever)
    running, waiting = harness.attempt("running"), harness.attempt("waiting")
    harness.slots.take([running, waiting])
    assert harness.slots.drain() == 1
    assert harness.slots.room() == 0
    harness.slots.take([harness.attempt("late")])  # claimed by a step that was on its way
    assert harness.dispositions == {"waiting": Disposition.RETURN, "late": Disposition.RETURN}
    assert harness.slots.held == 1


# What is handed back


async def test_attempts_that_wait_too_long_are_handed_back_in_order() -> None:
    harness = SlotsHarness(forever)
    harness.slots.take([harness.attempt(name) for name in "abcd"])
    harness.slots.check_deadlines(clock() + MAX_WAIT - 0.05)
    assert len(harness.slots.waiting) == 3
    harness.slots.check_deadlines(clock() + MAX_WAIT + 0.05)
    assert len(harness.slots.waiting) == 0
    # Each goes to the head of its list, so the first one is handed back last.
    assert [lease for lease, _ in harness.settled] == ["d", "c", "b"]
    assert all(settlement.history == History() for _, settlement in harness.settled), "uncharged"


# What is stopped


async def test_an_attempt_cancelled_before_its_first_step_is_settled_and_never_runs() -> None:
    ran = []

    async def handler(_ctx: Any, _args: dict[str, Any]) -> None:
        ran.append(1)

    harness = SlotsHarness(handler)
    first, second = harness.attempt("first"), harness.attempt("second")
    harness.slots.take([first, second])  # the first has a task that has not started, the second waits
    task = first.task
    assert task is not None
    harness.slots.stop(first, CANCELLED)
    harness.slots.stop(second, CANCELLED)
    await asyncio.wait([task], timeout=5)
    assert harness.dispositions == {"first": Disposition.CANCEL, "second": Disposition.CANCEL}
    assert (ran, harness.slots.running, harness.slots.held) == ([], set(), 0)


async def test_a_stopped_attempt_keeps_its_outcome_whatever_its_code_does_then() -> None:
    async def outlast_cancellation(_ctx: Any, args: dict[str, Any]) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if args["then"] == "raises":
                raise ValueError("while cleaning up") from None
        return 7

    harness = SlotsHarness(outlast_cancellation, size=2, timeout=1.0)
    attempts = [harness.attempt("returns", then="returns"), harness.attempt("raises", then="raises")]
    harness.slots.take(attempts)
    await harness.until_started(*attempts)
    harness.slots.check_deadlines(clock() + 2)
    await harness.until_idle()
    for _, settlement in harness.settled:
        assert settlement.history.entries[-1].outcome is OutcomeKind.TIMED_OUT
        assert settlement.history.entries[-1].message == "ran longer than 1s"
    assert (len(harness.settled), harness.completed) == (2, [])


async def test_an_attempt_that_does_not_stop_is_settled_and_frees_its_slot() -> None:
    go_on = asyncio.Event()

    async def ignore_cancellation(_ctx: Any, _args: dict[str, Any]) -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    harness = SlotsHarness(ignore_cancellation, timeout=1.0)
    attempt = harness.attempt("ignores")
    harness.slots.take([attempt])
    try:
        await harness.until_started(attempt)
        harness.slots.check_deadlines(clock() + 2)
        await asyncio.sleep(0)
        harness.slots.check_deadlines(clock() + 2 + CANCEL_GRACE)
        assert (harness.slots.held, harness.left_behind.tasks) == (0, 1)
        assert harness.dispositions == {"ignores": Disposition.RETRY}
    finally:
        go_on.set()  # nothing else ends it, not even the end of the test
    async with asyncio.timeout(5):
        while harness.left_behind.tasks:  # noqa: ASYNC110  # the slots do not await it any more
            await asyncio.sleep(0)
    assert (harness.completed, len(harness.settled)) == ([], 1)


async def test_the_grace_of_a_stopped_attempt_starts_at_the_stop() -> None:
    harness = SlotsHarness(forever, timeout=60.0)
    attempt = harness.attempt("long")
    harness.slots.take([attempt])
    await harness.until_started(attempt)
    assert attempt.next_deadline == attempt.deadline
    harness.slots.stop(attempt, CANCELLED)
    assert attempt.next_deadline == attempt.abandon_at < attempt.deadline


async def test_an_attempt_whose_lease_was_lost_is_stopped_and_settles_nothing() -> None:
    harness = SlotsHarness(forever)
    running, waiting = harness.attempt("running"), harness.attempt("waiting")
    harness.slots.take([running, waiting])
    await harness.until_started(running)
    task = running.task
    assert task is not None
    harness.slots.lose(waiting)
    harness.slots.lose(running)
    assert (harness.slots.held, harness.metrics.stale) == (0, 2)
    await asyncio.wait([task], timeout=5)
    assert task.done()
    assert (harness.settled, harness.completed) == ([], [])
    assert running.is_cancelled, "a thread that continues can see it in its context"
    assert harness.slots.idle_since is not None


async def test_an_attempt_whose_lease_was_lost_before_its_first_step_never_runs() -> None:
    ran = []

    async def handler(_ctx: Any, _args: dict[str, Any]) -> None:
        ran.append(1)

    harness = SlotsHarness(handler)
    attempt = harness.attempt("lost")
    harness.slots.take([attempt])
    task = attempt.task
    assert task is not None
    harness.slots.lose(attempt)
    await asyncio.wait([task], timeout=5)
    assert (ran, harness.settled, harness.slots.held) == ([], [], 0)


# What attempts share


async def test_no_context_variable_passes_from_one_attempt_to_the_next_in_its_slot() -> None:
    seen = []

    async def handler(_ctx: Any, args: dict[str, Any]) -> None:
        seen.append(user.get())
        user.set(args["user"])

    harness = SlotsHarness(handler)
    harness.slots.take([harness.attempt(name, user=name) for name in ("ada", "grace", "alan")])
    await harness.until_idle()
    assert seen == ["none"] * 3


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError, GeneratorExit])
async def test_a_handler_that_raises_a_base_exception_ends_its_attempt_only(error: type[BaseException]) -> None:
    async def leave(_ctx: Any, _args: dict[str, Any]) -> None:
        raise error

    harness = SlotsHarness(leave)
    harness.slots.take([harness.attempt("leaves")])
    await harness.until_idle()
    assert harness.dispositions == {"leaves": Disposition.RETRY}
