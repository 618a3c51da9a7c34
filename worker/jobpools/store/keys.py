"""Names of all keys. All keys of a queue carry its hash tag, so one script touches one slot of a Redis Cluster."""

from collections.abc import Sequence
from functools import lru_cache

WAKE_CHANNEL = "jobpools:wake"
"""Channel to which a queue's name is published when it had no ready job and gets one."""
ENDED_CHANNEL = "jobpools:ended"
"""Prefix of the channels to which the ends of jobs are published for waiting clients."""

READY = ("ready:high", "ready:normal", "ready:low")
SCHEDULED = ("scheduled:high", "scheduled:normal", "scheduled:low")
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
    "policy",
    "draining",
    "cancelling",
    "totals",
    "fires",
    "waiters",
    "waiters:old",
    "minutes",
    *READY,
    *SCHEDULED,
)
"""The parts of a queue; docs/protocol.md describes each."""

SORTED_SETS = frozenset({"leases", "dead", *SCHEDULED})
LISTS = frozenset({"wake", *READY})
SETS = frozenset({"draining", "cancelling"})
"""The types of the parts; all others are hashes."""

SCHEDULES = "{schedules}"
SCHEDULE_PARTS = ("table", "state", "recent", "code", "disabled", "changes", "leader")
"""The hashes of the schedules; docs/protocol.md describes each."""


def kind(part: str) -> str:
    """Return the Redis type of a part, as TYPE names it."""
    return "zset" if part in SORTED_SETS else "list" if part in LISTS else "set" if part in SETS else "hash"


def type_problem(names: Sequence[str], kinds: Sequence[bytes | str]) -> str:
    """Return a message about the first key of the wrong type; empty: none is. `kinds` are the replies of TYPE."""
    for name, reply in zip(names, kinds, strict=True):
        found, wanted = reply.decode() if isinstance(reply, bytes) else reply, kind(name.rpartition("}:")[2])
        if found not in ("none", wanted):
            return f"key {name} is a {found}, not a {wanted}: something else uses its name; rename or delete it"
    return ""


def reachable(names: Sequence[str]) -> list[str]:
    """Return the keys that a script with these keys may touch: those, and the other parts of their queue."""
    prefix = names[0].rpartition("}:")[0] + "}:"
    return list(dict.fromkeys([*names, *(prefix + part for part in PARTS)]))


def of_queue(queue: str, part: str) -> str:
    """Return the key of a queue's part, such as `jobpools:{emails}:leases`."""
    return f"jobpools:{{{queue}}}:{part}"


@lru_cache(maxsize=4096)
def for_script(queue: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that a script's header names, in its order. `ready_high` there means `ready:high`."""
    return tuple(of_queue(queue, name.replace("_", ":")) for name in names)


def ended(queue: str, ttl_class: str) -> str:
    """Return the list of ended jobs of one class of TTLs (`jobpools:{emails}:done:27`); `done` names all classes."""
    return of_queue(queue, f"done:{ttl_class}")


def workers(pool: str) -> str:
    """Return the hash of a pool's heartbeats: worker id → `<ms> <JSON>`."""
    return f"jobpools:{{pool:{pool}}}:workers"


def commands(pool: str) -> str:
    """Return the hash of the commands to a pool's workers: worker id, or `<id>:reload` → `<ms> <JSON>`."""
    return f"jobpools:{{pool:{pool}}}:commands"


def settings(pool: str) -> str:
    """Return the hash with the settings of a pool's workers: `version`, and `variables` as JSON."""
    return f"jobpools:{{pool:{pool}}}:settings"


def running(pool: str) -> str:
    """Return the hash of the jobs that a pool's workers run: worker id → `<ms> [<unlisted>, [<attempt>, …]]`."""
    return f"jobpools:{{pool:{pool}}}:running"


def schedules(part: str) -> str:
    """Return the hash of all schedules that `part` names: one of SCHEDULE_PARTS."""
    return f"jobpools:{SCHEDULES}:{part}"
