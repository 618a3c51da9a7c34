"""The reply of facts.lua, with a name for each figure of one queue at one moment."""

from typing import Any, NamedTuple

from jobpools.store import scripts

SCRIPT = "facts"


class FactsReply(NamedTuple):
    """The reply of facts.lua, in its order."""

    now: int
    """The server's time, in ms."""
    queued: int
    due: int
    """Scheduled jobs whose time has come and that are not promoted yet."""
    scheduled: int
    """Scheduled jobs whose time has not come."""
    leases: int
    dead: int
    next_due: int
    """When the first scheduled job falls due, in ms since the epoch; -1: no job is scheduled."""
    heads: list[bytes]
    """The first id of each ready list that is not empty."""
    ready_since: list[bytes]
    """As long as `heads`: since when each is ready, in ms; empty where its id contains this time."""
    flat_totals: list[bytes]
    draining: list[bytes]
    """Workers that may not claim."""
    expired: int
    """1 if expired records of ended jobs are still there."""
    records: int
    """Number of records of completed and cancelled jobs."""
    flat_policy: Any
    """The fields of the queue's policy, each followed by its value."""
    died: int
    """When the oldest dead letter died, in ms since the epoch; -1: there is none."""

    @property
    def totals(self) -> dict[str, int]:
        """Return the counts since the queue's first job, by name."""
        flat = self.flat_totals
        return {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def command(queue: str, now_ms: int | str) -> tuple[Any, ...]:
    """Return the command that reads one queue; `now_ms` is empty for the server's clock."""
    return scripts.queue_command(SCRIPT, queue, [now_ms])


def parse(reply: list[Any]) -> FactsReply:
    """Return the reply with a name for each part."""
    return FactsReply(*reply)
