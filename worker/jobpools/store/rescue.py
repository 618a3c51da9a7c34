"""Take over leases that have expired, or whose worker is gone."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobpools.core.jobs.job import History
from jobpools.core.jobs.policies import Keep
from jobpools.store.connection import Connection
from jobpools.store.history import read_history
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.script_arguments import KEEP, SERVER_CLOCK

RESCUE_LIMIT = 100
"""Maximum number of leases that one rescue takes over."""


@dataclass(frozen=True, slots=True)
class TakenLease:
    """A lease that was taken over, and its job."""

    id: str
    """Id of the job."""
    lease_id: str
    """The caller's new lease."""
    former_worker: str
    """The worker that held it before."""
    former_lease_id: str
    """The lease that was taken over."""
    envelope: bytes
    history: History


@dataclass(frozen=True, slots=True)
class RescueReply:
    """Reply of rescue.lua."""

    taken: list[TakenLease]
    promoted: int
    left: int
    """Number of leases that the limit left for the next rescue."""
    now: float
    """The server's time, seconds since the epoch."""
    more: bool = False
    """Whether more expired records are left, for another call."""
    dropped: int = 0
    """Number of dead letters removed because the queue had more than it keeps, or they were too old."""


async def rescue_jobs(  # noqa: PLR0913  # the arguments of rescue.lua
    connection: Connection,
    queue: str,
    *,
    lease_suffix: str,
    lease_ms: int,
    limit: int = RESCUE_LIMIT,
    holders: Sequence[str] = (),
    keep: Keep = KEEP,
    now: int | str = SERVER_CLOCK,
) -> RescueReply:
    """Take over the leases that have expired, or those of `holders`; promote due jobs; remove expired records.

    A holder is the name of a pod, or `held_by(worker)` for the leases of one worker, or a lease suffix for those of one
    claim.
    """
    kept = (keep.completed, keep.dead, int(keep.dead_for * 1000))
    ids, envelopes, histories, former_ids, promoted, left, time, more, dropped = await connection.call(
        "rescue", queue, [now, lease_suffix, lease_ms, *kept, limit, *holders]
    )
    taken = [
        TakenLease(
            id=job_id.decode(),
            lease_id=job_id.decode() + lease_suffix,
            former_worker=split_lease_id(lease_id.decode())[1],
            former_lease_id=lease_id.decode(),
            envelope=envelope,
            history=read_history(history),
        )
        for job_id, envelope, history, lease_id in zip(ids, envelopes, histories, former_ids, strict=True)
    ]
    return RescueReply(taken, promoted, left, time / 1000, bool(more), dropped)


def held_by(worker: str) -> str:
    """Return the element of a rescue's `holders` that means all leases of one worker id."""
    return f":{worker}:"
