"""Heartbeats of workers in Redis: one hash per pool, worker id to `<ms> <JSON>`."""

from typing import Any

from jobpools.core.pools.facts import Heartbeat
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.json_objects import decode_json
from jobpools.store.replies import pairs

FORGOTTEN_AFTER = 30.0
"""Seconds without a heartbeat (six intervals) after which a worker is no longer listed."""


def parse_heartbeats(pool: str, reply: Any, draining: set[str], now: float) -> tuple[Heartbeat, ...]:
    """Parse the hash of one pool, sorted by worker; without those forgotten at `now`. Raises StoreDataError."""
    found: list[Heartbeat] = []
    for worker, value in pairs(reply):
        stamp, _, report = value.partition(b" ")
        if not stamp.isdigit():
            raise StoreDataError(f"{keys.workers(pool)}: field {worker!r} does not hold a worker heartbeat")
        seen = int(stamp) / 1000
        if now - seen > FORGOTTEN_AFTER:
            continue
        values = decode_json(report)
        name = worker.decode()
        known = {key: values[key] for key in _REPORTED if key in values}
        found.append(Heartbeat(worker=WorkerId(name), pool=pool, seen=seen, draining=name in draining, **known))
    return tuple(sorted(found, key=lambda each: each.worker))


_REPORTED = ("slots", "busy", "started", "idle_since", "version", "rss_bytes", "completed", "failed", "left_behind")
