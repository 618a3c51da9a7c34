"""Empty the slots of a worker that stops: running attempts finish within the grace, the rest is handed back."""

import asyncio
import logging
import time

from jobpools.core.jobs.job import Outcome, OutcomeKind
from jobpools.core.text.names import WorkerId
from jobpools.runtime.slots import Slots

FLUSH_TIMEOUT = 5.0
"""Maximum seconds for cancelled attempts to end, and for the last settlements to reach Redis; then leases expire."""
CHECK_INTERVAL = 0.01
"""Seconds between two checks whether an attempt still runs. It is rare, and an event would cost the hot path."""

log = logging.getLogger("jobpools.worker")


async def empty(slots: Slots, worker: WorkerId, grace: float, hand_back_now: asyncio.Event) -> None:
    """Wait for the running attempts, and hand back those that still run, uncharged.

    Args:
        slots: The slots, which no longer start attempts.
        worker: Id of the worker, for the log.
        grace: Seconds for which running attempts may continue.
        hand_back_now: Ends the grace when it is set.
    """
    if await _ended(slots, grace, hand_back_now):
        log.info("worker %s: all running jobs have ended", worker)
    for attempt in list(slots.running):
        slots.stop(attempt, Outcome(OutcomeKind.INTERRUPTED, message="the worker stops"))
    await _ended(slots, FLUSH_TIMEOUT)
    for attempt in list(slots.running):
        slots.abandon(attempt)


async def _ended(slots: Slots, seconds: float, hand_back_now: asyncio.Event | None = None) -> bool:
    """Wait until no attempt runs; return False if the time is over, or `hand_back_now` is set, before that."""
    until = time.monotonic() + seconds
    while slots.running and time.monotonic() < until:
        if hand_back_now is not None and hand_back_now.is_set():
            break
        await asyncio.sleep(CHECK_INTERVAL)
    return not slots.running
