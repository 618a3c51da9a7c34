"""What becomes of an attempt that did not complete: the decision, and the line in the log. Nothing here raises."""

import logging

from jobpools.core.decision import Decision
from jobpools.core.jobs.job import History, Outcome, OutcomeKind, Settlement
from jobpools.core.jobs.retry import Retry, settle
from jobpools.core.text.descriptions import safely, traceback_of
from jobpools.runtime.attempt import Run
from jobpools.store import draws

log = logging.getLogger("jobpools.worker")


def decide(run: Run, outcome: Outcome, now: float) -> Decision[Settlement]:
    """Return what is done with the job; where its own policy cannot be followed, the default policy decides."""
    envelope, entry, history = run.envelope, run.entry, run.history or History()
    jitter = draws.fraction()
    policy = envelope.retry or entry.retry
    try:
        return settle(outcome, policy, history, now, jitter, max_crashes=run.max_crashes, worker=run.worker)
    except BaseException:  # noqa: BLE001  # a job without a decision would hold its slot and its lease
        said = "%s %s: its retry policy failed; the default policy decides"
        safely(lambda: log.exception(said, entry.name, envelope.id), None)
        plain = Outcome(outcome.kind, error=outcome.error, message=outcome.message, traceback=outcome.traceback)
        return settle(plain, Retry(), history, now, jitter, max_crashes=run.max_crashes, worker=run.worker)


def tell(run: Run, outcome: Outcome, decision: Decision[Settlement]) -> None:
    """Log the end of the attempt, with the traceback of an exception. A log that raises holds up no job."""
    level = _LEVELS.get(outcome.kind, logging.INFO)
    if outcome.kind is OutcomeKind.INTERRUPTED and not run.started:
        level = logging.DEBUG  # nothing happened to it, and there may be hundreds
    safely(lambda: _tell(level, run, outcome, decision), None)


def _tell(level: int, run: Run, outcome: Outcome, decision: Decision[Settlement]) -> None:
    if not log.isEnabledFor(level):
        return
    said = (run.entry.name, run.envelope.id, decision.reason, decision.message)
    error = outcome.exception if outcome.traceback else None
    info = None if error is None else (type(error), error, traceback_of(error))
    record = log.makeRecord(log.name, level, __file__, 0, "%s %s: %s: %s", said, info, "tell")
    # Formatters use this text instead of formatting the exception, whose own code may raise.
    record.exc_text = outcome.traceback.rstrip("\n") or None
    log.handle(record)


_LEVELS = {
    OutcomeKind.FAILED: logging.WARNING,
    OutcomeKind.TIMED_OUT: logging.WARNING,
    OutcomeKind.CRASHED: logging.WARNING,
    OutcomeKind.UNRUNNABLE: logging.DEBUG,
}
"""How loud an outcome is; the rest is INFO."""
