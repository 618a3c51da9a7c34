"""A worker's side of one queue: it sends settlements, claims jobs, and decides when to claim again."""

import logging
import time
from dataclasses import dataclass
from itertools import repeat

import msgspec

from jobpools.core.jobs.fairness import priority_turns
from jobpools.core.jobs.job import History, Outcome, OutcomeKind
from jobpools.core.jobs.policies import Keep, QueuePolicy
from jobpools.core.text.durations import format_duration
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.errors import StoreDataError, StoreError
from jobpools.rescue import describe_dropped
from jobpools.runtime.attempt import Attempt, BoundHandler
from jobpools.runtime.bound_handlers import Handlers
from jobpools.runtime.leases import Leases
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outbox import Outbox
from jobpools.runtime.queue_errors import QueueErrors
from jobpools.runtime.settle import settle
from jobpools.runtime.vitals import Vitals
from jobpools.store import draws
from jobpools.store.clock import ServerClock
from jobpools.store.connection import Connection
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope, decode_envelope, priority_of
from jobpools.store.history import read_history
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.script_arguments import LETTERS
from jobpools.store.server import check_types, probe
from jobpools.store.step import CLAIM_LIMIT, StepReply, settle_and_claim

DUE_SPACING = 0.005
"""Seconds that a step for a scheduled job waits for others that fall due at about the same time."""
MAX_IDLE_WAIT = 10.0
"""Maximum seconds between two turns of an idle dispatcher, so that /livez sees that it works."""
DRAINING_WAIT = 1.0
"""Seconds after which a worker that may not claim tries again."""
DROPPED_INTERVAL = 60.0
"""Minimum seconds between two log lines about dropped dead letters."""

log = logging.getLogger("jobpools.worker")


@dataclass(slots=True)
class ConsumerOptions:
    """The parts of a worker that its consumers share."""

    connection: Connection
    worker: WorkerId
    handlers: Handlers
    policy: QueuePolicy
    """It changes when the worker reloads its settings; nothing else does."""
    lease: float
    """Seconds."""
    metrics: Metrics
    clock: ServerClock
    vitals: Vitals


class Consumer:
    """A worker's side of one queue."""

    def __init__(self, queue: QueueName, options: ConsumerOptions, *, weight: int = 1) -> None:
        self.queue = queue
        self.weight = weight
        self.leases = Leases(options.lease, options.vitals)
        self.outbox = Outbox()
        self.errors = QueueErrors(queue)
        self.may_have_jobs = True
        """Whether there may be a job to claim."""
        self.is_draining = False
        """Whether a scale-down has marked this worker as draining, so that it may not claim here."""
        self.is_leaving = False
        """Whether the worker serves the queue no longer: it claims nothing, and its attempts finish."""
        self.is_paused = False
        """Whether the queue is paused, so that no worker claims from it."""
        self._options = options
        self._handlers: dict[str, BoundHandler] = {}
        """Handlers of the jobs that came from this queue, by name; they count for this queue."""
        self._waits = options.metrics.waits_of(queue)
        self._connection = options.connection
        self._next_due: float | None = None
        """When the next scheduled job falls due; None: none is scheduled, or work is ready anyway."""
        self._is_uncertain = False
        """Whether the latest step had no reply: its settlements are sent again, and may be refused as stale."""
        self._dropped = 0
        self._next_dropped_line = 0.0

    @property
    def keep(self) -> Keep:
        """How many completed jobs and dead letters the queue keeps."""
        return self._options.policy.keep

    def max_crashes(self, name: str) -> int:
        """Return a handler's crash limit, which applies to jobs whose envelope does not set one."""
        return self._options.handlers.get(name).max_crashes

    def forget_handlers(self) -> None:
        """Look the handlers up again: their defaults have changed."""
        self._handlers.clear()

    # Settling and claiming

    async def step(self, claim: int) -> list[Attempt]:
        """Send the settlements of the outbox, claim up to `claim` jobs, and return the attempts to start.

        Raises:
            StoreError: Redis refused the step or did not reply. The outbox is as it was; jobs may have been claimed.
        """
        if self.errors.is_failing:
            await self.check_keys()
        options = self._options
        claim = min(claim, CLAIM_LIMIT)
        batch, lease_suffix = self.outbox.batch(), draws.new_lease_suffix(options.worker)
        try:
            reply = await settle_and_claim(
                self._connection,
                self.queue,
                options.worker,
                completed=batch.completed,
                settled=batch.settled,
                claim=claim,
                lease_suffix=lease_suffix,
                lease_ms=self.leases.duration_ms,
                order=self._order(claim),
                keep=options.policy.keep,
            )
        except StoreError:
            self._is_uncertain = True
            if claim:
                self.leases.note_unanswered(lease_suffix)
            raise
        # No await from here on: other tasks must not run before `leases` agrees with Redis.
        self.errors.step_succeeded()
        self.outbox.acknowledge(batch)
        self.leases.release(batch.leases())
        options.metrics.steps += 1
        self._learn(reply)
        return self._claimed(reply, lease_suffix) if reply.ids else []

    def _learn(self, reply: StepReply) -> None:
        metrics = self._options.metrics
        # After a step without a reply the same settlements were sent again: those are refused, as expected.
        if reply.stale and not self._is_uncertain:
            metrics.stale += len(reply.stale)
            log.warning(
                "%s: %d settlements refused as stale; other workers hold the leases", self.queue, len(reply.stale)
            )
        self._is_uncertain = False
        self._options.clock.learn(reply.now)
        if reply.dropped:
            self.count_dropped(reply.dropped)
        self.is_draining, self.is_paused = reply.draining, reply.paused
        self.may_have_jobs = reply.left > 0 and not (reply.draining or reply.paused)
        self._next_due = None if reply.next_due < 0 else time.monotonic() + reply.next_due / 1000

    def _claimed(self, reply: StepReply, lease_suffix: str) -> list[Attempt]:
        """Hold the leases of the claimed jobs, return those that this worker can run, and hand back the others."""
        histories = reply.histories or repeat(None)
        held, runnable = self.leases.attempts, list[Attempt]()
        for raw_id, raw, history in zip(reply.ids, reply.envelopes, histories, strict=False):
            if raw is None:
                continue  # purged meanwhile; it was not leased
            attempt, refusal = self._attempt(
                raw_id.decode() + lease_suffix, raw, read_history(history) if history else None
            )
            held[attempt.lease] = attempt
            if refusal is None:
                runnable.append(attempt)
            else:
                self._refuse(attempt, refusal)
        self._options.metrics.claimed += len(reply.ids)
        self._waits.observe(reply)
        return runnable

    def _attempt(self, lease: str, raw: bytes, history: History | None) -> tuple[Attempt, Outcome | None]:
        """Return the attempt of a claimed job, and the outcome with which it ends unstarted; None: it is to be run."""
        handlers, refusal = self._options.handlers, None
        handler: BoundHandler = handlers.unknown
        try:
            envelope = decode_envelope(raw)
        except StoreDataError as error:
            envelope, refusal = self._unreadable(lease, raw), Outcome(OutcomeKind.UNRUNNABLE, message=str(error))
        else:
            handler = self._handlers.get(envelope.name) or self._handler(envelope.name)
            if handler is handlers.unknown:
                problem = f"the workers of queue {self.queue} have no handler {envelope.name!r}"
                refusal = Outcome(OutcomeKind.UNRUNNABLE, message=problem)
            if envelope.expires_at is not None:
                refusal = self._expired(envelope.expires_at, history) or refusal
        return Attempt(lease, envelope, handler, history, self.outbox), refusal

    def _expired(self, expires_at: int, history: History | None) -> Outcome | None:
        """Return the outcome of a job that has expired; None: it has not. A job that was replayed does not expire."""
        late = self._options.clock.now() - expires_at / 1000
        if late < 0 or (history is not None and history.replays):
            return None
        return Outcome(OutcomeKind.EXPIRED, message=f"it expired {format_duration(late)} before a worker claimed it")

    def _handler(self, name: str) -> BoundHandler:
        """Return a handler that counts for this queue, or `unknown`."""
        found = self._options.handlers.in_queue(name, self.queue)
        if found is not self._options.handlers.unknown:
            self._handlers[name] = found
        return found

    def _unreadable(self, lease: str, raw: bytes) -> Envelope:
        job_id, priority = split_lease_id(lease)[0], priority_of(raw)
        return Envelope(ENVELOPE_VERSION, job_id, "?", self.queue, msgspec.Raw(b"{}"), priority=priority)

    def _refuse(self, attempt: Attempt, outcome: Outcome) -> None:
        """Settle a job without starting it: it has expired, or this worker cannot run it and hands it back."""
        if outcome.kind is OutcomeKind.EXPIRED:
            attempt.handler.tally.skip(outcome.kind)
        elif self.errors.is_new(outcome.message):
            log.warning("%s: %s; handed back, for a worker that can run it", attempt.envelope.id, outcome.message)
        settle(attempt, outcome, self._options.clock.now(), self._options.worker)

    def _order(self, claim: int) -> str:
        """Return the priorities' letters in the order of the claim, each with its maximum if that is below `claim`."""
        turns = priority_turns(self._options.policy, claim, draws.fraction())
        return "".join([f"{LETTERS[priority]}{most if most < claim else ''}" for priority, most in turns])

    # Waiting

    def next_step_in(self) -> float:
        """Return the seconds until this queue's next step if no wake-up arrives."""
        if self.is_leaving and not self.outbox:
            return MAX_IDLE_WAIT
        retry_in = self.errors.retry_in
        if retry_in is not None:
            return retry_in
        if self.is_draining:
            return DRAINING_WAIT
        if self._next_due is not None:
            return min(max(self._next_due - time.monotonic(), 0.0) + DUE_SPACING, MAX_IDLE_WAIT)
        return MAX_IDLE_WAIT

    def end_wait(self) -> None:
        """Note that the wait is over: claim again if a scheduled job is due or the worker was draining."""
        if self.is_draining or self.is_paused or (self._next_due is not None and self._next_due <= time.monotonic()):
            self.may_have_jobs = True

    # Checks

    async def prove_write(self) -> None:
        """Prove that the server accepts a write to this queue. Raises StoreError."""
        await probe(self._connection, self.queue)

    async def check_keys(self) -> None:
        """Check that the queue's keys have the right types. Raises StoreError."""
        await check_types(self._connection, self.queue)
        self.errors.keys_checked()

    def count_dropped(self, number: int) -> None:
        """Count dead letters that the queue did not keep, and log them at most once a minute."""
        self._options.metrics.dead_dropped += number
        self._dropped += number
        if self._dropped and time.monotonic() >= self._next_dropped_line:
            log.warning("%s", describe_dropped(self.queue, self._dropped, self.keep))
            self._dropped, self._next_dropped_line = 0, time.monotonic() + DROPPED_INTERVAL
