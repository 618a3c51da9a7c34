"""Jobs of `python -m tests.chaos`: what job number n does follows from the seed alone, and so does how it may end."""

import asyncio
import os
import random
import time
from dataclasses import dataclass

from jobpools import App, Call, Context, Discard, JobState, Priority, Retry, RetryAfter, Snooze
from jobpools.core.jobs.job import DeadReason
from jobpools.options import OptionValues
from tests.chaos.notes import BEGUN, DONE, lease_of, note

QUEUE = "chaos"
APP = "tests.chaos.workload:app"
MAX_ATTEMPTS, MAX_CRASHES = 3, 2
UNLIMITED = 1000
"""Limit of crashes for jobs that must complete however often their workers are killed."""
TIMEOUT = 0.3
"""Seconds of an attempt of `late`."""

app = App("chaos", queue=QUEUE)
_retry = Retry(strategy="fixed", initial=0.1, max_attempts=MAX_ATTEMPTS)


@app.job(retry=_retry, max_crashes=UNLIMITED)
async def steady(ctx: Context, seconds: float, failures: int) -> str:
    """Fail the first `failures` attempts, then return the lease id of the attempt."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds)
    if ctx.history.attempts < failures:
        raise OSError("not yet")
    note(ctx, DONE)
    return lease_of(ctx)


@app.job(retry=_retry, max_crashes=UNLIMITED)
def threaded(ctx: Context, seconds: float, failures: int) -> str:
    """Do the same as `steady`, in a thread."""
    note(ctx, BEGUN)
    time.sleep(seconds)
    if ctx.history.attempts < failures:
        raise OSError("not yet")
    note(ctx, DONE)
    return lease_of(ctx)


@app.job(retry=_retry, max_crashes=UNLIMITED, timeout=TIMEOUT)
async def late(ctx: Context, seconds: float, failures: int) -> str:
    """Exceed the timeout in the first `failures` attempts."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds if ctx.history.attempts >= failures else 60)
    note(ctx, DONE)
    return lease_of(ctx)


@app.job(retry=_retry, max_crashes=MAX_CRASHES)
async def crashing(ctx: Context, seconds: float, failures: int) -> str:
    """End the worker's process in the first `failures` attempts."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds)
    if ctx.history.crashes < failures:
        os._exit(1)
    note(ctx, DONE)
    return lease_of(ctx)


@app.job(retry=_retry, max_crashes=1)
async def fragile(ctx: Context, seconds: float, failures: int) -> str:
    """Be dead after the first crash: a worker that was only stopped takes the job back, unless it was replayed."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds)
    if ctx.history.attempts < failures:
        raise OSError("not yet")
    note(ctx, DONE)
    return lease_of(ctx)


@app.job(retry=_retry, max_crashes=UNLIMITED)
async def deferred(ctx: Context, seconds: float, failures: int) -> str:
    """Fail the first `failures` attempts with a delay of their own."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds)
    if ctx.history.attempts < failures:
        raise RetryAfter(0.2)
    note(ctx, DONE)
    return lease_of(ctx)


@app.job(retry=_retry, max_crashes=UNLIMITED)
async def snoozing(ctx: Context, seconds: float, failures: int) -> str:
    """Snooze `failures` times, which is not charged."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds)
    if ctx.history.snoozes < failures:
        raise Snooze(0.2)
    note(ctx, DONE)
    return lease_of(ctx)


@app.job(retry=_retry, max_crashes=UNLIMITED)
async def discarded(ctx: Context, seconds: float, failures: int) -> str:
    """Discard the job after `failures` failed attempts."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds)
    if ctx.history.attempts < failures:
        raise OSError("not yet")
    raise Discard("as planned")


@app.job(retry=_retry, max_crashes=UNLIMITED)
async def expiring(ctx: Context, seconds: float, failures: int) -> str:
    """Do the same as `steady`; the job expires soon after it was accepted."""
    note(ctx, BEGUN)
    await asyncio.sleep(seconds)
    if ctx.history.attempts < failures:
        raise OSError("not yet")
    note(ctx, DONE)
    return lease_of(ctx)


FAIL_AS_PLANNED = ("steady", "threaded", "deferred", "snoozing")
"""Handlers whose jobs fail or snooze exactly as often as planned, however often their workers are killed."""
REASONS = {
    "late": DeadReason.TIMEOUT,
    "crashing": DeadReason.CRASHED,
    "fragile": DeadReason.CRASHED,
    "discarded": DeadReason.DISCARDED,
    "expiring": DeadReason.EXPIRED,
}
"""By handler: the reason for which its jobs are dead; of all others ATTEMPTS."""
EXPIRES = 0.5
"""Seconds after which a job of `expiring` is not started any more."""
HANDLERS = {
    each.name: each for each in (steady, threaded, late, crashing, fragile, deferred, snoozing, discarded, expiring)
}
SHARES = {
    "steady": 800, "threaded": 80, "late": 18, "crashing": 2, "fragile": 30,
    "deferred": 15, "snoozing": 25, "discarded": 10, "expiring": 20,
}  # fmt: skip
"""Jobs of each handler in a thousand."""
OFTEN_FAIL = ("late", "crashing", "deferred", "snoozing")
REPLAYED = "fragile-"
"""Prefix of the ids of jobs that the controller replays."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one job does, and how it may end."""

    number: int
    handler: str
    seconds: float
    failures: int
    delay: float
    priority: Priority
    is_cancelled: bool
    """The producer cancels the job as soon as it is enqueued."""

    @property
    def id(self) -> str:
        return f"{self.handler}-{self.number:06d}"

    @property
    def ends(self) -> frozenset[JobState]:
        """Return the states in which the job may end."""
        limit = {"crashing": MAX_CRASHES, "discarded": 0, "snoozing": UNLIMITED}.get(self.handler, MAX_ATTEMPTS)
        found = {JobState.DEAD if self.failures >= limit else JobState.COMPLETED}
        if self.handler not in FAIL_AS_PLANNED:  # others can be dead by a fault, or by a timeout on a busy machine
            found.add(JobState.DEAD)
        if self.is_cancelled:
            found |= {JobState.CANCELLED}
        return frozenset(found)

    @property
    def reason(self) -> DeadReason:
        """Return the reason for which the job is dead, if it is."""
        return REASONS.get(self.handler, DeadReason.ATTEMPTS)

    def call(self) -> Call[str]:
        """Return the job, ready to be enqueued."""
        options: OptionValues = {"id": self.id, "delay": self.delay, "priority": self.priority}
        if self.handler == "expiring":
            options["expires"] = self.delay + EXPIRES
        return HANDLERS[self.handler].options(**options).call(self.seconds, self.failures)


def plan_of(seed: int, number: int, cancel_share: float) -> Plan:
    """Return the plan of job `number`: the same one in each process and in each run with this seed."""
    draw = random.Random(f"{seed}-{number}")  # noqa: S311  # repeatable
    handler = draw.choices(list(SHARES), list(SHARES.values()))[0]
    is_cancelled = draw.random() < cancel_share
    # A job to cancel waits or runs for a while, so that the request finds it scheduled, queued or running.
    is_slow = is_cancelled or draw.random() < 0.1
    seconds = draw.random() / 2 if is_slow and handler != "late" else 0.0
    failures = draw.choice([1, 2, 3] if handler in OFTEN_FAIL else [0] * 57 + [1, 2, 3])
    if handler in ("fragile", "expiring", "discarded"):
        seconds, failures = (0.3 + draw.random() if handler == "fragile" else seconds), 0
    delay = draw.random() * 2 if draw.random() < (0.4 if is_cancelled else 0.1) else 0.0
    return Plan(number, handler, seconds, failures, delay, draw.choice(list(Priority)), is_cancelled)
