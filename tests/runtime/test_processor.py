"""Slots: what may be claimed, what is handed back, and what becomes of attempts that are told to stop."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from jobpools.core.jobs.job import Attempt, Disposition, History, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.retry import Retry
from jobpools.core.text.names import WorkerId
from jobpools.runtime.attempt import Entry, Run
from jobpools.runtime.lane import Lane
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.processor import CANCEL_PATIENCE, HOARDED_AFTER, PREFETCH_LIMIT, Processor, clock
from jobpools.runtime.services import Services
from jobpools.store.codec import Envelope
from jobpools.store.draws import fresh_id

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


class Queue:
    """Where a lane would stand: keeps what it is told to settle."""

    def __init__(self, processor: Processor) -> None:
        self.worker, self.services = processor.worker, processor.services
        self.held: dict[str, Run] = {}
        self.completed: list[str] = []
        self.settled: list[tuple[str, Settlement]] = []

    def complete(self, member: str, _result: bytes, _seconds: float, _ttl: float) -> None:
        self.held.pop(member)
        self.completed.append(member)

    def settle(self, member: str, _priority: Priority, settlement: Settlement) -> None:
        self.settled.append((member, settlement))

    def ends(self) -> dict[str, Disposition]:
        return {member: settlement.disposition for member, settlement in self.settled}


class Bench:
    """A processor with jobs of one handler."""

    def __init__(self, handler: Callable[..., Any], slots: int = 1, **entry: Any) -> None:
        self.processor = Processor(
            slots=slots,
            worker=WorkerId("host.1"),
            services=Services(),
            metrics=Metrics("default/test"),
            max_result=1000,
        )
        self.queue = Queue(self.processor)
        self.entry = Entry("job", self.processor._metrics.tally("job"))
        self.entry.call = handler
        self.entry.decode = lambda raw: msgspec.json.decode(raw, type=dict)
        self.entry.encode_result = msgspec.json.encode
        values = {"timeout": 60.0, "retry": Retry(), "result_ttl": 60.0, "max_crashes": 3} | entry
        for name, value in values.items():
            setattr(self.entry, name, value)

    def run(self, name: str, crashes: int = 0, **args: Any) -> Run:
        envelope = Envelope(1, fresh_id(), "job", "default", msgspec.Raw(msgspec.json.encode(args)))
        entries = (Attempt(1, OutcomeKind.CRASHED, 0.0),) * crashes
        history = History(crashes=crashes, entries=entries) if crashes else None
        run = Run(cast("Lane", self.queue), name, envelope, self.entry, history)
        self.queue.held[name] = run
        return run

    async def idle(self) -> None:
        async with asyncio.timeout(5):
            while self.processor.held:  # noqa: ASYNC110  # its attempts are no tasks of ours
                await asyncio.sleep(0)


async def noop(_ctx: Any, _args: dict[str, Any]) -> None: ...


async def forever(_ctx: Any, _args: dict[str, Any]) -> None:
    await asyncio.Event().wait()


# What may be claimed


async def test_as_long_as_nothing_was_measured_only_free_slots_count() -> None:
    bench = Bench(forever, slots=3)
    assert bench.processor.room() == 3
    bench.processor.take([bench.run("a"), bench.run("b")])
    assert bench.processor.room() == 1


@pytest.mark.parametrize("mean", [0.6, 1.0, 30.0, 600.0])
async def test_long_jobs_are_never_claimed_beyond_the_free_slots(mean: float) -> None:
    bench = Bench(forever, slots=10)
    bench.processor.mean = mean
    for free in range(10, 0, -1):
        assert bench.processor.room() == free
        bench.processor.take([bench.run(f"run {free}")])
    assert bench.processor.room() == 0


@pytest.mark.parametrize(
    ("mean", "beyond"), [(0.1, 5), (0.05, 10), (0.005, 100), (0.0001, PREFETCH_LIMIT), (0.0, PREFETCH_LIMIT)]
)
async def test_short_jobs_are_claimed_as_far_as_they_start_soon(mean: float, beyond: int) -> None:
    bench = Bench(forever, slots=10)
    bench.processor.mean = mean
    assert bench.processor.room() == 10 + beyond


async def test_slots_that_hold_a_slow_job_start_nothing_soon() -> None:
    bench = Bench(forever, slots=10)
    bench.processor.mean = 0.005
    bench.processor.take([bench.run(str(n)) for n in range(9)])
    await asyncio.sleep(0)
    bench.processor.look(clock() + 1)
    assert bench.processor.room() == 1 + 10, "what one free slot starts within 50 ms"


async def test_nothing_is_claimed_any_more_when_it_stops() -> None:
    bench = Bench(noop)
    bench.processor.stopping = True
    assert bench.processor.room() == 0
    bench.processor.take([bench.run("late")])  # an answer that was on its way
    assert bench.queue.ends() == {"late": Disposition.RETURN}
    assert bench.processor.held == 0


# What is handed back


async def test_what_waits_too_long_for_a_slot_goes_back_in_its_order() -> None:
    bench = Bench(forever)
    bench.processor.take([bench.run(name) for name in "abcd"])
    bench.processor.look(clock() + HOARDED_AFTER - 0.05)
    assert len(bench.processor.waiting) == 3
    bench.processor.look(clock() + HOARDED_AFTER + 0.05)
    assert len(bench.processor.waiting) == 0
    # Each goes to the head of its list: the one that shall come first is put there last.
    assert [member for member, _ in bench.queue.settled] == ["d", "c", "b"]
    assert all(settlement.history == History() for _, settlement in bench.queue.settled), "uncharged"


# What is told to stop


async def test_an_attempt_cancelled_before_its_first_step_is_settled_and_never_runs() -> None:
    ran = []

    async def handler(_ctx: Any, _args: dict[str, Any]) -> None:
        ran.append(1)

    bench = Bench(handler)
    first, second = bench.run("first"), bench.run("second")
    bench.processor.take([first, second])  # the first has a task that has not begun, the second waits
    bench.processor.stop(first, OutcomeKind.CANCELLED)
    bench.processor.stop(second, OutcomeKind.CANCELLED)
    await bench.idle()
    await asyncio.sleep(0.01)
    assert bench.queue.ends() == {"first": Disposition.CANCEL, "second": Disposition.CANCEL}
    assert (ran, bench.processor.running) == ([], set())


async def test_what_an_attempt_was_told_counts_whatever_it_does_then() -> None:
    async def stubborn(_ctx: Any, args: dict[str, Any]) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if args["then"] == "raises":
                raise ValueError("while cleaning up") from None
        return 7

    bench = Bench(stubborn, slots=2, timeout=1.0)
    bench.processor.take([bench.run("returns", then="returns"), bench.run("raises", then="raises")])
    await asyncio.sleep(0)
    bench.processor.look(clock() + 2)
    await bench.idle()
    for _, settlement in bench.queue.settled:
        assert settlement.history.entries[-1].outcome is OutcomeKind.TIMED_OUT
        assert settlement.history.entries[-1].message == "ran longer than 1s"
    assert (len(bench.queue.settled), bench.queue.completed) == (2, [])


async def test_an_attempt_that_does_not_stop_loses_its_slot_and_its_say() -> None:
    go_on = asyncio.Event()

    async def deaf(_ctx: Any, _args: dict[str, Any]) -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    bench = Bench(deaf, timeout=1.0)
    bench.processor.take([bench.run("deaf")])
    try:
        await asyncio.sleep(0)
        bench.processor.look(clock() + 2)
        await asyncio.sleep(0)
        bench.processor.look(clock() + 2 + CANCEL_PATIENCE)
        assert (bench.processor.held, bench.processor.stuck) == (0, 1)
        assert bench.queue.ends() == {"deaf": Disposition.RETRY}
    finally:
        go_on.set()  # else nothing could end it, the end of the test included
    async with asyncio.timeout(5):
        while bench.processor.stuck:  # noqa: ASYNC110  # it is nobody's task any more
            await asyncio.sleep(0)
    assert (bench.queue.completed, len(bench.queue.settled)) == ([], 1)


async def test_an_attempt_whose_lease_was_lost_is_stopped_and_settles_nothing() -> None:
    bench = Bench(forever, slots=1)
    running, waiting = bench.run("running"), bench.run("waiting")
    bench.processor.take([running, waiting])
    await asyncio.sleep(0)
    task = running.task
    assert task is not None
    bench.processor.lost(waiting)
    bench.processor.lost(running)
    assert (bench.processor.held, bench.processor._metrics.stale) == (0, 2)
    await asyncio.wait([task], timeout=5)
    assert task.done()
    assert (bench.queue.settled, bench.queue.completed) == ([], [])
    assert bench.processor.idle_since is not None


async def test_one_whose_lease_was_lost_before_its_first_step_never_runs() -> None:
    ran = []

    async def handler(_ctx: Any, _args: dict[str, Any]) -> None:
        ran.append(1)

    bench = Bench(handler)
    run = bench.run("lost")
    bench.processor.take([run])
    bench.processor.lost(run)
    await asyncio.sleep(0.01)
    assert (ran, bench.queue.settled, bench.processor.held) == ([], [], 0)


# What attempts share


async def test_no_context_variable_passes_from_one_attempt_to_the_next_in_its_slot() -> None:
    seen = []

    async def handler(_ctx: Any, args: dict[str, Any]) -> None:
        seen.append(who.get())
        who.set(args["user"])

    bench = Bench(handler)
    bench.processor.take([bench.run("a", user="ada"), bench.run("b", user="grace"), bench.run("c", user="alan")])
    await bench.idle()
    assert seen == ["nobody"] * 3


async def test_of_jobs_that_may_crash_only_once_more_one_is_run_and_the_rest_is_left_to_others() -> None:
    bench = Bench(forever, slots=4)
    runs = [bench.run(f"suspect {n}", crashes=2) for n in range(3)]
    beside = [bench.run("first crash", crashes=1), bench.run("fresh")]
    bench.processor.take([*runs, *beside])
    assert set(bench.queue.ends()) == {"suspect 1", "suspect 2"}
    for _, settlement in bench.queue.settled:
        assert settlement.disposition is Disposition.RETURN
        assert settlement.delay is not None, "not at once, or this worker would claim it again"
        assert settlement.history.crashes == 2, "neither charged nor forgiven"
    await asyncio.sleep(0.02)
    assert {run.member for run in bench.processor.running if run.started} == {"first crash", "fresh"}
    for name in ("suspect 1", "suspect 2"):
        del bench.queue.held[name]  # their settlements have reached Redis
    await asyncio.sleep(0.02)
    assert runs[0].started, "only now may it take the worker down"
    bench.processor.take([bench.run("suspect 3", crashes=2)])
    assert "suspect 3" in bench.queue.ends()
    assert [run.member for run in bench.processor.quarantine._sent_away] == ["suspect 3"], (
        "those that are gone are forgotten"
    )
    bench.processor.stop(runs[0], OutcomeKind.CANCELLED)
    await asyncio.sleep(0.01)
    bench.processor.take([last := bench.run("suspect 4", crashes=2)])
    del bench.queue.held["suspect 3"]
    await asyncio.sleep(0.02)
    assert last.started
    for run in list(bench.processor.running):
        bench.processor.stop(run, OutcomeKind.INTERRUPTED)
    await bench.idle()


async def test_a_handler_that_raises_what_is_no_exception_ends_its_attempt_and_not_the_worker() -> None:
    async def leave(_ctx: Any, args: dict[str, Any]) -> None:
        raise {"exit": SystemExit, "cancel": asyncio.CancelledError, "generator": GeneratorExit}[args["how"]]

    bench = Bench(leave, slots=3)
    bench.processor.take([bench.run(how, how=how) for how in ("exit", "cancel", "generator")])
    await bench.idle()
    assert bench.queue.ends() == dict.fromkeys(("exit", "cancel", "generator"), Disposition.RETRY)
