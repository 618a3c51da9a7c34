"""Renew leases in a thread with its own connection, so that a slow worker is never taken for a dead one.

The thread continues while a handler blocks the event loop.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence

from jobpools.core.backoff import Backoff
from jobpools.core.jobs.job import Outcome, OutcomeKind
from jobpools.errors import StoreError
from jobpools.runtime.attempt import Phase
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outage import Outage, concerns_server
from jobpools.runtime.slots import Slots
from jobpools.runtime.vitals import Vitals
from jobpools.settings import WorkerSettings
from jobpools.store import draws
from jobpools.store.leases import renew_leases
from jobpools.store.server import probe_sync
from jobpools.store.sync_connection import connect_sync

PROGRESS_REPORTS = 5
"""Number of times per renewal interval that the thread reports its progress to the supervisor."""
BATCH_LIMIT = 1000
"""Maximum number of leases in one call."""

log = logging.getLogger("jobpools.worker")


class LeaseRenewal:
    """The thread that renews all leases every quarter of their duration, and learns which were lost or cancelled."""

    def __init__(  # the parts of a worker that a renewal concerns
        self,
        settings: WorkerSettings,
        consumers: Sequence[Consumer],
        *,
        slots: Slots,
        outage: Outage,
        metrics: Metrics,
        vitals: Vitals,
    ) -> None:
        self._interval = settings.lease / 4
        # A reply that takes longer than this comes too late for the lease anyway.
        self._connection = connect_sync(settings.redis_url, timeout=settings.lease / 2)
        self._consumers = consumers
        self._slots = slots
        self._outage = outage
        self._metrics = metrics
        self._vitals = vitals
        self.renewed_at = time.monotonic()
        """When all leases were last renewed, by the monotonic clock."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; `loop` runs the jobs."""
        self._thread = threading.Thread(target=self._run, args=(loop,), name="jobpools-leases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; leases that are still held expire."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._connection.close()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        due = time.monotonic() + self._interval
        self._vitals.record_lease_thread(time.monotonic())
        backoff, failures = Backoff(initial=self._interval / 5, maximum=self._interval), 0
        while not self._stop.wait(min(self._interval / PROGRESS_REPORTS, max(0.0, due - time.monotonic()))):
            self._vitals.record_lease_thread(time.monotonic())
            if time.monotonic() < due:
                continue
            due = time.monotonic() + self._interval
            try:
                self._renew_all(loop)
            except StoreError as error:
                self._metrics.renewals_failed += 1
                self._outage.failed(error, "leases")
                # The first retries come sooner than the next renewal would: the leases expire meanwhile.
                failures += 1
                due = time.monotonic() + backoff.delay(failures, draws.fraction())
            except Exception:
                # Without this thread every lease of the worker would expire.
                log.exception("renewing leases failed; the worker tries again")
            else:
                self.renewed_at = time.monotonic()
                self._outage.recovered("leases")
                failures = 0

    def _renew_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for consumer in self._consumers:
            self._renew(consumer, loop)
            if self._outage.is_failing("leases"):  # without leases to renew, nothing was written
                probe_sync(self._connection, consumer.queue)

    def _renew(self, consumer: Consumer, loop: asyncio.AbstractEventLoop) -> None:
        # list() of a dict of str runs no Python code: the event loop cannot change it meanwhile.
        leases = list(consumer.leases.attempts)
        duration_ms = consumer.leases.duration_ms
        for start in range(0, len(leases), BATCH_LIMIT):
            batch = leases[start : start + BATCH_LIMIT]
            try:
                lost, cancelled = renew_leases(self._connection, consumer.queue, batch, duration_ms)
            except StoreError as error:
                if concerns_server(error):
                    raise
                self._metrics.renewals_failed += 1
                consumer.errors.report(error)
                return
            if (lost or cancelled) and not loop.is_closed():
                loop.call_soon_threadsafe(self._stop_attempts, consumer, lost, frozenset(cancelled))

    def _stop_attempts(self, consumer: Consumer, lost: Sequence[str], cancelled: frozenset[str]) -> None:
        """Stop attempts whose lease is lost or whose job was cancelled, unless they are settled; on the event loop."""
        attempts = consumer.leases.attempts
        for lease in lost:
            attempt = attempts.get(lease)
            if attempt is not None and attempt.phase is not Phase.SETTLED:
                del attempts[lease]
                self._slots.lose(attempt)
        if cancelled:
            for attempt in list(attempts.values()):
                if attempt.envelope.id in cancelled:
                    self._slots.stop(attempt, Outcome(OutcomeKind.CANCELLED, message="the job was cancelled"))
