"""The slots of one worker: they start attempts, stop those that take too long, and limit what may be claimed."""

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from jobpools.core.jobs.job import Outcome, OutcomeKind
from jobpools.runtime import outcomes
from jobpools.runtime.attempt import Attempt, Phase
from jobpools.runtime.left_behind import LeftBehind
from jobpools.runtime.prefetch import STARTS_WITHIN, Prefetch
from jobpools.runtime.quarantine import Quarantine
from jobpools.runtime.run_attempt import AttemptRunner
from jobpools.runtime.settle import Settler
from jobpools.runtime.vitals import Vitals
from jobpools.runtime.worker_task import WorkerTask

MAX_WAIT = 0.25
"""Seconds after which a claimed job that found no slot is handed back, so that another worker can claim it."""
CANCEL_GRACE = 5.0
"""Seconds that a cancelled coroutine gets to clean up before its attempt is settled without it."""
HAND_BACK_DELAY = 1.0
"""Seconds after which a job that must not start here is due again, less up to half by jitter."""

log = logging.getLogger("jobpools.worker")
clock = time.monotonic


class Slots:
    """Runs at most `size` attempts at once. Attempts that are claimed beyond that wait here for a short time."""

    def __init__(  # noqa: PLR0913  # the parts of a worker that an attempt passes through
        self,
        size: int,
        *,
        runner: AttemptRunner,
        settler: Settler,
        prefetch: Prefetch,
        left_behind: LeftBehind,
        vitals: Vitals,
        wake: Callable[[], None],
    ) -> None:
        """`wake` is called when there is something for the next step to do."""
        self.size = size
        self.running: set[Attempt] = set()
        self.waiting: deque[Attempt] = deque()
        self.is_draining = False
        """Whether attempts are no longer started."""
        self.is_paused = False
        """Whether no jobs may be claimed; those that are claimed run."""
        self.idle_since: float | None = clock()
        """Monotonic time since which no attempt runs; None: one does."""
        self.quarantine = Quarantine()
        self._run = runner.run
        self._settler = settler
        self._prefetch = prefetch
        self._left_behind = left_behind
        self._vitals = vitals
        self._wake = wake
        self._context = contextvars.copy_context()

    # What may be claimed

    @property
    def held(self) -> int:
        """Number of attempts that run or wait for a slot."""
        return len(self.running) + len(self.waiting)

    def room(self) -> int:
        """Return how many jobs may be claimed: for the free slots, and those that will start soon."""
        if self.is_draining or self.is_paused:
            return 0
        return max(0, self.size + self._prefetch.limit(self.size) - self.held)

    @property
    def is_stocked(self) -> bool:
        """Whether enough attempts wait, so that the next claim can be larger and later."""
        return self._prefetch.is_stocked(self.size, len(self.waiting))

    def resize(self, size: int) -> None:
        """Change the number of slots. If there are more, they fill at once; if fewer, running attempts finish."""
        self.size = size
        self._fill()
        self._wake()

    def wake(self) -> None:
        """Have the dispatcher look for jobs to claim."""
        self._wake()

    # Starting

    def take(self, attempts: Sequence[Attempt]) -> None:
        """Start these attempts as far as there are free slots; the rest waits."""
        if self.is_draining:
            self._settler.hand_back(attempts)
            return
        now, some_left_behind = clock(), bool(self._left_behind)
        for attempt in attempts:
            attempt.claimed_at = now
            if attempt.history is not None and attempt.history.crashes and not self.quarantine.admits(attempt):
                reason = "it may crash only once more, and such jobs run one at a time"
                self._settler.hand_back_later(attempt, reason, HAND_BACK_DELAY)
            elif some_left_behind and attempt.envelope.id in self._left_behind:
                reason = "code of an earlier attempt still runs in this worker"
                self._settler.hand_back_later(attempt, reason, HAND_BACK_DELAY)
            else:
                self.waiting.append(attempt)
        if self.waiting:
            self.idle_since = None
            self._fill()

    def _fill(self) -> None:
        running, waiting, loop = self.running, self.waiting, asyncio.get_running_loop()
        suspect = self.quarantine.suspect
        run, free = self._run, self._free
        while waiting and len(running) < self.size and not self.is_draining:
            attempt = waiting.popleft()
            running.add(attempt)
            # loop.create_task would only look for a task factory. The context is new, not that of the ended attempt.
            coroutine = run(attempt, free) if attempt is not suspect else self._run_alone(attempt)
            attempt.task = task = WorkerTask(coroutine, loop=loop, name=attempt.lease, context=self._context.copy())
            task.owner = attempt

    async def _run_alone(self, attempt: Attempt) -> None:
        """Run an attempt once Redis has recorded the hand-back of those that must not run at the same time."""
        await self.quarantine.until_alone()
        await self._run(attempt, self._free)

    def _free(self, attempt: Attempt) -> None:
        """Free the slot of an attempt that is settled; it may have been freed before."""
        running = self.running
        if attempt not in running:
            return
        running.remove(attempt)
        self._vitals.end(attempt.row)
        attempt.row = 0
        attempt.task = None  # breaks the cycle attempt → task → coroutine → attempt
        if self.waiting:
            self._fill()
        elif not running:
            self.idle_since = clock()
        self._wake()

    # Stopping attempts from outside

    def stop(self, attempt: Attempt, outcome: Outcome) -> None:
        """Stop one attempt and settle it with this outcome: its coroutine is cancelled, its thread is left behind."""
        if attempt.phase in (Phase.STOPPING, Phase.SETTLED):
            return
        has_started = attempt.phase is Phase.RUNNING
        attempt.phase = Phase.STOPPING
        attempt.stop_outcome = outcome
        attempt.abandon_at = clock() + CANCEL_GRACE
        self._cancel(attempt)
        if not has_started:
            # Cancelled before its first step, a task never reaches the code that would settle its attempt.
            self._settler.end(attempt, outcome, clock())
            self._free(attempt)

    def raised_outside(self, attempt: Attempt, error: BaseException) -> None:
        """Fail an attempt whose code raised out of the event loop, in a task or a callback that it started."""
        if attempt.phase is Phase.SETTLED:
            text = outcomes.summary(error, lambda file: not outcomes.is_plumbing(file))
            log.warning("%s: code that it left running raised %s; its attempt had ended before", attempt, text)
        else:
            self.stop(attempt, outcomes.failed(error))

    def lose(self, attempt: Attempt) -> None:
        """Stop an attempt whose lease another worker holds, and settle nothing."""
        self._settler.lose(attempt)
        if attempt in self.running:
            log.warning("%s: its lease is lost; it is stopped here and runs elsewhere", attempt)
        self._cancel(attempt)
        self._left_behind.add_task(attempt.task, attempt.envelope.id)
        self._free(attempt)

    def abandon(self, attempt: Attempt) -> None:
        """Settle an attempt that was stopped and does not end; its slot is freed, and what it returns is ignored."""
        log.error("%s does not stop though it was cancelled; its slot is freed", attempt)
        self._left_behind.add_task(attempt.task, attempt.envelope.id)
        self._settler.end(attempt, attempt.stop_outcome or Outcome(OutcomeKind.INTERRUPTED), clock())
        self._free(attempt)

    def _cancel(self, attempt: Attempt) -> None:
        if attempt.task is not None:
            attempt.task.cancel()
        elif attempt in self.waiting:
            self.waiting.remove(attempt)

    def drain(self) -> int:
        """Stop starting attempts and hand back those that wait; return their number."""
        self.is_draining = True
        waiting = list(self.waiting)
        self.waiting.clear()
        self._settler.hand_back(waiting)
        return len(waiting)

    # Deadlines

    def check_deadlines(self, now: float) -> None:
        """Stop attempts at their deadline, settle those that do not stop, hand back those that wait too long."""
        started = [attempt for attempt in self.running if attempt.started_at]
        self._prefetch.occupied = sum(now - attempt.started_at > STARTS_WITHIN for attempt in started)
        for attempt in started:
            if attempt.next_deadline > now:
                continue
            if attempt.phase is Phase.STOPPING:
                self.abandon(attempt)
            else:
                self.stop(attempt, outcomes.timed_out(attempt.timeout))
        late: list[Attempt] = []
        while self.waiting and self.waiting[0].claimed_at < now - MAX_WAIT:
            late.append(self.waiting.popleft())
        self._settler.hand_back(late)
