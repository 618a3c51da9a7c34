"""Settle an attempt that ended: the decision, its log line, and the settlement to send. Nothing here raises."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from jobpools.core.decision import Decision
from jobpools.core.jobs import retry
from jobpools.core.jobs.job import History, Outcome, OutcomeKind, Priority, Settlement
from jobpools.core.text.error_text import safely, traceback_of
from jobpools.core.text.names import WorkerId
from jobpools.runtime import left_behind
from jobpools.runtime.attempt import Attempt, Phase
from jobpools.runtime.blocking import BlockingMonitor
from jobpools.runtime.left_behind import Executor, LeftBehind
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.prefetch import Prefetch
from jobpools.store import draws
from jobpools.store.clock import ServerClock
from jobpools.store.labels import encode_labels

_LEVELS = {
    OutcomeKind.FAILED: logging.WARNING,
    OutcomeKind.TIMED_OUT: logging.WARNING,
    OutcomeKind.CRASHED: logging.WARNING,
    OutcomeKind.UNRUNNABLE: logging.DEBUG,
}
"""The log level of an outcome; of all others, INFO."""
SETTLED = Phase.SETTLED  # a global is read faster than an enum's member

log = logging.getLogger("jobpools.worker")


def settle(attempt: Attempt, outcome: Outcome, now: float, worker: str) -> None:
    """Decide what becomes of an attempt that did not complete, log it, and put it into the next step.

    Args:
        attempt: The attempt that ended.
        outcome: How it ended.
        now: The server's time, seconds since the epoch.
        worker: Id of this worker.
    """
    attempt.phase = SETTLED
    decision = decide(attempt, outcome, now, worker)
    attempt.outbox.add(attempt.lease, Priority(attempt.envelope.priority), decision.value)
    _report(attempt, outcome, decision)


def decide(attempt: Attempt, outcome: Outcome, now: float, worker: str) -> Decision[Settlement]:
    """Return the settlement; if the job's own retry policy fails, that of the default policy."""
    history, jitter, limit = attempt.history or History(), draws.fraction(), attempt.max_crashes
    policy = attempt.envelope.retry or attempt.handler.retry
    try:
        return retry.settle(outcome, policy, history, now, jitter, max_crashes=limit, worker=worker)
    except BaseException:  # noqa: BLE001  # a job without a decision would hold its slot and its lease
        safely(lambda: log.exception("%s: its retry policy failed; the default policy decides", attempt), None)
        plain = replace(outcome, error_types=(), exception=None)
        return retry.settle(plain, retry.Retry(), history, now, jitter, max_crashes=limit, worker=worker)


def _report(attempt: Attempt, outcome: Outcome, decision: Decision[Settlement]) -> None:
    """Log the end of the attempt, with the traceback of an exception. An error of a log handler is ignored."""
    level = _LEVELS.get(outcome.kind, logging.INFO)
    if outcome.kind is OutcomeKind.INTERRUPTED and not attempt.started_at:
        level = logging.DEBUG  # it never started, and there may be hundreds of these lines
    safely(lambda: _log(level, attempt, outcome, decision), None)


def _log(level: int, attempt: Attempt, outcome: Outcome, decision: Decision[Settlement]) -> None:
    if not log.isEnabledFor(level):
        return
    values = (attempt.handler.name, attempt.envelope.id, decision.reason, decision.message)
    error = outcome.exception if outcome.traceback else None
    info = None if error is None else (type(error), error, traceback_of(error))
    fields = attempt.log_fields  # the watchdog and the renewal of leases end attempts too, outside of their context
    record = log.makeRecord(log.name, level, __file__, 0, "%s %s: %s: %s", values, info, "settle", fields)
    # Formatters use this text instead of formatting the exception, whose own code may raise.
    record.exc_text = outcome.traceback.rstrip("\n") or None
    log.handle(record)


@dataclass(slots=True, eq=False)
class Settler:
    """Settles the attempts of one worker's slots, and counts them."""

    worker: WorkerId
    metrics: Metrics
    clock: ServerClock
    prefetch: Prefetch
    monitor: BlockingMonitor
    executor: Executor
    left_behind: LeftBehind
    wake: Callable[[], None]
    """Called when there is a settlement to send."""
    logs_completions: bool = field(default_factory=lambda: log.isEnabledFor(logging.DEBUG))
    """Whether completed attempts are logged. It is read when the level changes: to read it for each job costs time."""

    def level_changed(self) -> None:
        """Note that the level of the log has changed."""
        self.logs_completions = log.isEnabledFor(logging.DEBUG)

    def complete(self, attempt: Attempt, result: bytes, ttl: float, seconds: float) -> None:
        """Settle an attempt that returned: its encoded result, seconds to keep it, and the attempt's duration."""
        handler, envelope = attempt.handler, attempt.envelope
        labels = encode_labels(envelope) if envelope.tags or envelope.meta else b""
        attempt.outbox.complete(attempt.lease, handler.name, result, seconds, ttl, labels)
        attempt.phase = SETTLED
        handler.tally.complete(seconds)
        self.prefetch.observe(seconds)
        if self.logs_completions:
            log.debug("%s completed in %.3f s", attempt, seconds)

    def end(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """Settle an attempt that did not complete, unless it is settled; `now` is the monotonic time."""
        if attempt.phase is SETTLED:
            return
        attempt.phase = SETTLED  # before anything that may run the user's code
        seconds = now - attempt.started_at if attempt.started_at else 0.0
        attempt.handler.tally.end(outcome.kind, seconds)
        if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT):
            self.prefetch.observe(seconds)
            outcome = self.monitor.with_note(attempt, outcome)
        self._settle(attempt, self._with_note(attempt, outcome))

    def hand_back(self, attempts: Sequence[Attempt]) -> None:
        """Hand back jobs that were claimed and not started, uncharged.

        Each goes to the head of its list, so the last one is sent first.
        """
        for attempt in reversed(attempts):
            self.metrics.handed_back += 1
            self._settle(attempt, Outcome(OutcomeKind.INTERRUPTED, message="claimed and not started"))

    def hand_back_later(self, attempt: Attempt, reason: str, delay: float) -> None:
        """Hand back one job uncharged; it is due again after `delay` seconds, less up to half by jitter."""
        delay *= 1 - draws.fraction() / 2
        self._settle(attempt, Outcome(OutcomeKind.INTERRUPTED, message=reason, delay=delay))

    def lose(self, attempt: Attempt) -> None:
        """Record that another worker holds the lease. Nothing is settled."""
        self.metrics.stale += 1
        attempt.phase = SETTLED
        attempt.stop_outcome = attempt.stop_outcome or Outcome(OutcomeKind.INTERRUPTED)

    def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        settle(attempt, outcome, self.clock.now(), self.worker)
        self.wake()

    def _with_note(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Return the outcome, with a note if code of the attempt still runs."""
        self.executor.ended(attempt)
        if not self.left_behind or attempt.envelope.id not in self.left_behind:
            return outcome
        if outcome.kind is OutcomeKind.CANCELLED:
            log.warning("%s: %s", attempt, left_behind.NOTE)
        return replace(outcome, message=f"{outcome.message}; {left_behind.NOTE}")
