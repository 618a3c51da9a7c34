"""Each operation on a job in each state changes it as `TRANSITIONS` says, and every entry of that table happens."""

from collections.abc import Awaitable, Callable, Mapping

from redis import Redis

from jobpools.core.jobs.job import TRANSITIONS, Disposition, History, JobState, Priority, Settlement
from jobpools.core.jobs.overflow import Overflow
from jobpools.core.jobs.policies import Keep, QueueLimits
from jobpools.rescue import Rescuer
from jobpools.store import keys
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.leases import renew_leases
from jobpools.store.queue_policies import set_limits
from jobpools.store.records import completed_record
from jobpools.store.rescue import held_by, rescue_jobs
from jobpools.store.step import Completed, Settled, settle_and_claim
from jobpools.store.sync_connection import SyncConnection
from tests.docs.tables import section
from tests.store.conftest import QUEUE, sending
from tests.support import dead_jobs
from tests.support.sending import enqueue_jobs

WORKER = "web-1.a"
LEASE_ID = "x" + lease_suffix_of(WORKER, 7)
FOREIGN_ID = "x" + lease_suffix_of(WORKER, 8)
NEXT_SUFFIX = lease_suffix_of(WORKER, 9)
LEASE_MS = 60_000
DUE = 9_000_000_000_000
Operation = Callable[[Connection], Awaitable[object]]


async def enqueue(store: Connection) -> None:
    await enqueue_jobs(store, [sending("x")])


async def drop_oldest(store: Connection) -> None:
    await set_limits(store, QUEUE, QueueLimits(max_depth=1, overflow=Overflow.DROP_OLDEST))
    await enqueue_jobs(store, [sending("y")])


async def claim(store: Connection) -> None:
    await settle_and_claim(store, QUEUE, WORKER, claim=1, lease_suffix=lease_suffix_of(WORKER, 7), lease_ms=LEASE_MS)


async def complete(store: Connection, lease_id: str = LEASE_ID) -> None:
    done = {LEASE_MS: Completed([lease_id], [completed_record("send", b"1", 0.1)])}
    await settle_and_claim(store, QUEUE, WORKER, completed=done, lease_suffix=NEXT_SUFFIX, lease_ms=1)


async def cancel(store: Connection) -> None:
    await cancel_job(store, QUEUE, "x")


async def reschedule(store: Connection) -> None:
    await store.call("reschedule", QUEUE, ["", f"@{DUE}", "x", "n"])


async def run_now(store: Connection) -> None:
    await store.call("run_now", QUEUE, ["", keys.WAKE_CHANNEL, QUEUE, "x"])


async def fall_due(store: Connection) -> None:
    await rescue_jobs(store, QUEUE, lease_suffix=NEXT_SUFFIX, lease_ms=1, limit=0, keep=Keep(dead_for=0), now=DUE)


def crash(max_crashes: int) -> Operation:
    async def operation(store: Connection) -> None:
        rescuer = Rescuer(store, "operator.x", lease_ms=LEASE_MS, max_crashes=lambda _: max_crashes)
        await rescuer.sweep(QUEUE, holders=[held_by(WORKER)])

    return operation


def settle(lease_id: str, disposition: Disposition, delay: float | None) -> Operation:
    async def operation(store: Connection) -> None:
        settlement = Settled(lease_id, Priority.NORMAL, Settlement(disposition, delay, History(attempts=1)))
        await settle_and_claim(store, QUEUE, WORKER, settled=[settlement], lease_suffix=NEXT_SUFFIX, lease_ms=1)

    return operation


SETUPS: Mapping[JobState, tuple[Operation, ...]] = {
    JobState.QUEUED: (enqueue, claim, crash(2)),
    JobState.SCHEDULED: (enqueue, claim, crash(2), reschedule),
    JobState.RUNNING: (enqueue, claim),
    JobState.COMPLETED: (enqueue, claim, complete),
    JobState.DEAD: (enqueue, claim, crash(1)),
    JobState.CANCELLED: (enqueue, cancel),
}
"""By state: the operations that bring a job there. The crashes are those of a worker that was only suspended."""


def operations(sync: SyncConnection, state: JobState) -> Mapping[str, Operation]:
    """Return all operations. A worker settles with its lease while the job runs, and later with a foreign one."""
    lease_id = LEASE_ID if state is JobState.RUNNING else FOREIGN_ID

    async def resume(_: Connection) -> None:
        renew_leases(sync, QUEUE, [LEASE_ID], LEASE_MS)

    return {
        "enqueue": enqueue,
        "drop oldest": drop_oldest,
        "claim": claim,
        "complete": lambda store: complete(store, lease_id),
        "retry": settle(lease_id, Disposition.RETRY, 60),
        "hand back": settle(lease_id, Disposition.RETURN, None),
        "hand back later": settle(lease_id, Disposition.RETURN, 60),
        "die": settle(lease_id, Disposition.DEAD, None),
        "stop": settle(lease_id, Disposition.CANCEL, None),
        "crash": crash(3),
        "crash for the last time": crash(1),
        "resume": resume,
        "cancel": cancel,
        "fall due": fall_due,
        "run now": run_now,
        "reschedule": reschedule,
        "replay": lambda store: dead_jobs.replay(store, QUEUE, ["x"]),
        "purge": lambda store: dead_jobs.purge(store, QUEUE, ["x"]),
        "delete": lambda store: store.call("delete", QUEUE, ["x", ""]),
    }


async def state_of(store: Connection) -> JobState | None:
    view = await read_job(store, QUEUE, "x")
    return None if view is None else view.state


async def test_each_operation_changes_a_state_as_the_table_says(
    store: Connection, sync_store: SyncConnection, raw: Redis
) -> None:
    seen: set[tuple[JobState, JobState]] = set()
    for before, setup in SETUPS.items():
        for name, operation in operations(sync_store, before).items():
            raw.flushall()
            for each in setup:
                await each(store)
            assert await state_of(store) is before
            await operation(store)
            after = await state_of(store)
            if after is None:
                assert before.ended, f"{name} removes a job that is {before}"
            elif after is not before:
                assert after in TRANSITIONS[before], f"{name}: {before} to {after}"
                seen.add((before, after))
    assert seen == {(before, after) for before, following in TRANSITIONS.items() for after in following}


def test_the_document_has_the_same_transitions() -> None:
    lines = [line.strip("| ").split(" | ") for line in section("protocol.md", "Transitions").splitlines()[3:] if line]
    found = {(before, after) for before, after, _ in (line for line in lines if len(line) == 3)}
    assert found == {(before, after) for before, following in TRANSITIONS.items() for after in following} | {
        ("new", JobState.QUEUED), ("new", JobState.SCHEDULED), ("new", JobState.DEAD),
    }  # fmt: skip
