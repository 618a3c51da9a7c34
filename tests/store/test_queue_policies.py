"""The policy of a queue: its limits while jobs are enqueued, and its pause while they are claimed."""

import pytest
from redis import Redis

from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.overflow import Overflow
from jobpools.core.jobs.policies import Limits, QueueLimits
from jobpools.errors import QueueFullError
from jobpools.store import keys, ledger
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.enqueue import Batch, Receipt, enqueue_batch
from jobpools.store.job_changes import Selected, reschedule
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.queue_policies import parse_policy, pause, read_policy, resume, set_limits
from jobpools.store.step import settle_and_claim
from tests.store.attempts import failed, settled
from tests.store.conftest import QUEUE, Send

ACCEPTED, FULL, DROPPED = Receipt.ACCEPTED, Receipt.FULL, Receipt.DROPPED


async def claimed(store: Connection, fence: int) -> list[str]:
    reply = await settle_and_claim(
        store, QUEUE, "web-1.a", claim=10, lease_suffix=lease_suffix_of("web-1.a", fence), lease_ms=10_000
    )
    return [job_id.decode() for job_id in reply.ids]


async def test_a_queue_without_a_policy_has_the_default_limits(store: Connection) -> None:
    found = await read_policy(store, QUEUE)
    assert (found.limits, found.pause) == (Limits(10_000, Overflow.BLOCK, 10_000), None)


async def test_a_limit_that_is_not_named_stays(store: Connection) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_depth=5, overflow=Overflow.DROP_NEWEST))
    found = await set_limits(store, QUEUE, QueueLimits(max_scheduled=0))
    assert found.limits == Limits(5, Overflow.DROP_NEWEST, 0)
    assert (await read_endpoint(store, {"": [QUEUE]})).queues[QUEUE].limits == found.limits  # type: ignore[index]


@pytest.mark.parametrize(
    "junk", [{"max_depth": "many"}, {"overflow": "Explode"}, {"paused": "since noon"}, {"x": "\xff"}]
)
def test_a_field_that_cannot_be_read_counts_as_not_set(junk: dict[str, str]) -> None:
    found = parse_policy({name.encode(): value.encode() for name, value in junk.items()})
    assert found.limits == Limits()
    assert (found.pause is not None) == ("paused" in junk), "a pause of an unknown time is a pause"


@pytest.mark.parametrize(
    ("overflow", "receipts", "queued", "dead"),
    [
        (Overflow.BLOCK, [ACCEPTED, ACCEPTED, FULL, FULL], ["a", "b"], []),
        (Overflow.DROP_NEWEST, [ACCEPTED, ACCEPTED, DROPPED, DROPPED], ["a", "b"], ["c", "d"]),
        (Overflow.DROP_OLDEST, [ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED], ["c", "d"], ["a", "b"]),
    ],
)
async def test_a_full_queue(  # a row of the table
    store: Connection, job: Send, overflow: Overflow, receipts: list[Receipt], queued: list[str], dead: list[str]
) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_depth=2, overflow=overflow))
    assert await enqueue_batch(store, Batch(QUEUE, [job(each) for each in "abcd"])) == receipts
    assert await claimed(store, 1) == queued
    for job_id in dead:
        view = await read_job(store, QUEUE, job_id)
        assert view is not None
        assert (view.state, view.history.note) == (
            JobState.DEAD, f"Overflow: the queue was full (maxDepth 2), and its overflow is {overflow}",
        )  # fmt: skip
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (counts.dead, counts.lost) == (len(dead), 0), "a dropped job is never silent"


async def test_the_oldest_of_the_lowest_priority_are_dropped(store: Connection, job: Send) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_depth=3, overflow=Overflow.DROP_OLDEST))
    jobs = [job("h", "high"), job("n1"), job("n2"), job("l", "low"), job("h2", "high")]
    await enqueue_batch(store, Batch(QUEUE, jobs))
    assert await claimed(store, 1) == ["h", "h2", "n2"]


async def test_a_lowered_limit_is_reached_two_jobs_at_a_time(store: Connection, job: Send) -> None:
    await enqueue_batch(store, Batch(QUEUE, [job(f"{number}") for number in range(100)]))
    await set_limits(store, QUEUE, QueueLimits(max_depth=10, overflow=Overflow.DROP_OLDEST))
    await enqueue_batch(store, Batch(QUEUE, [job("new")]))
    assert (await ledger.read(store, [QUEUE]))[QUEUE].ready == 99


async def test_a_scheduled_job_drops_none_of_the_queued_jobs(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_batch(store, Batch(QUEUE, [job("a"), job("b")]))
    await set_limits(store, QUEUE, QueueLimits(max_depth=1, overflow=Overflow.DROP_OLDEST))
    before = raw.hkeys(keys.of_queue(QUEUE, "totals"))
    assert await enqueue_batch(store, Batch(QUEUE, [job("c", delay=60)])) == [ACCEPTED]
    assert raw.hkeys(keys.of_queue(QUEUE, "totals")) == before, "nothing was dropped, so nothing is counted"


async def test_room_is_counted_without_ids_that_are_known(store: Connection, job: Send) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_depth=2))
    await enqueue_batch(store, Batch(QUEUE, [job("a")]))
    assert await enqueue_batch(store, Batch(QUEUE, [job("a"), job("b"), job("c")])) == [Receipt.KNOWN, ACCEPTED, FULL]


async def test_scheduled_jobs_have_a_limit_of_their_own(store: Connection, job: Send) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_depth=1, max_scheduled=2))
    jobs = [job("now"), *[job(each, delay=60) for each in "abc"]]
    assert await enqueue_batch(store, Batch(QUEUE, jobs)) == [ACCEPTED, ACCEPTED, ACCEPTED, Receipt.SCHEDULE_FULL]


async def test_a_queued_job_is_rescheduled_only_while_the_limit_allows_it(store: Connection, job: Send) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_scheduled=2))
    await enqueue_batch(store, Batch(QUEUE, [job("a"), job("b"), job("later", delay=60)]))
    selected = [Selected(each, priority="normal") for each in ("later", "a", "b")]
    with pytest.raises(QueueFullError, match=f"queue {QUEUE}: it has as many scheduled jobs as maxScheduled allows; "):
        assert [page.changed async for page in reschedule(store, QUEUE, selected, "60000")] == [2]
    still_queued = await claimed(store, 1)
    assert still_queued in (["a"], ["b"]), "the calls are in flight at the same time: either comes first"
    await settled(store, still_queued[0] + lease_suffix_of("web-1.a", 1), failed(attempts=3))
    view = await read_job(store, QUEUE, still_queued[0])
    assert view is not None
    assert view.state is JobState.SCHEDULED, "a retry always fits"


async def test_zero_is_unlimited(store: Connection, job: Send) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_depth=0))
    for start in range(0, 10_500, 500):
        jobs = [job(f"{start + number}") for number in range(500)]
        assert await enqueue_batch(store, Batch(QUEUE, jobs)) == [ACCEPTED] * 500
    await set_limits(store, QUEUE, QueueLimits(max_depth=10_501))
    assert await enqueue_batch(store, Batch(QUEUE, [job("y"), job("z")])) == [ACCEPTED, FULL]


async def test_no_worker_claims_from_a_paused_queue(store: Connection, raw: Redis, job: Send) -> None:
    found = await pause(store, QUEUE, by="ada", reason="the mail server is down")
    assert found.pause is not None
    assert str(found.pause) == "paused by ada: the mail server is down"
    assert abs(found.pause.since - raw.time()[0]) < 5
    await enqueue_batch(store, Batch(QUEUE, [job("a"), job("b", delay=0.001)]))
    assert await claimed(store, 1) == []
    assert not raw.exists(keys.of_queue(QUEUE, "wake")), "no worker is woken for nothing"
    facts = (await read_endpoint(store, {"": [QUEUE]})).queues[QUEUE]  # type: ignore[index]
    assert (facts.pause, facts.demand, facts.longest_wait) == (found.pause, 0, 0.0)
    assert facts.queued + facts.due == 2


async def test_now_is_a_time_only_as_the_value_of_paused(store: Connection) -> None:
    found = await pause(store, QUEUE, by="now", reason="now")
    assert str(found.pause) == "paused by now: now"


async def test_a_resumed_queue_wakes_a_worker_and_the_operator(store: Connection, raw: Redis, job: Send) -> None:
    await pause(store, QUEUE, by="ada", reason="")
    await enqueue_batch(store, Batch(QUEUE, [job("a")]))
    with raw.pubsub() as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(keys.WAKE_CHANNEL)
        assert heard.get_message(timeout=5) is not None
        assert (await resume(store, QUEUE)).pause is None
        message = heard.get_message(timeout=5)
    assert message is not None
    assert message["data"] == QUEUE.encode()
    assert raw.exists(keys.of_queue(QUEUE, "wake"))
    assert await claimed(store, 1) == ["a"]
