"""Decide the responses to /livez and /readyz from the worker's vitals."""

from typing import Final

from jobpools.observability.http_messages import Response, ok, unavailable
from jobpools.runtime.vitals import Snapshot

STALLED_AFTER: Final = 30.0
"""Seconds without progress after which /livez fails. No pause of a busy machine lasts as long."""
STALLED: Final = unavailable("the worker makes no progress: a handler holds the GIL")


def livez(snapshot: Snapshot, now: float) -> Response:
    """Return 503 if the worker makes no progress for a reason that only a restart ends.

    It returns 200 while a handler is within its timeout and while Redis is unreachable.
    """
    blocked = now - snapshot.event_loop
    if blocked > STALLED_AFTER and now > snapshot.deadline + STALLED_AFTER:
        return unavailable(f"the event loop has been blocked for {blocked:.0f} s")
    # Measured until the event loop's last turn: while the loop is blocked, the dispatcher cannot run.
    stalled = snapshot.event_loop - snapshot.dispatcher
    if stalled > STALLED_AFTER and not snapshot.outage:
        return unavailable(f"the claim loop has not run for {stalled:.0f} s")
    return ok()


def readyz(snapshot: Snapshot) -> Response:
    """Return 200 while the worker claims jobs."""
    if snapshot.outage:
        return unavailable("Redis is unreachable")
    if snapshot.draining:
        return unavailable("stopping")
    return ok()
