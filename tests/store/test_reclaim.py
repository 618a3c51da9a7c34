"""A worker that was stopped for longer than its lease reclaims the jobs whose next attempt has not started."""

from collections.abc import Callable

import pytest
from redis import Redis

from jobpools.core.jobs.job import JobState, Outcome, OutcomeKind, Priority
from jobpools.core.jobs.retry import Retry, settle
from jobpools.rescue import Rescuer
from jobpools.store import keys, ledger
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import force_drain_locks
from jobpools.store.history import decode_history
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of, split_lease_id
from jobpools.store.leases import renew_leases
from jobpools.store.records import completed_record
from jobpools.store.rescue import held_by, rescue_jobs
from jobpools.store.step import Completed, Settled, StepReply, settle_and_claim
from jobpools.store.sync_connection import SyncConnection
from tests.store.conftest import QUEUE, Send
from tests.support import dead_jobs
from tests.support.sending import enqueue_jobs

WORKER = "web-1.a"
SUFFIX = lease_suffix_of(WORKER, 7)
LEASE = 60_000


async def view(store: Connection, job_id: str = "x") -> JobView:
    found = await read_job(store, QUEUE, job_id)
    assert found is not None
    return found


async def charged(store: Connection, job: Send, max_crashes: int, others: int = 0, worker: str = WORKER) -> str:
    """Let a rescue record a crash of a running job; return the worker's lease. `others`: number of jobs behind it."""
    await enqueue_jobs(store, [job("x")])
    lease_suffix = lease_suffix_of(worker, 7)
    await settle_and_claim(store, QUEUE, worker, claim=1, lease_suffix=lease_suffix, lease_ms=LEASE)
    rescuer = Rescuer(store, "operator.x", lease_ms=LEASE, max_crashes=lambda _: max_crashes)
    await rescuer.sweep(QUEUE, holders=[held_by(worker)])
    await enqueue_jobs(store, [job(f"other-{number}") for number in range(others)])
    assert (await view(store)).history.crashes == 1
    return "x" + lease_suffix


async def completes(store: Connection, lease: str, worker: str = WORKER, ttl: int = 60_000) -> StepReply:
    done = {ttl: Completed([lease], [completed_record("send", b"1", 0.1)])}
    return await settle_and_claim(
        store, QUEUE, worker, completed=done, lease_suffix=lease_suffix_of(worker, 8), lease_ms=LEASE
    )


async def fails(store: Connection, lease: str) -> StepReply:
    decision = settle(
        Outcome(OutcomeKind.FAILED, "OSError", "no"), Retry(), decode_history(None), 1.0, 0.0, max_crashes=1
    )
    settled = [Settled(lease, Priority.NORMAL, decision.value)]
    return await settle_and_claim(
        store, QUEUE, WORKER, settled=settled, lease_suffix=lease_suffix_of(WORKER, 8), lease_ms=LEASE
    )


async def balanced(store: Connection, raw: Redis, **wanted: int) -> None:
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert counts.lost == 0
    assert {name: getattr(counts, name) for name in wanted} == wanted
    found = 0
    found += raw.hexists(keys.of_queue(QUEUE, "results"), "x")
    for part in ("dead", "scheduled:high", "scheduled:normal", "scheduled:low"):
        found += raw.zscore(keys.of_queue(QUEUE, part), "x") is not None
    for part in ("ready:high", "ready:normal", "ready:low"):
        found += raw.lpos(keys.of_queue(QUEUE, part), "x") is not None
    leases = await store.execute("ZRANGE", keys.of_queue(QUEUE, "leases"), 0, -1)
    found += sum(split_lease_id(lease_id.decode())[0] == "x" for lease_id in leases)
    assert found <= 1, "the job is in one place at most"


async def schedule(store: Connection) -> None:
    """Move the job from the ready list to a later time."""
    await store.execute("LREM", keys.of_queue(QUEUE, "ready:normal"), 0, "x")
    await store.execute("ZADD", keys.of_queue(QUEUE, "scheduled:normal"), 9_000_000_000_000, "x")


@pytest.mark.parametrize("place", ["dead", "ready", "ready among many", "scheduled"])
@pytest.mark.parametrize("ttl", [60_000, 0])
async def test_a_late_completion_is_accepted(store: Connection, raw: Redis, job: Send, place: str, ttl: int) -> None:
    others = 500 if place == "ready among many" else 0
    lease = await charged(store, job, 1 if place == "dead" else 3, others)
    if place == "scheduled":
        await schedule(store)
    before = (await view(store)).state
    assert before is {"dead": JobState.DEAD, "scheduled": JobState.SCHEDULED}.get(place, JobState.QUEUED)
    assert (await completes(store, lease, ttl=ttl)).stale == []
    await balanced(store, raw, completed=1, dead=0, unfinished=others)
    if ttl:
        found = await view(store)
        assert (found.state, found.history.crashes, found.history.entries) == (JobState.COMPLETED, 0, ())
    assert (await completes(store, lease, ttl=ttl)).stale == [lease.encode()], "the second settlement is stale"
    await balanced(store, raw, completed=1, dead=0, unfinished=others)


@pytest.mark.parametrize("max_crashes", [1, 3], ids=["dead", "ready"])
async def test_a_late_failure_replaces_the_crash(store: Connection, raw: Redis, job: Send, max_crashes: int) -> None:
    lease = await charged(store, job, max_crashes)
    assert (await fails(store, lease)).stale == []
    found = await view(store)
    assert (found.history.attempts, found.history.crashes) == (1, 0)
    assert [each.error for each in found.history.entries] == ["OSError"]
    await balanced(store, raw, dead=0, unfinished=1)
    assert (await fails(store, lease)).stale == [lease.encode()]


@pytest.mark.parametrize("max_crashes", [1, 3], ids=["dead", "ready"])
async def test_renewing_restores_the_lease_of_a_running_attempt(
    store: Connection, sync_store: SyncConnection, raw: Redis, job: Send, max_crashes: int
) -> None:
    lease = await charged(store, job, max_crashes)
    assert renew_leases(sync_store, QUEUE, [lease], LEASE) == ([], [])
    found = await view(store)
    assert (found.state, found.worker, found.history.crashes) == (JobState.RUNNING, WORKER, 0)
    await balanced(store, raw, dead=0, running=1)
    assert (await completes(store, lease)).stale == []
    await balanced(store, raw, completed=1, dead=0)


async def test_a_draining_worker_does_not_reclaim_by_renewing(
    store: Connection, sync_store: SyncConnection, raw: Redis, job: Send
) -> None:
    """Its pod is ending: a reclaimed lease would expire with it, and the job would wait for one lease more."""
    lease = await charged(store, job, 3)
    await force_drain_locks(store, [QUEUE], [WORKER])
    assert renew_leases(sync_store, QUEUE, [lease], LEASE) == ([lease], [])
    assert (await view(store)).history.crashes == 1
    await balanced(store, raw, running=0, unfinished=1)
    assert (await completes(store, lease)).stale == [], "a completion is accepted if no attempt has begun"
    await balanced(store, raw, completed=1, dead=0)


async def test_earlier_crashes_stay_in_the_history(store: Connection, sync_store: SyncConnection, job: Send) -> None:
    await charged(store, job, 9, worker="web-2.b")
    rescuer = Rescuer(store, "operator.x", lease_ms=LEASE, max_crashes=lambda _: 2)
    await settle_and_claim(store, QUEUE, WORKER, claim=1, lease_suffix=SUFFIX, lease_ms=LEASE)
    await rescuer.sweep(QUEUE, holders=[held_by(WORKER)])
    assert (await view(store)).state is JobState.DEAD
    assert renew_leases(sync_store, QUEUE, ["x" + SUFFIX], LEASE) == ([], [])
    history = (await view(store)).history
    assert (history.crashes, [each.worker for each in history.entries], history.note) == (1, ["web-2.b"], "")


async def begun(store: Connection, _: Redis) -> None:
    await settle_and_claim(store, QUEUE, "web-2.b", claim=1, lease_suffix=lease_suffix_of("web-2.b", 1), lease_ms=LEASE)


async def done_elsewhere(store: Connection, raw: Redis) -> None:
    await begun(store, raw)
    await completes(store, "x" + lease_suffix_of("web-2.b", 1), "web-2.b")


async def cancelled(store: Connection, raw: Redis) -> None:
    raw.delete(keys.of_queue(QUEUE, "cancelling"))
    await store.call("cancel", QUEUE, ["", "x", 60_000])


async def crashed_elsewhere(store: Connection, raw: Redis) -> None:
    await begun(store, raw)
    await Rescuer(store, "operator.y", lease_ms=LEASE).sweep(QUEUE, holders=[held_by("web-2.b")])


async def in_a_rescue(store: Connection, raw: Redis) -> None:
    await begun(store, raw)
    await rescue_jobs(store, QUEUE, lease_suffix=lease_suffix_of("operator.y", 1), lease_ms=LEASE, holders=["web-2"])


async def unreadable(_: Connection, raw: Redis) -> None:
    raw.hset(keys.of_queue(QUEUE, "history"), "x", "?")


SINCE: dict[str, Callable[[Connection, Redis], object]] = {
    each.__name__: each for each in (begun, done_elsewhere, cancelled, crashed_elsewhere, in_a_rescue, unreadable)
}


@pytest.mark.parametrize("since", SINCE.values(), ids=SINCE)
async def test_nothing_is_reclaimed_after_the_job_went_on(
    store: Connection, sync_store: SyncConnection, raw: Redis, job: Send, since: Callable[..., object]
) -> None:
    lease = await charged(store, job, 3)
    await since(store, raw)  # type: ignore[misc]
    before = {key: raw.dump(key) for key in sorted(raw.keys()) if b"wake" not in key}
    assert (await completes(store, lease)).stale == [lease.encode()]
    assert (await fails(store, lease)).stale == [lease.encode()]
    assert renew_leases(sync_store, QUEUE, [lease], LEASE) == ([lease], [])
    assert {key: raw.dump(key) for key in sorted(raw.keys()) if b"wake" not in key} == before


async def test_another_fence_of_the_same_worker_is_refused(store: Connection, job: Send) -> None:
    await charged(store, job, 1)
    other = "x" + lease_suffix_of(WORKER, 6)
    assert (await completes(store, other)).stale == [other.encode()]
    assert (await view(store)).state is JobState.DEAD


async def test_a_purged_job_is_not_reclaimed(store: Connection, job: Send) -> None:
    lease = await charged(store, job, 1)
    assert await dead_jobs.purge(store, QUEUE, ["x"]) == 1
    assert (await completes(store, lease)).stale == [lease.encode()]
    assert await read_job(store, QUEUE, "x") is None
