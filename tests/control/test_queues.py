"""What the control loop does to queues on a real Valkey, beyond the contract of its port."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from redis import Redis

from jobpools.control import queues as control_queues
from jobpools.control.observe import pool_facts
from jobpools.control.queues import StoreQueues
from jobpools.core.jobs.job import JobState, OutcomeKind
from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.specs import Pool
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreUnavailableError
from jobpools.pool_settings import LIVE_VARIABLES, live_settings
from jobpools.store import keys, ledger
from jobpools.store.connection import Connection, connect
from jobpools.store.drain_locks import DRAINING_TTL
from jobpools.store.endpoint_facts import read_workers
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import encode_envelope
from jobpools.store.heartbeats import write_heartbeat
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.pool_settings import read_settings
from jobpools.store.rescue import rescue_jobs
from jobpools.store.step import Completed, settle_and_claim
from tests.store.conftest import QUEUE, Send
from tests.support.job_lists import read_jobs
from tests.support.queues import operator_queues
from tests.support.sending import enqueue_jobs
from tests.support.servers import running, valkey_binary

POOL = Pool.model_validate(
    {"meta": {"name": "shop"}, "spec": {"app": "shop:app", "queues": [QUEUE, "reports"], "job": {"maxCrashes": 2}}}
)


@pytest.fixture
def queues(store: Connection) -> StoreQueues:
    return operator_queues(store)


async def claim(store: Connection, worker: str, claim: int = 1, number: int = 1, lease: int = 60_000) -> int:
    lease_suffix = lease_suffix_of(worker, number)
    return len(
        (await settle_and_claim(store, QUEUE, worker, claim=claim, lease_suffix=lease_suffix, lease_ms=lease)).ids
    )


async def test_the_settings_of_a_pool_are_written_for_its_workers(queues: StoreQueues, store: Connection) -> None:
    await queues.write_settings(POOL)
    facts = pool_facts(POOL, await queues.observe([POOL]), None, ())
    version, variables = await read_settings(store, POOL.meta.key)
    assert (version, facts.settings) == (live_settings(POOL).version, version)
    assert sorted(variables) == sorted(LIVE_VARIABLES)
    assert variables["JOBPOOLS_CONCURRENCY"] == "5"


async def report(store: Connection, worker: str) -> None:
    now = time.time()
    heartbeat = Heartbeat(WorkerId(worker), POOL.meta.key, 5, 1, now, now, idle_since=None, draining=False)
    await write_heartbeat(store, heartbeat)


async def states(store: Connection, *ids: str) -> list[str]:
    views = [await read_job(store, QUEUE, job_id) for job_id in ids]
    return [str(view.state) if view else "" for view in views]


async def test_a_queue_that_cannot_be_read_makes_its_own_pools_unknown_and_no_others(
    store: Connection, queues: StoreQueues, job: Send, valkey_url: str
) -> None:
    def pool(name: str, *served: str) -> Pool:
        return Pool.model_validate({"meta": {"name": name}, "spec": {"app": "shop:app", "queues": served}})

    pools = [pool("a", QUEUE), pool("b", "broken"), pool("c", "reports"), pool("d", "reports", "broken")]
    await enqueue_jobs(store, [job("one")])
    with Redis.from_url(valkey_url) as redis:
        redis.set(keys.of_queue("broken", "ready:normal"), "a string")
    endpoint = await queues.observe(pools)
    seen = [pool_facts(each, endpoint, None, ()) for each in pools]
    assert [facts.queues is not None for facts in seen] == [True, False, True, False]
    assert [facts.heartbeats is not None for facts in seen] == [True, False, True, False]
    assert [bool(facts.problems) for facts in seen] == [False, True, False, True]
    assert "holds another type" in seen[1].problems[0].message
    assert seen[0].queues is not None
    assert [each.queued for each in seen[0].queues.values()] == [1]


async def test_a_field_that_is_not_a_heartbeat_makes_only_its_pool_unknown(
    queues: StoreQueues, valkey_url: str
) -> None:
    other = Pool.model_validate({"meta": {"name": "other"}, "spec": {"app": "shop:app", "queues": [QUEUE]}})
    with Redis.from_url(valkey_url) as redis:
        redis.hset(keys.workers(POOL.meta.key), "web-1.a", "not a heartbeat")
    endpoint = await queues.observe([POOL, other])
    assert POOL.meta.key not in endpoint.heartbeats
    assert "does not hold a worker heartbeat" in endpoint.problems[POOL.meta.key]
    assert endpoint.heartbeats[other.meta.key] == ()


async def test_release_settles_all_leases_of_a_host_in_one_call(
    store: Connection, queues: StoreQueues, job: Send
) -> None:
    await enqueue_jobs(store, [job(f"job{number}") for number in range(450)])
    assert await claim(store, "web-1.a", 350) == 350
    assert await claim(store, "web-2.a", 100) == 100
    assert await queues.release(POOL, ["web-1"]) == 350
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (counts.running, counts.unfinished, counts.lost) == (100, 450, 0)


async def test_maintain_takes_over_many_expired_leases_in_one_call(
    store: Connection, queues: StoreQueues, job: Send
) -> None:
    await enqueue_jobs(store, [job(f"job{number}") for number in range(250)])
    assert await claim(store, "web-1.a", 250, lease=0) == 250
    await queues.maintain(POOL)
    assert (await ledger.read(store, [QUEUE]))[QUEUE].running == 0


async def test_a_job_that_kills_its_workers_is_dead_after_max_crashes(
    store: Connection, queues: StoreQueues, job: Send
) -> None:
    await enqueue_jobs(store, [job("poison"), job("good")])
    for number in range(1, 3):
        assert await states(store, "poison") == ["queued"]
        assert await claim(store, f"web-{number}.a", 1, number) == 1
        await queues.release(POOL, [f"web-{number}"])
        await queues.maintain(POOL)
        if number == 1:
            await claim(store, "web-9.a", 1)
    (dead,) = await read_jobs(store, QUEUE, JobState.DEAD)
    assert (dead.id, dead.history.crashes, dead.history.attempts) == ("poison", 2, 0)
    assert [attempt.outcome for attempt in dead.history.entries] == [OutcomeKind.CRASHED] * 2
    assert [attempt.worker for attempt in dead.history.entries] == ["web-1.a", "web-2.a"]
    assert dead.history.note.startswith("Crashed: worker web-2.a vanished while it ran the job, crash 2 of at most 2")
    assert (await ledger.read(store, [QUEUE]))[QUEUE].lost == 0


async def test_max_crashes_of_a_job_replaces_that_of_its_pool(
    store: Connection, queues: StoreQueues, job: Send
) -> None:
    envelope = job("fragile").envelope
    envelope.max_crashes = 1
    await enqueue_jobs(store, [Sending(envelope, encode_envelope(envelope), None)])
    await claim(store, "web-1.a")
    await queues.release(POOL, ["web-1"])
    assert await states(store, "fragile") == ["dead"]


async def test_a_slow_worker_cannot_settle_a_job_that_was_released_and_claimed_again(
    store: Connection, queues: StoreQueues, job: Send
) -> None:
    await enqueue_jobs(store, [job("a")])
    await claim(store, "web-1.a")
    await queues.release(POOL, ["web-1"])
    await claim(store, "web-2.a")
    lease = "a" + lease_suffix_of("web-1.a", 1)
    late = {1000: Completed([lease], [b'{"state":"completed","at":1}'])}
    reply = await settle_and_claim(
        store, QUEUE, "web-1.a", completed=late, lease_suffix=lease_suffix_of("web-1.a", 2), lease_ms=1000
    )
    assert reply.stale == [lease.encode()]
    assert await states(store, "a") == ["running"]


async def test_a_job_whose_rescuer_died_is_charged_one_crash(
    store: Connection, queues: StoreQueues, raw: Redis, job: Send
) -> None:
    await enqueue_jobs(store, [job("a")])
    await claim(store, "web-1.a")
    taken = await rescue_jobs(store, QUEUE, lease_suffix=":operator.dead:0000000001", lease_ms=0, holders=["web-1"])
    assert [each.former_worker for each in taken.taken] == ["web-1.a"]
    assert raw.zrange(keys.of_queue(QUEUE, "leases"), 0, -1) == [b"a:operator.dead:0000000001"]
    await queues.maintain(POOL)
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert view.history.crashes == 1


async def test_a_job_of_a_newer_version_is_not_charged(store: Connection, queues: StoreQueues, raw: Redis) -> None:
    newer = b'{"v":2,"id":"new","shape":"unheard of"}'
    await store.call("enqueue", QUEUE, ["", keys.WAKE_CHANNEL, QUEUE, "new", "n", "", newer])
    for number in range(1, 5):
        raw.zadd(keys.of_queue(QUEUE, "leases"), {f"new:web-{number}.a:0000000001": 9e12})
        raw.lrem(keys.of_queue(QUEUE, "ready:normal"), 0, "new")
        raw.zrem(keys.of_queue(QUEUE, "scheduled:normal"), "new")
        await queues.release(POOL, [f"web-{number}"])
    view = await read_job(store, QUEUE, "new")
    assert view is not None
    assert view.state is JobState.SCHEDULED
    assert view.history.crashes == 0
    assert "version 2" in view.history.note
    assert raw.hget(keys.of_queue(QUEUE, "jobs"), "new") == newer


async def test_a_worker_that_holds_a_lease_is_drained_in_no_queue(
    store: Connection, queues: StoreQueues, raw: Redis, job: Send
) -> None:
    await enqueue_jobs(store, [job("a", queue="reports")])
    lease_suffix = lease_suffix_of("web-1.a", 1)
    await settle_and_claim(store, "reports", "web-1.a", claim=1, lease_suffix=lease_suffix, lease_ms=60_000)
    assert await queues.drain(POOL, ["web-1.a", "web-2.a"]) == ("web-2.a",)
    assert raw.smembers(keys.of_queue(QUEUE, "draining")) == {b"web-2.a"}
    assert raw.smembers(keys.of_queue("reports", "draining")) == {b"web-2.a"}
    assert 0 < raw.pttl(keys.of_queue(QUEUE, "draining")) <= DRAINING_TTL


async def test_maintain_deletes_expired_records(store: Connection, queues: StoreQueues, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a")])
    await claim(store, "web-1.a")
    done = {1: Completed(["a:web-1.a:0000000001"], [b'{"state":"completed","at":1}'])}
    await settle_and_claim(
        store, QUEUE, "web-1.a", completed=done, lease_suffix=":web-1.a:0000000002", lease_ms=1, now=1000
    )
    assert await queues.maintain(POOL) == 0
    assert {key.decode() for key in raw.scan_iter()} <= {keys.of_queue(QUEUE, part) for part in ("totals", "wake")}


async def test_a_released_worker_that_is_still_alive_claims_nothing(
    store: Connection, queues: StoreQueues, job: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_jobs(store, [job("a")])
    await report(store, "a.1")
    assert await claim(store, "a.1", 5) == 1
    assert [each.worker for each in await read_workers(store, POOL.meta.key, [QUEUE])] == ["a.1"]
    assert await queues.release(POOL, ["a"]) == 1
    assert await read_workers(store, POOL.meta.key, [QUEUE]) == ()
    assert await claim(store, "a.1", 5, 2) == 0, "the worker must be locked out"
    assert await claim(store, "b.1", 5) == 1

    monkeypatch.setattr(control_queues, "LOCKOUT", 0.0)
    await queues.release(POOL, ["c"])
    assert await store.execute("EXISTS", *[keys.of_queue(queue, "draining") for queue in (QUEUE, "reports")]) == 0


async def test_after_an_outage_no_lease_is_rescued_before_living_workers_can_renew(tmp_path: Path, job: Send) -> None:
    now = 1000.0
    with running(valkey_binary(), tmp_path) as server:
        async with aclosing(connect(server.url)) as connection:
            queues = StoreQueues(connection, "operator", lambda: now)
            await enqueue_jobs(connection, [job("a")])
            await claim(connection, "host.1", lease=1)
            await queues.observe([POOL])
            server.kill()
            with pytest.raises(StoreUnavailableError):
                await queues.observe([POOL])
            await asyncio.to_thread(server.start)  # starting takes longer than the lease
            await queues.observe([POOL])

            now += control_queues.RENEWAL_GRACE - 0.1
            assert await queues.maintain(POOL) == 0
            view = await read_job(connection, QUEUE, "a")
            assert view is not None
            assert (view.state, view.worker) == (JobState.RUNNING, "host.1")

            now += 0.1  # the worker has had the time to renew it
            assert await queues.maintain(POOL) == 1
            view = await read_job(connection, QUEUE, "a")
            assert view is not None
            assert view.history.crashes == 1


async def test_an_operator_that_starts_rescues_no_lease_before_living_workers_can_renew(
    store: Connection, job: Send
) -> None:
    """It does not know whether an outage has just ended."""
    now = 1000.0
    queues = StoreQueues(store, "operator", lambda: now)
    await enqueue_jobs(store, [job("a"), job("b")])
    await claim(store, "host.1", lease=0)
    await claim(store, "gone.1", lease=60_000)
    await queues.observe([POOL])
    now += control_queues.RENEWAL_GRACE - 0.1
    assert await queues.maintain(POOL) == 0
    assert await states(store, "a", "b") == ["running", "running"]
    assert await queues.release(POOL, ["gone"]) == 1, "a pod that is gone renews nothing"
    now += 0.1
    assert await queues.maintain(POOL) == 1
    assert await states(store, "a", "b") == ["queued", "queued"]
