"""Several queues share one set of slots, by weight; an idle worker starts the jobs that it claims at once."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from jobpools.runtime.attempt import Attempt
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.dispatcher import Dispatcher
from jobpools.runtime.listener import Listener
from jobpools.runtime.outage import Outage
from jobpools.runtime.outbox import Outbox
from jobpools.runtime.slots import Slots
from tests.runtime.harness import SlotsHarness


class Queue:
    """The part of a consumer that the dispatcher reads when it divides free slots."""

    def __init__(self, name: str, weight: int) -> None:
        self.name, self.weight = name, weight
        self.may_have_jobs, self.is_leaving, self.errors = True, False, SimpleNamespace(is_backing_off=False)


def shares(queues: list[Queue], *rooms: int) -> dict[str, int]:
    """Return how many jobs are claimed from each queue when this much room is divided, one after the other."""
    dispatcher = Dispatcher(cast("list[Consumer]", queues), cast("Slots", None), Outage(), asyncio.Event())
    total: Counter[str] = Counter()
    for room in rooms:
        found = cast("dict[Any, int]", dispatcher.shares(room))
        ready = any(queue.may_have_jobs and not queue.errors.is_backing_off for queue in queues)
        assert sum(found.values()) == (room if ready else 0)
        total.update({queue.name: share for queue, share in found.items()})
    return dict(total)


def test_a_large_room_divides_by_weight() -> None:
    assert shares([Queue("a", 3), Queue("b", 1)], 100) == {"a": 75, "b": 25}


def test_one_slot_at_a_time_divides_by_weight_too() -> None:
    assert shares([Queue("a", 3), Queue("b", 1)], *[1] * 100) == {"a": 75, "b": 25}
    assert shares([Queue("a", 1), Queue("b", 1), Queue("c", 1)], *[1] * 9) == {"a": 3, "b": 3, "c": 3}


def test_a_queue_with_a_small_weight_gets_its_share() -> None:
    assert shares([Queue("a", 100), Queue("b", 1)], *[3] * 101)["b"] == 3


def test_only_queues_that_may_have_jobs_and_do_not_back_off_get_a_share() -> None:
    queues = [Queue("a", 1), Queue("b", 1), Queue("c", 1)]
    queues[0].may_have_jobs, queues[1].errors.is_backing_off = False, True
    assert shares(queues, 7) == {"c": 7}
    queues[2].may_have_jobs = False
    assert shares(queues, 7) == {}


def test_without_room_no_queue_gets_a_share() -> None:
    assert shares([Queue("a", 1), Queue("b", 2)], 0) == {}


class QueueWithJob(Queue):
    """The part of a consumer with one job that the dispatcher needs."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__("a", 1)
        self.outbox, self.is_draining = Outbox(), False
        self._claimed = [attempt]

    async def step(self, _claim: int) -> list[Attempt]:
        self.may_have_jobs = False
        return [self._claimed.pop()]

    def next_step_in(self) -> float:
        return 5.0


async def test_an_idle_worker_starts_a_claimed_job_before_it_prepares_its_next_step() -> None:
    events = list[str]()

    async def handler(_context: Any, _arguments: dict[str, Any]) -> None:
        events.append("started")

    def on_idle(*, wants_jobs: bool) -> None:  # noqa: ARG001  # the parameter of Listener.on_idle
        events.append("rests")
        dispatcher.finish()

    harness, listener = SlotsHarness(handler), cast("Listener", SimpleNamespace(on_idle=on_idle))
    queue = cast("Consumer", QueueWithJob(harness.attempt("job.1")))
    dispatcher = Dispatcher([queue], harness.slots, Outage(), asyncio.Event(), [listener])
    async with asyncio.timeout(5):
        await dispatcher.run()
    assert events == ["started", "rests"]
