"""Every key's name. All keys of a queue carry its hash tag, so one script touches one slot of a Redis Cluster."""

from collections.abc import Sequence
from functools import lru_cache

WAKE_CHANNEL = "jobpools:wake"
"""PUBLISH of a queue's name when it goes from nothing ready to something ready."""
ENDED_CHANNEL = "jobpools:ended"
"""Prefix of the channels on which waiting clients are notified of the ends of jobs."""

PARTS = (
    "jobs",
    "history",
    "results",
    "done",
    "handlers",
    "leases",
    "dead",
    "since",
    "wake",
    "draining",
    "cancelling",
    "totals",
    "fires",
    "waiters",
    "waiters:old",
    "ready:high",
    "ready:normal",
    "ready:low",
    "scheduled:high",
    "scheduled:normal",
    "scheduled:low",
)
"""What a queue consists of; docs/protocol.md says what each one holds."""

SORTED_SETS = frozenset({"leases", "dead", "scheduled:high", "scheduled:normal", "scheduled:low"})
LISTS = frozenset({"wake", "ready:high", "ready:normal", "ready:low"})
SETS = frozenset({"draining", "cancelling"})
"""Of which type the parts are; the rest are hashes."""

SCHEDULES = "{schedules}"


def kind(part: str) -> str:
    """What TYPE says of a part."""
    return "zset" if part in SORTED_SETS else "list" if part in LISTS else "set" if part in SETS else "hash"


def misfit(names: Sequence[str], kinds: Sequence[bytes | str]) -> str:
    """Which of a queue's keys is of another type, in one sentence; empty: none. `kinds` is what TYPE says of each."""
    for name, reply in zip(names, kinds, strict=True):
        found, wanted = reply.decode() if isinstance(reply, bytes) else reply, kind(name.rpartition("}:")[2])
        if found not in ("none", wanted):
            return f"key {name} is a {found}, not a {wanted}: something else uses its name; rename or delete it"
    return ""


def of_queue(queue: str, part: str) -> str:
    """`jobpools:{emails}:leases`. In a script's header `ready_high` stands for `ready:high`."""
    return f"jobpools:{{{queue}}}:{part}"


@lru_cache(maxsize=4096)
def for_script(queue: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that a script's header names, in its order."""
    return tuple(of_queue(queue, name.replace("_", ":")) for name in names)


def ended(queue: str, length: str) -> str:
    """List of ended jobs whose TTLs are of one power of two: `jobpools:{emails}:done:27`. `done` names all of them."""
    return of_queue(queue, f"done:{length}")


def workers(pool: str) -> str:
    """Hash of a pool's heartbeats: worker id → `<ms> <JSON>`."""
    return f"jobpools:{{pool:{pool}}}:workers"


def schedules(part: str) -> str:
    """`table` (hash: schedule → its spec as JSON) or `state` (hash: schedule → what was fired, as JSON)."""
    return f"jobpools:{SCHEDULES}:{part}"
