"""Every key's name. All keys of a queue carry its hash tag, so one script touches one slot of a Redis Cluster."""

from functools import lru_cache

WAKE_CHANNEL = "jobpools:wake"
"""PUBLISH of a queue's name when it goes from nothing ready to something ready."""

PARTS = (
    "jobs",
    "history",
    "results",
    "done",
    "leases",
    "dead",
    "since",
    "wake",
    "draining",
    "cancelling",
    "totals",
    "ready:high",
    "ready:normal",
    "ready:low",
    "scheduled:high",
    "scheduled:normal",
    "scheduled:low",
)
"""What a queue consists of; docs/protocol.md says what each one holds."""

SCHEDULES = "{schedules}"


def of_queue(queue: str, part: str) -> str:
    """`jobpools:{emails}:leases`. In a script's header `ready_high` stands for `ready:high`."""
    return f"jobpools:{{{queue}}}:{part}"


@lru_cache(maxsize=4096)
def for_script(queue: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that a script's header names, in its order."""
    return tuple(of_queue(queue, name.replace("_", ":")) for name in names)


def workers(pool: str) -> str:
    """Hash of a pool's heartbeats: worker id → `<ms> <JSON>`."""
    return f"jobpools:{{pool:{pool}}}:workers"


def schedules(part: str) -> str:
    """`table` (hash: schedule → its spec as JSON) or `state` (hash: schedule → what was fired, as JSON)."""
    return f"jobpools:{SCHEDULES}:{part}"
