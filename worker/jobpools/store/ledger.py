"""Ledger of a queue: the accepted jobs, and what became of them. If it does not balance, jobs have vanished."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from jobpools.store import facts_reply
from jobpools.store.connection import Connection
from jobpools.store.facts_reply import FactsReply


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts since the queue's first job; a replayed dead job waits again and is not counted as dead meanwhile."""

    enqueued: int = 0
    completed: int = 0
    cancelled: int = 0
    purged: int = 0
    """Dead jobs that were purged."""
    dead: int = 0
    """Dead letters now."""
    died: int = 0
    """Deaths since the first job."""
    failed: int = 0
    """Attempts that failed, timed out or crashed."""
    ready: int = 0
    scheduled: int = 0
    running: int = 0
    dropped: int = 0
    """Dead letters removed because the queue had more than it keeps."""

    @property
    def unfinished(self) -> int:
        """Return the number of queued, scheduled and running jobs."""
        return self.ready + self.scheduled + self.running

    @property
    def retried(self) -> int:
        """Return the number of failed attempts that another attempt follows."""
        return max(0, self.failed - self.died)

    @property
    def lost(self) -> int:
        """Return the number of accepted jobs that have vanished; not 0 means a bug, or deleted keys."""
        return (
            self.enqueued - self.completed - self.cancelled - self.purged - self.dropped - self.dead - self.unfinished
        )

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Ledger") -> "Ledger":
        return Ledger(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


async def read(connection: Connection, queues: Sequence[str]) -> dict[str, Ledger]:
    """Read the ledger of each queue, each in one atomic step. Raises StoreError."""
    commands = [facts_reply.command(queue, "") for queue in queues]
    replies = await connection.gather(commands, [facts_reply.SCRIPT])
    return {queue: _ledger(facts_reply.parse(reply)) for queue, reply in zip(queues, replies, strict=True)}


def _ledger(reply: FactsReply) -> Ledger:
    totals = reply.totals
    return Ledger(
        enqueued=totals.get("enqueued", 0),
        completed=totals.get("completed", 0),
        cancelled=totals.get("cancelled", 0),
        purged=totals.get("purged", 0),
        dropped=totals.get("dropped", 0),
        dead=reply.dead,
        died=totals.get("dead", 0),
        failed=totals.get("failed", 0) + totals.get("crashed", 0),
        ready=reply.queued,
        scheduled=reply.due + reply.scheduled,
        running=reply.leases,
    )
