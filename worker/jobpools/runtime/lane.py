"""One queue as this worker serves it: leases it holds there, settlements on their way, and when to ask again."""

import logging
import time
from collections.abc import Mapping, Sequence
from itertools import repeat

import msgspec

from jobpools.core.jobs.fairness import priority_turns
from jobpools.core.jobs.job import History, Outcome, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.policies import JobDefaults, QueuePolicy
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.errors import StoreDataError, StoreError
from jobpools.rescue import dropped
from jobpools.runtime.attempt import Entry, Run
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outage import Pauses
from jobpools.runtime.processor import Processor
from jobpools.store import draws, reads, writes
from jobpools.store.codec import (
    VERSION,
    Envelope,
    completed_record,
    decode,
    priority_of,
    read_history,
    split_member,
)
from jobpools.store.connect import Connection

SETTLE_LIMIT = 1000
"""Settlements of a kind in one step."""
DUE_SPACING = 0.005
"""Seconds that a step for a scheduled job waits for others that fall due with it."""
LONGEST_NAP = 10.0
"""Seconds after which a resting worker shows /livez that it still comes round."""
SAID_AGAIN = 60.0
"""Seconds between two lines about dropped dead letters."""
TOLD_LIMIT = 1000
"""Different refusals that are remembered, so that each is said once: job names of others can be many."""
DRAINING_PAUSE = 1.0
"""Seconds until a worker that may not claim asks again."""

log = logging.getLogger("jobpools.worker")


class Lane:
    """One queue."""

    def __init__(  # noqa: PLR0913  # what a queue has of its own, and what all lanes share
        self,
        connection: Connection,
        queue: QueueName,
        *,
        worker: WorkerId,
        weight: int,
        policy: QueuePolicy,
        entries: Mapping[str, Entry],
        processor: Processor,
        metrics: Metrics,
        lease: float,
        defaults: JobDefaults,
    ) -> None:
        self.queue = queue
        self.weight = weight
        self.credit = 0
        """The dispatcher's account of whose turn it is."""
        self.held: dict[str, Run] = {}
        """By member: the leases to renew, until their settlement has reached Redis. Read by the lease thread."""
        self.hungry = True
        """There may be something to claim."""
        self.draining = False
        """Redis said that this worker may not claim here."""
        self._connection = connection
        self.worker = worker
        self.services = processor.services
        self._policy = policy
        self.keep = policy.keep
        """How many completed jobs and dead letters the queue keeps."""
        self._dropped = 0
        self._say_dropped = 0.0
        self._entries = entries
        self._processor = processor
        self._metrics = metrics
        self.lease_ms = int(lease * 1000)
        self._stranger = _stranger(defaults, metrics)
        self._completed: dict[int, writes.Completed] = {}
        """By the ms to keep the results: often the same for all, and then told once a step."""
        self._settled: list[writes.Settled] = []
        self._due: float | None = None
        self.unanswered: list[tuple[str, float]] = []
        """Claims without an answer, and until when their jobs may stand as leased to us, who have not got them."""
        self._pauses = Pauses()
        self._resume: float | None = None
        self._failed = False
        """The latest step was refused, for a reason of this queue's own."""
        self._uncertain = False
        self._told: set[str] = set()

    # Settling and claiming

    @property
    def outbox(self) -> bool:
        """There is something to settle."""
        return bool(self._completed or self._settled)

    def complete(self, member: str, name: str, result: bytes, seconds: float, ttl: float) -> None:
        """The attempt returned."""
        keep = int(ttl * 1000)
        group = self._completed.get(keep)
        if group is None:
            group = self._completed[keep] = writes.Completed()
        group.members.append(member)
        group.records.append(completed_record(name, result, seconds))

    def settle(self, member: str, priority: Priority, settlement: Settlement) -> None:
        """The attempt ended otherwise."""
        self._settled.append(writes.Settled(member, priority, settlement))

    async def step(self, claim: int) -> None:
        """Send what is in the outbox, and start what comes back. Raises StoreError: then the outbox is as it was."""
        if self._resume is not None:
            await self.check()
        claim = min(claim, writes.CLAIM_LIMIT)
        completed = {keep: group.first(SETTLE_LIMIT) for keep, group in self._completed.items()}
        settled = self._settled[:SETTLE_LIMIT]
        tail = self.next_tail()
        try:
            reply = await writes.step(
                self._connection,
                self.queue,
                self.worker,
                completed=completed,
                settled=settled,
                claim=claim,
                tail=tail,
                lease_ms=self.lease_ms,
                order=self._order(claim),
                keep=self.keep,
            )
        except StoreError:
            self._uncertain = True
            if claim:
                self.unanswered.append((tail, time.monotonic() + 2 * self.lease_ms / 1000))
            raise
        # No await from here on: what Redis knows now, `held` knows too before anybody else looks.
        if self._failed:
            self._failed = False
            self._pauses.reset()
        self._let_go(completed, settled)
        self._metrics.steps += 1
        self._learn(reply)
        if reply.ids:
            self._take(reply, tail)

    def _let_go(self, completed: Mapping[int, writes.Completed], settled: Sequence[writes.Settled]) -> None:
        """These settlements have reached Redis."""
        held = self.held
        for keep, group in completed.items():
            for member in group.members:
                held.pop(member, None)
            if not self._completed[keep].without(len(group.members)):
                del self._completed[keep]
        del self._settled[: len(settled)]
        for each in settled:
            held.pop(each.member, None)

    def next_tail(self) -> str:
        """The fence of the next claim."""
        return draws.tail(self.worker)

    def _learn(self, reply: writes.StepReply) -> None:
        # After a step without an answer the same settlements were sent again: refused, and rightly so.
        if reply.stale and not self._uncertain:
            self._metrics.stale += len(reply.stale)
            log.warning("%s: %d settlements refused: their leases had gone to others", self.queue, len(reply.stale))
        self._uncertain = False
        self._processor.time.learn(reply.now)
        if reply.dropped:
            self.lose(reply.dropped)
        self.draining = reply.draining
        self.hungry = reply.left > 0 and not reply.draining
        self._due = None if reply.next_due < 0 else time.monotonic() + reply.next_due / 1000

    def _take(self, reply: writes.StepReply, tail: str) -> None:
        histories = reply.histories or repeat(None)
        runs = []
        for raw_id, raw, history in zip(reply.ids, reply.envelopes, histories, strict=False):
            if raw is None:
                continue  # purged meanwhile; it was not leased
            run, why = self.hold(raw_id.decode() + tail, raw, read_history(history) if history else None)
            if why:
                self._refuse(run, why)
            else:
                runs.append(run)
        self._metrics.claimed += len(reply.ids)
        self._processor.take(runs)

    def hold(self, member: str, raw: bytes, history: History | None) -> tuple[Run, str]:
        """Keep a leased job's lease alive from now on; also why this worker cannot run it, empty where it can."""
        why = ""
        try:
            envelope = decode(raw)
        except StoreDataError as error:
            envelope, entry, why = self._unreadable(member, raw), self._stranger, str(error)
        else:
            entry = self._entries.get(envelope.name) or self._stranger
            if entry is self._stranger:
                why = f"no job {envelope.name!r} in the app of the workers of queue {self.queue}"
        run = self.held[member] = Run(self, member, envelope, entry, history)
        return run, why

    def running(self, job_id: str) -> Run | None:
        """The attempt of this job that is in hand and not settled."""
        return next((run for run in self.held.values() if run.envelope.id == job_id and not run.settled), None)

    def move(self, run: Run, member: str) -> None:
        """The attempt goes on under another lease."""
        self.held.pop(run.member, None)
        run.member = member
        self._processor.vitals.rename(run.row, member)
        self.held[member] = run

    def _refuse(self, run: Run, why: str) -> None:
        if self._is_news(why):
            log.warning("%s: %s; handed back, for a worker that can run it", run.envelope.id, why)
        run.settled = True
        self._processor.conclude(run, Outcome(OutcomeKind.UNRUNNABLE, message=why))

    def max_crashes(self, name: str) -> int:
        """Return the limit of a handler, or of one that this worker does not know, where the envelope says none."""
        return (self._entries.get(name) or self._stranger).max_crashes

    def _unreadable(self, member: str, raw: bytes) -> Envelope:
        job_id, priority = split_member(member)[0], priority_of(raw)
        return Envelope(VERSION, job_id, "?", self.queue, msgspec.Raw(b"{}"), priority=priority)

    def _order(self, claim: int) -> str:
        """The priorities' letters in the order they are asked, each with how many it may give if that is not all."""
        turns = priority_turns(self._policy, claim, draws.fraction())
        return "".join([f"{writes.LETTERS[priority]}{most if most < claim else ''}" for priority, most in turns])

    # Waiting

    def nap(self) -> float:
        """Seconds until this queue is worth a look even if nobody wakes it."""
        if self._resume is not None:
            return max(self._resume - time.monotonic(), 0.0)
        if self.draining:
            return DRAINING_PAUSE
        if self._due is not None:
            return min(max(self._due - time.monotonic(), 0.0) + DUE_SPACING, LONGEST_NAP)
        return LONGEST_NAP

    def look_again(self) -> None:
        """The nap is over: ask again, where that may bring something."""
        if self.draining or (self._due is not None and self._due <= time.monotonic()):
            self.hungry = True

    # Trouble of its own

    def lose(self, number: int) -> None:
        """Count dead letters that the queue did not keep, and say so, at most once a minute."""
        self._metrics.dead_dropped += number
        self._dropped += number
        if self._dropped and time.monotonic() >= self._say_dropped:
            log.warning("%s", dropped(self.queue, self._dropped, self.keep[1]))
            self._dropped, self._say_dropped = 0, time.monotonic() + SAID_AGAIN

    async def prove(self) -> None:
        """Prove that the server accepts a write to this queue. Raises StoreError."""
        await writes.probe(self._connection, self.queue)

    async def check(self) -> None:
        """Whether its keys are what they should be. Raises StoreError."""
        await reads.check_types(self._connection, self.queue)
        self._resume = None

    def fail(self, error: StoreError) -> None:
        """Redis refuses this queue's step: leave it alone for a while; the others go on."""
        self._resume = time.monotonic() + self._pauses.next()
        self._failed = True
        self.tell(error)

    def _is_news(self, what: str) -> bool:
        if what in self._told:
            return False
        if len(self._told) >= TOLD_LIMIT:
            self._told.clear()
        self._told.add(what)
        return True

    def tell(self, error: StoreError) -> None:
        """Say once what is wrong with this queue."""
        if self._is_news(str(error)):
            log.error("queue %s: %s; it is tried again, and nothing else waits for it", self.queue, error)

    @property
    def troubled(self) -> bool:
        """Its last step was refused, or its keys are not what they should be."""
        return self._resume is not None

    @property
    def ailing(self) -> bool:
        """It is troubled, and it is not time for the next try."""
        return self._resume is not None and self._resume > time.monotonic()


def _stranger(defaults: JobDefaults, metrics: Metrics) -> Entry:
    """Stands for the handler of a job that this worker does not know: the pool's defaults decide about its crashes."""
    entry = Entry("unknown", metrics.tally("unknown"))
    entry.timeout, entry.retry = defaults.timeout, defaults.retry
    entry.result_ttl, entry.max_crashes = defaults.result_ttl, defaults.max_crashes
    return entry
