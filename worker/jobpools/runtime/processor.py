"""The slots of one worker: starts what was claimed, watches deadlines, decides what becomes of each attempt."""

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from jobpools.context import Context
from jobpools.core.jobs.job import Outcome, OutcomeKind, Priority
from jobpools.core.text.durations import LONGEST
from jobpools.core.text.names import WorkerId
from jobpools.errors import ArgumentsError, PayloadTooLargeError
from jobpools.middleware import Middleware, wrapped
from jobpools.runtime import current, forking, left_behind, outcomes, settlement
from jobpools.runtime.attempt import Run
from jobpools.runtime.blocking import Monitor
from jobpools.runtime.current import WorkerTask
from jobpools.runtime.left_behind import Executor, LeftBehind
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.quarantine import Quarantine
from jobpools.runtime.services import Services
from jobpools.runtime.vitals import Vitals
from jobpools.store import draws
from jobpools.store.clock import ServerClock

WATCH_INTERVAL = 0.1
"""Seconds between two looks at the deadlines: how late a timeout may be. One look costs less than a timer each."""
STARTS_WITHIN = 0.05
"""Seconds within which a prefetched job must be expected to start."""
PREFETCH_LIMIT = 800
"""The most jobs that are claimed beyond the free slots: 5 ms of the quickest work. That is as long as worker and server
may wait for a core without the other one standing still: with 400 a busy machine drained a third less."""
BATCH = 200
"""Jobs that make a round trip worth while: larger batches save little, and keep the server from others."""
HOARDED_AFTER = 0.25
"""Seconds after which a claimed job that found no slot is handed back, for another worker to take."""
CANCEL_PATIENCE = 5.0
"""Seconds that a cancelled coroutine gets to clean up before its job is settled without it."""
MEAN_WEIGHT = 0.05
"""The weight of one attempt in the mean duration: the latest 20 or so count."""
ALONE_PAUSE = 1.0
"""Seconds, half of it by chance, for which a job that must run alone is left to others when it finds another such."""

DECODING, RUNNING, ENCODING = "decoding", "running", "encoding"
"""Stages of an attempt."""

log = logging.getLogger("jobpools.worker")
clock = time.monotonic


class Processor:
    """Runs at most `slots` attempts at once; what is claimed beyond them waits here, shortly."""

    def __init__(self, *, slots: int, worker: WorkerId, services: Services, metrics: Metrics, max_result: int) -> None:
        self.slots = slots
        self.worker = worker
        self.running: set[Run] = set()
        self.waiting: deque[Run] = deque()
        self.mean: float | None = None
        """The mean duration of the latest attempts, in seconds; None: nothing measured yet."""
        self.slow = 0
        """Attempts that have been running for longer than STARTS_WITHIN: their slots start nothing soon."""
        self.idle_since: float | None = clock()
        """Monotonic seconds since when nothing runs; None: something does."""
        self.time = ServerClock()
        """The time for histories and reports."""
        self.watched = clock()
        """When the event loop last came round to the watchdog."""
        self.stopping = False
        """No attempt is started any more."""
        self.middlewares: Sequence[Middleware] = ()
        self.vitals = Vitals()
        """Where the supervisor reads which attempts have started."""
        self.wake: Callable[[], None] = lambda: None
        """Called when there is something for the next step to do."""
        self.services = services
        self._metrics = metrics
        self._max_result = max_result
        self.left_behind = LeftBehind()
        self.executor = Executor(self.left_behind)
        """The event loop's executor, which runs handlers' `asyncio.to_thread` calls."""
        self._deaf: set[asyncio.Task[None]] = set()
        """Cancelled tasks that have not ended and are no longer waited for."""
        self._monitor = Monitor(lambda: self.watched, WATCH_INTERVAL, clock)
        self._raised: dict[Run, Outcome] = {}
        """Attempts that are stopped because their code raised outside their own task, and their outcomes."""
        self.quarantine = Quarantine()
        self._context = contextvars.copy_context()
        self._chatty = log.isEnabledFor(logging.DEBUG)

    # What may be claimed

    @property
    def held(self) -> int:
        """Jobs that occupy a slot or wait for one."""
        return len(self.running) + len(self.waiting)

    def room(self) -> int:
        """How many jobs may be claimed now: the free slots, and what will start within STARTS_WITHIN."""
        if self.stopping:
            return 0
        return max(0, self.slots + self._prefetch() - self.held)

    @property
    def stocked(self) -> bool:
        """No hurry to claim: of the jobs that may wait for a slot, less than a batch and less than half is missing."""
        prefetch = self._prefetch()
        return len(self.waiting) > max(prefetch // 2, prefetch - BATCH)

    def _prefetch(self) -> int:
        if self.mean is None:
            return 0
        quick = max(0, self.slots - self.slow)
        return min(PREFETCH_LIMIT, int(quick * STARTS_WITHIN / max(self.mean, 1e-6)))

    # Starting

    def take(self, runs: Sequence[Run]) -> None:
        """Start these, as far as there are slots; the rest waits."""
        if self.stopping:
            self.hand_back(runs)
            return
        now, some_left_behind = clock(), bool(self.left_behind)
        for run in runs:
            run.claimed = now
            if run.history is not None and run.history.crashes and not self.quarantine.admits(run):
                self._send_away(run, "it may crash only once more, and such jobs run one at a time")
            elif some_left_behind and run.envelope.id in self.left_behind:
                self._send_away(run, "code of an earlier attempt still runs in this worker")
            else:
                self.waiting.append(run)
        if self.waiting:
            self.idle_since = None
            self._fill()

    def _fill(self) -> None:
        running, waiting, loop = self.running, self.waiting, asyncio.get_running_loop()
        suspect = self.quarantine.suspect
        while waiting and len(running) < self.slots and not self.stopping:
            run = waiting.popleft()
            running.add(run)
            # No loop.create_task: it only looks for a task factory. A context of its own, not the ended attempt's.
            coroutine = self._attempt(run) if run is not suspect else self._alone(run)
            run.task = task = WorkerTask(coroutine, loop=loop, context=self._context.copy())
            task.owner = run

    def _send_away(self, run: Run, why: str) -> None:
        """Hand the job back uncharged, with a delay in which other workers may claim it."""
        run.settled = True
        pause = ALONE_PAUSE * (1 - draws.fraction() / 2)
        self.conclude(run, Outcome(OutcomeKind.INTERRUPTED, message=why, delay=pause))

    async def _alone(self, run: Run) -> None:
        """An attempt that begins when this worker has let go of those that it sent away."""
        await self.quarantine.alone()
        await self._attempt(run)

    async def _attempt(self, run: Run) -> None:
        """Run one attempt to its settlement: the one guard around decoding, handler, middleware and encoding.

        An exception of any of them ends this attempt at once with that error; no outer code handles it again.
        """
        entry = run.entry
        stage = DECODING
        try:
            current.attempt.set(run)
            context = Context(run)
            run.started = started = clock()
            run.deadline = started + run.timeout
            run.row = self.vitals.begin(run.member, run.deadline, entry.number)
            arguments = entry.decode(bytes(run.envelope.args))
            stage = RUNNING
            if self.middlewares:
                value = await wrapped(self.middlewares, context, lambda: entry.call(context, arguments))
            else:
                value = await entry.call(context, arguments)
            if forking.is_child:
                forking.leave(None)
            if run.verdict is None:
                stage = ENCODING
                self._complete(run, value, clock() - started)
                return
            # It was told to stop and returned instead of raising: the reason it was told counts.
            outcome = self._verdict(run) or Outcome(run.verdict)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it ends the attempt, not the worker
            if forking.is_child:
                forking.leave(error)
            outcome = self._verdict(run) or outcomes.failed(error, _final(stage, error))
        self._end(run, outcome)

    # Ending

    def _complete(self, run: Run, value: object, seconds: float) -> None:
        ttl = run.envelope.ttl
        ttl = run.entry.result_ttl if ttl is None else min(ttl, LONGEST)
        result = b"null"
        if value is not None and ttl > 0:
            result = self._encoded(run, value)
        run.lane.complete(run.member, run.entry.name, result, seconds, ttl)
        run.settled = True
        run.entry.tally.complete(seconds)
        mean = self.mean
        self.mean = seconds if mean is None else mean + MEAN_WEIGHT * (seconds - mean)
        if self._chatty:
            log.debug("%s %s completed in %.3f s", run.entry.name, run.envelope.id, seconds)
        self._free(run)

    def _encoded(self, run: Run, value: object) -> bytes:
        result = run.entry.encode_result(value)
        if len(result) > self._max_result:
            raise PayloadTooLargeError(
                f"the result takes {len(result)} bytes, more than {self._max_result}: return a reference to it, or set "
                f"result_ttl=0"
            )
        return result

    def _end(self, run: Run, outcome: Outcome) -> None:
        if run.settled:
            # The watchdog was quicker, or the lease was lost: the job is settled elsewhere.
            if run in self.running:
                self._free(run)
            return
        run.settled = True
        seconds = clock() - run.started if run.started else 0.0
        run.entry.tally.end(outcome.kind, seconds)
        if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT):
            self.mean = seconds if self.mean is None else self.mean + MEAN_WEIGHT * (seconds - self.mean)
            outcome = self._monitor.described(run, outcome)
        self.conclude(run, self._with_rest(run, outcome))
        self._free(run)

    def _with_rest(self, run: Run, outcome: Outcome) -> Outcome:
        """Return the outcome, with a note if code of the attempt still runs."""
        self.executor.ended(run)
        if not self.left_behind or run.envelope.id not in self.left_behind:
            return outcome
        if outcome.kind is OutcomeKind.CANCELLED:
            log.warning("%s %s: %s", run.entry.name, run.envelope.id, left_behind.NOTE)
        return replace(outcome, message=f"{outcome.message}; {left_behind.NOTE}")

    def conclude(self, run: Run, outcome: Outcome) -> None:
        """The one path of every attempt that did not complete: decide, tell, and put it into the next step."""
        decision = settlement.decide(run, outcome, self.time.now())
        run.lane.settle(run.member, Priority(run.envelope.priority), decision.value)
        settlement.tell(run, outcome, decision)
        self.wake()

    def _free(self, run: Run) -> None:
        self.vitals.end(run.row)
        run.row = 0
        run.task = None  # breaks the cycle run → task → coroutine → run
        self.running.discard(run)
        if self._monitor.blocked:
            self._monitor.blocked.pop(run, None)
        if self.waiting:
            self._fill()
        elif not self.running:
            self.idle_since = clock()
        self.wake()

    # Stopping attempts from outside

    def stop(self, run: Run, verdict: OutcomeKind) -> None:
        """Tell one attempt to stop: a coroutine is cancelled, a thread is left behind."""
        if run.verdict is not None or run.settled:
            return
        run.verdict = verdict
        run.deadline = clock() + CANCEL_PATIENCE
        if run.task is not None:
            run.task.cancel()
        elif run in self.waiting:
            self.waiting.remove(run)
        if not run.started:
            # Cancelled before its first step, a task never reaches the code that would settle its attempt.
            self._end(run, self._verdict(run) or Outcome(verdict))

    def raised_outside(self, run: Run, error: BaseException) -> None:
        """Fail an attempt whose code raised out of the event loop, in a task or a callback that it started."""
        if run.settled:
            said = outcomes.in_a_line(error, lambda file: not outcomes.is_plumbing(file))
            log.warning("%s %s: code that it left running raised %s; its attempt had ended before",
                        run.entry.name, run.envelope.id, said)  # fmt: skip
            return
        self._raised[run] = outcomes.failed(error)
        self.stop(run, OutcomeKind.FAILED)

    def lost(self, run: Run) -> None:
        """Its lease has gone to another worker: stop it, and settle nothing."""
        self._metrics.stale += 1
        run.settled = True
        run.verdict = run.verdict or OutcomeKind.INTERRUPTED
        if run in self.waiting:
            self.waiting.remove(run)
            return
        log.warning("%s %s: its lease is lost; it is stopped here and runs elsewhere", run.entry.name, run.envelope.id)
        if run.task is not None:
            run.task.cancel()
        self._leave_behind(run)
        self._free(run)

    def hand_back(self, runs: Sequence[Run]) -> None:
        """Return jobs that were claimed and not started, uncharged; each goes to the head, so the last goes first."""
        for run in reversed(runs):
            run.settled = True
            self._metrics.handed_back += 1
            self.conclude(run, Outcome(OutcomeKind.INTERRUPTED, message="claimed and not started"))

    def give_up(self, run: Run) -> None:
        """Settle an attempt that was told to stop and does not; its slot is freed, and what it returns is refused."""
        log.error("%s %s does not stop though it was cancelled; its slot is freed", run.entry.name, run.envelope.id)
        self._leave_behind(run)
        self._end(run, self._verdict(run) or Outcome(OutcomeKind.INTERRUPTED))

    def _verdict(self, run: Run) -> Outcome | None:
        """What it was told to stop for; None: nobody told it."""
        if run.verdict is None:
            return None
        if run.verdict is OutcomeKind.FAILED:
            return self._raised.pop(run, None)
        if run.verdict is OutcomeKind.TIMED_OUT:
            return outcomes.timed_out(run.timeout)
        return Outcome(run.verdict, message="told to stop")

    @property
    def stuck(self) -> int:
        """Coroutines that were cancelled, have not ended, and are not waited for any more."""
        return len(self._deaf)

    def _leave_behind(self, run: Run) -> None:
        """Keep a task that nobody waits for from the garbage collector until it ends."""
        if run.task is not None and not run.task.done():
            job = run.envelope.id
            self._deaf.add(run.task)
            self.left_behind.add(job)
            run.task.add_done_callback(self._deaf.discard)
            run.task.add_done_callback(lambda _task: self.left_behind.remove(job))

    async def watch(self) -> None:
        """Check all deadlines periodically. Time for which a job blocks the event loop counts against that job only."""
        self.watched = clock()
        self._monitor.start()
        try:
            while True:
                due = clock() + WATCH_INTERVAL
                await asyncio.sleep(WATCH_INTERVAL)
                now = clock()
                self._monitor.beaten(now, now - due, self.running)
                self.look(now)
        finally:
            self._monitor.stop()

    def look(self, now: float) -> None:
        """Stop what takes too long, settle what does not stop, hand back what waits too long for a slot."""
        self.watched = now
        slow = 0
        for run in list(self.running):
            if not run.started:
                continue
            slow += now - run.started > STARTS_WITHIN
            if run.deadline > now:
                continue
            if run.verdict is None:
                self.stop(run, OutcomeKind.TIMED_OUT)
            else:
                self.give_up(run)
        self.slow = slow
        late = []
        while self.waiting and self.waiting[0].claimed < now - HOARDED_AFTER:
            late.append(self.waiting.popleft())
        if late:
            self.hand_back(late)


def _final(stage: str, error: BaseException) -> str:
    """Return why another attempt would end in the same way; empty: it might not."""
    if stage is ENCODING:
        return "the work is done, and the result of another attempt would fail in the same way"
    if stage is DECODING and issubclass(type(error), ArgumentsError):
        return "another attempt would have the same arguments"
    return ""
