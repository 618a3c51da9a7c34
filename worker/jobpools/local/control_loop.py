"""The control loop of `jobpools up`: passes over all pools until the run ends, and then the drain."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from jobpools.control.queues import StoreQueues
from jobpools.control.reconcile import Reconciler, reconcile, seconds_to_next_pass
from jobpools.core.pools.memory import Memory
from jobpools.local.cluster import ProcessCluster
from jobpools.local.companion import CompanionCommand
from jobpools.local.completion import Ending, Progress, decide_ending, is_at_minimum
from jobpools.local.count_reader import CountReader
from jobpools.local.idle_check import IdleCheck
from jobpools.local.reporter import RunReporter
from jobpools.local.run_counts import RunCounts
from jobpools.local.schedules import LocalSchedules
from jobpools.local.spec_watch import SpecWatch
from jobpools.local.stop_signals import StopSignals
from jobpools.local.view import View

CHECK_INTERVAL = 0.25
"""Seconds between two checks of the files, and between two passes while there is work."""


@dataclass(slots=True)
class ControlLoop:
    """The control loop of one run, with its collaborators."""

    watch: SpecWatch
    cluster: ProcessCluster
    queues: StoreQueues
    reporter: RunReporter
    counts: RunCounts
    count_reader: CountReader
    idle_check: IdleCheck
    schedules: LocalSchedules
    companion: CompanionCommand | None
    signals: StopSignals
    wake: asyncio.Event
    """Set when a pass must run at once: a job, a worker, a file or a signal changed something."""
    view: View
    until_idle: bool
    memories: dict[str, Memory] = field(default_factory=dict[str, Memory])
    """What the planner remembers of each pool, by pool key."""

    async def run(self) -> Ending:
        """Run passes until a signal arrives or, with `until_idle`, the run is complete."""
        next_pass = 0.0
        while not self.signals.stop_requested:
            await self._follow_edits()
            if self.wake.is_set() or time.monotonic() >= next_pass:
                self.wake.clear()
                ending, wait = await self._pass()
                if ending is not None:
                    return ending
                next_pass = time.monotonic() + wait
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), CHECK_INTERVAL)
        return Ending.STOPPED

    async def drain(self) -> None:
        """Stop all workers and wait for their end, while counts and rows stay current."""
        self.cluster.stop()
        ended = asyncio.create_task(self.cluster.wait_ended())
        while not ended.done():
            await asyncio.wait([ended], timeout=CHECK_INTERVAL)
            await self.count_reader.read(self.watch.specs)
            for pool in self.watch.specs.pools:
                self.reporter.report_stopping(pool, self.cluster.running_of(pool), self.counts.ledgers)

    async def _pass(self) -> tuple[Ending | None, float]:
        """Run one pass; return how the run ends (None: it continues) and the seconds until the next pass."""
        # Read before the queues: a command that ends after this line may have enqueued jobs that the pass does not see.
        expects_more_jobs = self._expects_more_jobs()
        specs = self.watch.specs
        statuses = {key: plan.status.to_dict() for key, plan in self.reporter.plans.items()}
        reconciler = Reconciler(self.cluster, self.queues, self.reporter, self.memories, statuses)
        wait = seconds_to_next_pass(await reconcile(specs.pools, reconciler, time.time()))
        await self.count_reader.read(specs)
        is_stuck = await self.idle_check.is_stuck(self.counts, specs.pools)
        if not self.until_idle:
            return None, wait if wait > 1 else CHECK_INTERVAL  # a short wait: jobs run, and the display shows counts
        decision = decide_ending(self._progress(is_stuck=is_stuck, expects_more_jobs=expects_more_jobs))
        if decision.message:
            self.view.notify(decision.message)
        return decision.value, CHECK_INTERVAL

    def _progress(self, *, is_stuck: bool, expects_more_jobs: bool) -> Progress:
        now = time.time()
        return Progress(
            unfinished=self.counts.unfinished if self.counts.is_current else None,
            is_stuck=is_stuck,
            expects_more_jobs=expects_more_jobs,
            crash_looping=self.cluster.crash_looping,
            pools_at_minimum=all(
                is_at_minimum(pool, row.desired if row else None, self.cluster.running_of(pool), now)
                for pool in self.watch.specs.pools
                for row in (self.reporter.rows.get(pool.meta.key),)
            ),
        )

    def _expects_more_jobs(self) -> bool:
        companion_runs = self.companion is not None and self.companion.is_running
        return companion_runs or self.schedules.has_requested_fires

    async def _follow_edits(self) -> None:
        """Apply edited files: drain the workers of removed pools, and run a pass over the others at once."""
        before = self.watch.specs
        if not self.watch.reload():
            return
        after = self.watch.specs
        kept = {pool.meta.key for pool in after.pools}
        for pool in before.pools:
            if pool.meta.key not in kept:
                await self.cluster.remove(pool)
                self.reporter.forget(pool.meta.key)
                self.memories.pop(pool.meta.key, None)
        self.schedules.follow(after.schedules)
        self.wake.set()
