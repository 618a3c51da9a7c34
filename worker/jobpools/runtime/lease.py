"""Leases are renewed by a thread with a connection of its own: a slow job is never taken for a dead one.

However long a handler blocks the event loop, this thread goes on; only the end of the process ends it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence

from jobpools.core.jobs.job import OutcomeKind
from jobpools.errors import StoreError
from jobpools.runtime.lane import Lane
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outage import Outage, away, jittered
from jobpools.runtime.processor import Processor
from jobpools.settings import WorkerSettings
from jobpools.store import connect, writes

BEATS = 5
"""Signs of life for the supervisor in the time between two renewals."""
BATCH = 1000
"""Leases in one call."""

log = logging.getLogger("jobpools.worker")


class LeaseThread:
    """Renews what the lanes hold, every quarter of the lease, and learns what was lost or shall be cancelled."""

    def __init__(
        self, settings: WorkerSettings, lanes: Sequence[Lane], processor: Processor, outage: Outage, metrics: Metrics
    ) -> None:
        self._interval = settings.lease / 4
        # An answer that takes longer than this comes too late for the lease anyway.
        self._connection = connect.connect_sync(settings.redis_url, timeout=settings.lease / 2)
        self._lanes = lanes
        self._processor = processor
        self._outage = outage
        self._metrics = metrics
        self._loop: asyncio.AbstractEventLoop | None = None
        self.renewed = time.monotonic()
        """When all leases were last renewed."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_all, name="jobpools-leases", daemon=True)

    def start(self) -> None:
        """Begin; call it on the event loop that runs the jobs."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """End; leases that are still held run out."""
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _renew_all(self) -> None:
        due = time.monotonic() + self._interval
        self._processor.vitals.beat(time.monotonic())
        pause = self._interval / 5
        while not self._stop.wait(min(self._interval / BEATS, max(0.0, due - time.monotonic()))):
            self._processor.vitals.beat(time.monotonic())
            if time.monotonic() < due:
                continue
            due = time.monotonic() + self._interval
            try:
                for lane in self._lanes:
                    self._renew_lane(lane)
                    if self._outage.failing("leases"):  # with nothing to renew, nothing was written
                        writes.probe_sync(self._connection, lane.queue)
            except StoreError as error:
                self._metrics.renewals_failed += 1
                self._outage.noticed(error, "leases")
                # First sooner than usual: every lost second counts against the lease.
                due = time.monotonic() + jittered(pause)
                pause = min(2 * pause, self._interval)
            except Exception:
                # Without this thread every lease of the worker would run out.
                log.exception("renewing leases failed; it is tried again")
            else:
                self.renewed = time.monotonic()
                self._outage.over("leases")
                pause = self._interval / 5

    def _renew_lane(self, lane: Lane) -> None:
        # list() of a dict of str runs no Python code: the event loop cannot change it meanwhile.
        members = list(lane.held)
        for start in range(0, len(members), BATCH):
            try:
                gone, cancelling = writes.renew(
                    self._connection, lane.queue, members[start : start + BATCH], lane.lease_ms
                )
            except StoreError as error:
                if away(error):
                    raise
                self._metrics.renewals_failed += 1
                lane.tell(error)
                return
            if (gone or cancelling) and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._tell, lane, gone, frozenset(cancelling))

    def _tell(self, lane: Lane, gone: Sequence[str], cancelling: frozenset[str]) -> None:
        """On the event loop: what was lost is stopped, unless its settlement arrived in the meantime."""
        for member in gone:
            run = lane.held.get(member)
            if run is not None and not run.settled:
                del lane.held[member]
                self._processor.lost(run)
        if cancelling:
            for run in list(lane.held.values()):
                if run.envelope.id in cancelling:
                    self._processor.stop(run, OutcomeKind.CANCELLED)
