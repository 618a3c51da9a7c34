"""What is seen of queues, jobs and workers, with the time as an argument."""

from typing import Any

import pytest
from redis import Redis

from jobpools.core.jobs.job import Disposition, History, JobState, Outcome, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.retry import Retry, settle
from jobpools.core.pools.facts import Heartbeat, QueueFacts
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import force_drain_locks
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.enqueue import enqueue_jobs
from jobpools.store.heartbeats import forget_worker, write_heartbeat
from jobpools.store.job_ids import new_id
from jobpools.store.job_lists import read_jobs
from jobpools.store.jobs import read_job, read_result
from jobpools.store.lease_ids import claim_suffix, split_lease_id
from jobpools.store.records import completed_record
from jobpools.store.server import pool_keys, queue_names, server_warnings
from jobpools.store.step import Completed, Settled, settle_and_claim
from tests.store.conftest import QUEUE, Send

NOW = 1_900_000_000_000
AT = NOW / 1000
POOL = "default/shop"


async def facts(store: Connection, now: int = NOW, queue: str = QUEUE) -> QueueFacts:
    return next(iter((await read_endpoint(store, {POOL: [queue]}, now)).queues.values()))


async def claim(store: Connection, worker: str, number: int, claim: int = 1, now: int = NOW) -> list[str]:
    lease_suffix = claim_suffix(worker, number)
    reply = await settle_and_claim(
        store, QUEUE, worker, claim=claim, lease_suffix=lease_suffix, lease_ms=10_000, now=now
    )
    return [job_id.decode() + lease_suffix for job_id in reply.ids]


async def settled(store: Connection, lease_id: str, settlement: Settlement, now: int = NOW) -> None:
    worker = split_lease_id(lease_id)[1]
    each = Settled(lease_id, Priority.NORMAL, settlement)
    await settle_and_claim(
        store, QUEUE, worker, settled=[each], lease_suffix=claim_suffix(worker, 99), lease_ms=1, now=now
    )


def failed(attempts: int) -> Settlement:
    outcome = Outcome(OutcomeKind.FAILED, "OSError", "no such address")
    return settle(outcome, Retry(max_attempts=attempts, jitter=0), History(), AT, 0.0, max_crashes=3, worker="w").value


# Facts


async def test_an_unknown_queue_has_nothing(store: Connection) -> None:
    assert await facts(store) == QueueFacts(0, 0, 0, 0, 0, None)


async def test_counts_by_place(store: Connection, job: Send) -> None:
    jobs = [job(f"now{n}", priority) for n, priority in enumerate(["high", "normal", "low", "low"])]
    jobs += [job("due", due=AT - 1), job("later", due=AT + 60), job("much-later", "high", due=AT + 600)]
    await enqueue_jobs(store, jobs, NOW)
    seen = await facts(store)
    assert (seen.queued, seen.due, seen.scheduled, seen.in_flight, seen.dead) == (4, 1, 2, 0, 0)
    assert seen.demand == 5
    assert seen.due_in == -1
    lease_id = (await claim(store, "w.1", 1))[0]
    await settled(store, lease_id, failed(attempts=1))
    assert len(await claim(store, "w.1", 2)) == 1
    seen = await facts(store)
    assert (seen.queued, seen.due, seen.scheduled, seen.in_flight, seen.dead) == (3, 0, 2, 1, 1)
    assert (seen.completed_total, seen.failed_total, seen.crashed_total, seen.dead_total) == (0, 1, 0, 1)
    assert seen.due_in == 60
    assert (await facts(store, NOW + 61_000)).due == 1, "time alone makes it due"


async def test_the_oldest_waits_since_it_was_ready(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job(new_id(AT, bytes(10)), enqueued=None)], NOW)
    assert (await facts(store, NOW + 300_000)).oldest_seconds == 300, "its id says when"
    await claim(store, "w.1", 1)
    assert (await facts(store)).oldest_seconds is None, "what runs does not wait"
    await enqueue_jobs(store, [job("own", "low")], NOW)
    assert (await facts(store, NOW + 7000)).oldest_seconds == 7, "an id of the caller's own tells no time"
    await enqueue_jobs(store, [job(new_id(AT - 900, bytes(10)), due=AT + 10, enqueued=None)], NOW)
    assert (await facts(store, NOW + 20_000)).oldest_seconds == 20, "what is only due is not ready yet"
    await claim(store, "w.1", 2, claim=0, now=NOW + 20_000)
    assert (await facts(store, NOW + 25_000)).oldest_seconds == 25, (
        "and then it waits since its time, not since its enqueue"
    )
    await claim(store, "w.1", 3, claim=1, now=NOW + 25_000)
    assert (await facts(store, NOW + 25_000)).oldest_seconds == 25, "of several priorities the longest counts"


@pytest.mark.parametrize("wrong", [-86_400, -120, -2, 2, 120, 86_400])
async def test_a_producers_wrong_clock_makes_no_wrong_age(store: Connection, raw: Redis, job: Send, wrong: int) -> None:
    """The oldest age drives scaling and alerts: neither two days old nor young for ever."""
    ids = [new_id(AT + wrong, bytes([number] * 10)) for number in range(3)]
    await enqueue_jobs(store, [job(each, enqueued=None) for each in ids], NOW)
    assert (await facts(store, NOW + 7000)).oldest_seconds == 7
    await claim(store, "w.1", 1, claim=3)
    assert raw.hlen(keys.of_queue(QUEUE, "since")) == 0, "nothing of it is left"


async def test_all_pools_in_one_read(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a", queue="one"), job("b", queue="two"), job("c", queue="two")], NOW)
    seen = await read_endpoint(store, {"x/first": ["one", "two"], "x/second": ["two", "three"]}, NOW)
    assert {name: each.queued for name, each in seen.queues.items()} == {"one": 1, "two": 2, "three": 0}
    assert await read_endpoint(store, {}) == await read_endpoint(store, {}, NOW)


async def test_a_policy_that_evicts_is_a_warning(store: Connection, raw: Redis) -> None:
    assert await server_warnings(store) == ()
    raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        (warning,) = await server_warnings(store)
        assert warning.startswith("maxmemory-policy is allkeys-lru: ")
        assert warning.endswith("set it to noeviction")
        assert (await read_endpoint(store, {POOL: [QUEUE]})).warnings == (warning,)
        assert (await read_endpoint(store, {POOL: []})).warnings == (warning,)
    finally:
        raw.config_set("maxmemory-policy", "noeviction")


# Workers


def report(worker: str, **more: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "slots": 5, "busy": 2, "started": AT - 60, "seen": 0.0, "idle_since": None, "draining": False, "version": "1",
        "rss_bytes": 42, "completed": 7, "failed": 1,
    }  # fmt: skip
    return Heartbeat(worker=WorkerId(worker), pool=POOL, **(values | more))


async def test_workers_report_and_are_forgotten(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    await write_heartbeat(store, report("b.1", idle_since=AT - 5), NOW)
    await write_heartbeat(store, report("a.1"), NOW - 20_000)
    await write_heartbeat(store, report("gone.1"), NOW - 40_000)
    await force_drain_locks(store, [QUEUE], ["b.1"])
    first, second = (await read_endpoint(store, {POOL: [QUEUE]}, NOW)).heartbeats[POOL]
    assert first == report("a.1", seen=AT - 20)
    assert second == report("b.1", seen=AT, idle_since=AT - 5, draining=True)
    assert (first.host, second.host) == ("a", "b")
    assert await pool_keys(store) == [POOL]
    await forget_worker(store, POOL, "b.1", [QUEUE])
    assert [each.worker for each in (await read_endpoint(store, {POOL: [QUEUE]}, NOW)).heartbeats[POOL]] == ["a.1"]
    assert await store.execute("EXISTS", keys.of_queue(QUEUE, "draining")) == 0


async def test_a_report_with_more_in_it_is_read(store: Connection, raw: Redis) -> None:
    raw.hset(keys.workers(POOL), "a.1", f'{NOW} {{"slots":5,"busy":0,"started":1,"idle_since":null,"colour":"red"}}')
    (found,) = (await read_endpoint(store, {POOL: [QUEUE]}, NOW)).heartbeats[POOL]
    assert (found.slots, found.seen) == (5, AT)


# Jobs


async def test_a_job_is_seen_wherever_it_is(store: Connection, job: Send) -> None:
    jobs = [job("dead"), job("done"), job("retried"), job("held"), job("waits"), job("later", due=AT + 60)]
    await enqueue_jobs(store, jobs, NOW)
    dead, done, retried, _ = await claim(store, "w.1", 1, claim=4)
    await settled(store, dead, failed(attempts=1))
    await settled(store, retried, failed(attempts=3))
    completed = {60_000: Completed([done], [completed_record("send", b'{"x":1}', 0.5)])}
    await settle_and_claim(
        store, QUEUE, "w.1", completed=completed, lease_suffix=claim_suffix("w.1", 9), lease_ms=1, now=NOW
    )
    await cancel_job(store, QUEUE, "waits", NOW)
    seen = {
        job_id: await read_job(store, QUEUE, job_id, NOW)
        for job_id in ("dead", "done", "retried", "held", "waits", "later")
    }
    states = {job_id: view.state for job_id, view in seen.items() if view}
    assert states == {
        "dead": JobState.DEAD, "done": JobState.COMPLETED, "retried": JobState.SCHEDULED, "held": JobState.RUNNING,
        "waits": JobState.CANCELLED, "later": JobState.SCHEDULED,
    }  # fmt: skip
    views = {job_id: view for job_id, view in seen.items() if view}
    assert all(view.name == "send" for job_id, view in views.items() if job_id != "waits")
    envelopes = [view for view in views.values() if not view.state.ended or view.state is JobState.DEAD]
    assert all(view.args == b"{}" and view.enqueued_at == 1.0 for view in envelopes)
    assert views["done"].ran_for == 0.5
    assert (views["done"].result, views["done"].ended_at) == (b'{"x":1}', AT)
    assert views["held"].worker == "w.1"
    assert (views["later"].due_at, views["retried"].due_at) == (AT + 60, AT + 1)
    assert views["retried"].history.entries[0].message == "no such address"
    assert views["dead"].history.note.startswith("RetriesUsedUp: attempt 1 of 1 failed")
    assert views["dead"].ended_at == AT
    assert await read_job(store, QUEUE, "never") is None
    for state in JobState:
        listed = [view.id for view in await read_jobs(store, QUEUE, state, now=NOW)]
        assert sorted(listed) == sorted(job_id for job_id, found in states.items() if found is state)
    result = await read_result(store, QUEUE, "done", NOW + 59_999)
    assert result is not None
    assert bytes(result.result) == b'{"x":1}'
    assert await read_result(store, QUEUE, "held") is None
    for over in (
        await read_result(store, QUEUE, "done", NOW + 60_000),
        await read_job(store, QUEUE, "done", NOW + 60_000),
    ):
        assert over is None, (
            "past its TTL a record counts as gone to the millisecond, even if it has not been removed yet"
        )


async def test_lists_are_in_the_order_of_what_happens_next(store: Connection, job: Send) -> None:
    order = [("n1", "normal"), ("l1", "low"), ("h1", "high"), ("n2", "normal")]
    await enqueue_jobs(store, [job(job_id, priority) for job_id, priority in order], NOW)
    later = [("s3", "high", 30), ("s1", "low", 10), ("s2", "normal", 20)]
    await enqueue_jobs(store, [job(job_id, priority, AT + delay) for job_id, priority, delay in later], NOW)

    async def listed(state: JobState, limit: int = 100) -> list[str]:
        return [view.id for view in await read_jobs(store, QUEUE, state, limit)]

    assert await listed(JobState.QUEUED) == ["h1", "n1", "n2", "l1"]
    assert await listed(JobState.QUEUED, 2) == ["h1", "n1"]
    assert await listed(JobState.SCHEDULED) == ["s1", "s2", "s3"]
    assert await listed(JobState.SCHEDULED, 1) == ["s1"]
    for number in range(3):
        (lease_id,) = await claim(store, "w.1", number)
        await settled(store, lease_id, failed(attempts=1), NOW + number)
    assert await listed(JobState.DEAD) == ["n2", "n1", "h1"], "the latest first"


async def test_what_cannot_be_read_is_shown_and_says_why(store: Connection, raw: Redis) -> None:
    for job_id, envelope in (("newer", b'{"v":9}'), ("broken", b"?")):
        await store.call("enqueue", QUEUE, [NOW, keys.WAKE_CHANNEL, QUEUE, job_id, "n", "", envelope])
    newer, broken = await read_jobs(store, QUEUE, JobState.QUEUED)
    assert newer.problem.startswith("the envelope has version 9, this jobpools reads up to 1")
    assert broken.problem.startswith("not an envelope")
    assert raw.hget(keys.of_queue(QUEUE, "jobs"), "newer") == b'{"v":9}', "and it is left as it is"
    raw.hset(keys.of_queue(QUEUE, "results"), "newer", "?")
    with pytest.raises(StoreDataError, match="not a result"):
        await read_result(store, QUEUE, "newer")


async def test_why_a_job_waits_is_shown(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    (lease_id,) = await claim(store, "w.1", 1)
    back = Settlement(Disposition.RETURN, delay=30, history=History(note='no job "send"'))
    await settled(store, lease_id, back)
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert (view.state, view.history.note, view.history.attempts) == (JobState.SCHEDULED, 'no job "send"', 0)


async def test_queues_are_those_that_ever_took_a_job(store: Connection, job: Send) -> None:
    assert await queue_names(store) == []
    await enqueue_jobs(store, [job("a", queue="b-queue"), job("a", queue="a.queue")], NOW)
    assert await queue_names(store) == ["a.queue", "b-queue"]


async def test_workers_that_were_silent_for_a_day_are_forgotten(store: Connection, raw: Redis) -> None:
    """Those that were killed: who ends well says so, and the operator forgets the pods that it sees go."""
    for number, silent in enumerate([86_500_000, 86_300_000, 0]):
        await write_heartbeat(store, report(f"web-{number}.a"), NOW - silent)
    for later in range(1, 101):
        await write_heartbeat(store, report("web-2.a"), NOW + later)
    assert sorted(raw.hkeys(keys.workers(POOL))) == [b"web-1.a", b"web-2.a"]


async def test_a_job_that_ends_between_two_reads_is_not_reported_as_queued(
    store: Connection, job: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    (lease_id,) = await claim(store, "w", 1)
    gather = store.gather

    async def and_then_it_ends(commands: Any) -> Any:
        monkeypatch.setattr(store, "gather", gather)
        seen = await gather(commands)
        await settled(store, lease_id, failed(attempts=1))
        return seen

    monkeypatch.setattr(store, "gather", and_then_it_ends)
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert view.state is JobState.DEAD
