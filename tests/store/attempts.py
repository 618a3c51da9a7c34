"""Claim and settle at a given time, as workers do."""

from jobpools.core.jobs.job import History, Outcome, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.retry import Retry, settle
from jobpools.store.connection import Connection
from jobpools.store.lease_ids import lease_suffix_of, split_lease_id
from jobpools.store.step import Settled, settle_and_claim
from tests.store.conftest import QUEUE

NOW = 1_900_000_000_000


AT = NOW / 1000


async def claim(store: Connection, worker: str, number: int, claim: int = 1, now: int = NOW) -> list[str]:
    lease_suffix = lease_suffix_of(worker, number)
    reply = await settle_and_claim(
        store, QUEUE, worker, claim=claim, lease_suffix=lease_suffix, lease_ms=10_000, now=now
    )
    return [job_id.decode() + lease_suffix for job_id in reply.ids]


async def settled(store: Connection, lease_id: str, settlement: Settlement, now: int = NOW) -> None:
    worker = split_lease_id(lease_id)[1]
    each = Settled(lease_id, Priority.NORMAL, settlement)
    await settle_and_claim(
        store, QUEUE, worker, settled=[each], lease_suffix=lease_suffix_of(worker, 99), lease_ms=1, now=now
    )


def failed(attempts: int) -> Settlement:
    outcome = Outcome(OutcomeKind.FAILED, "OSError", "no such address")
    return settle(outcome, Retry(max_attempts=attempts, jitter=0), History(), AT, 0.0, max_crashes=3, worker="w").value
