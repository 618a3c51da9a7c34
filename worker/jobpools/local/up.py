"""`jobpools up`: puts the parts of a run together, starts and stops them."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from jobpools.control.queues import StoreQueues
from jobpools.core.pools.specs import Pool
from jobpools.core.text.plurals import count_of
from jobpools.errors import ConfigurationError, StoreAuthError, StoreError
from jobpools.local import plot, plot_file
from jobpools.local.cluster import ProcessCluster
from jobpools.local.companion import CompanionCommand, parse_command_line
from jobpools.local.completion import Ending, exit_code
from jobpools.local.control_loop import ControlLoop
from jobpools.local.count_reader import CountReader
from jobpools.local.embedded_valkey import EmbeddedValkey
from jobpools.local.error_log import ErrorLogHandler
from jobpools.local.idle_check import IdleCheck
from jobpools.local.options import Options
from jobpools.local.redis_availability import RedisAvailability
from jobpools.local.reporter import RunReporter
from jobpools.local.run_counts import RunCounts
from jobpools.local.schedules import LocalSchedules
from jobpools.local.spec_watch import SpecWatch
from jobpools.local.stop_signals import StopSignals
from jobpools.local.summary import summarize
from jobpools.local.view import View
from jobpools.local.wakeups import wake_on_jobs
from jobpools.local.worker_command import Command, worker_command
from jobpools.settings import REDIS_URL
from jobpools.store.connection import Connection, connect
from jobpools.store.translation import safe_url


def run(options: Options, view: View) -> int:
    """Run `jobpools up` and return its exit code. Raises JobpoolsError when the run cannot begin."""
    log, handler = logging.getLogger("jobpools"), ErrorLogHandler(view.notify)

    async def start_and_run() -> int:
        return await Up(options, view).run()

    log.addHandler(handler)
    try:
        return asyncio.run(start_and_run())
    finally:
        log.removeHandler(handler)  # a second run in this process has another view


class Up:
    """One run, from the files to the summary."""

    def __init__(self, options: Options, view: View) -> None:
        """Check the options and files before anything starts.

        Raises:
            SpecError: A file is wrong.
            ConfigurationError: An option is wrong, or no server is installed.
        """
        self._options = options
        self._view = view
        self._watch = SpecWatch(options.paths, options.namespace, view.notify)
        if options.plot is not None:
            plot_file.check(options.plot)
        self._wake = asyncio.Event()
        self._companion = self._make_companion()
        self._server = None if options.redis else EmbeddedValkey(view.notify, options.data)
        self._cluster = ProcessCluster(
            self._worker_command, notify=view.notify, on_output=view.output, on_change=self._wake.set
        )
        self._signals = StopSignals(self._cluster, self._companion, self._wake, view.notify)

    def _make_companion(self) -> CompanionCommand | None:
        if self._options.companion is None:
            return None
        words = parse_command_line(self._options.companion)
        return CompanionCommand(words, notify=self._view.notify, on_output=self._view.output, on_exit=self._wake.set)

    @property
    def _url(self) -> str:
        """URL of Redis; that of the embedded server is known after its start."""
        return self._options.redis or (self._server.url if self._server is not None else "")

    async def run(self) -> int:
        """Run until the end and return the exit code.

        Raises:
            ConfigurationError: The embedded Valkey does not start.
            StoreAuthError: Redis refuses the user or the password.
        """
        self._signals.install()
        if self._server is not None:
            await self._server.start()
        connection = connect(self._url)
        try:
            return await self._run_connected(connection)
        finally:
            self._cluster.kill()
            await self._cluster.wait_ended()
            await connection.aclose()
            if self._server is not None:
                await self._server.stop()

    async def _run_connected(self, connection: Connection) -> int:
        options, view = self._options, self._view
        availability = RedisAvailability(view.notify)
        await _check_access(connection, availability)
        counts = RunCounts()
        reporter = RunReporter(
            notify=view.notify,
            on_change=view.pool_changed,
            namespace=options.namespace,
            keep_samples=options.plot is not None,
        )
        loop = self._make_loop(connection, reporter, counts, availability)
        view.start(reporter, counts)
        ending = Ending.STOPPED
        try:
            ending = await self._run_loop(loop)
        finally:
            self._finish(ending, reporter, counts)
        companion_failed = self._companion is not None and self._companion.has_failed
        return exit_code(
            ending, until_idle=options.until_idle, has_failure=companion_failed or bool(self._cluster.crash_looping)
        )

    def _make_loop(
        self, connection: Connection, reporter: RunReporter, counts: RunCounts, availability: RedisAvailability
    ) -> ControlLoop:
        options, notify = self._options, self._view.notify
        schedules = LocalSchedules(connection, notify, options.namespace)
        schedules.follow(self._watch.specs.schedules, fire=options.fire)
        return ControlLoop(
            watch=self._watch,
            cluster=self._cluster,
            queues=StoreQueues(connection, "up"),
            reporter=reporter,
            counts=counts,
            count_reader=CountReader(connection, counts, availability, all_queues=self._server is not None),
            idle_check=IdleCheck(
                connection, notify=notify, availability=availability, mention_scheduled=options.until_idle
            ),
            schedules=schedules,
            companion=self._companion,
            signals=self._signals,
            wake=self._wake,
            view=self._view,
            until_idle=options.until_idle,
        )

    async def _run_loop(self, loop: ControlLoop) -> Ending:
        """Run the control loop, the schedules and the companion command, and then drain the workers."""
        tasks = [asyncio.create_task(wake_on_jobs(self._url, self._wake))]
        try:
            self._print_start()
            # Fired jobs must be in their queues before the first pass: with --until-idle it could end the run.
            await loop.schedules.start()
            tasks.append(asyncio.create_task(loop.schedules.run()))
            if self._companion is not None:
                self._companion.start(self._companion_env())
            ending = await loop.run()
            await loop.drain()
            return ending
        finally:
            for task in tasks:
                task.cancel()
            if self._companion is not None:
                await self._companion.stop()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _print_start(self) -> None:
        specs = self._watch.specs
        server = "embedded Valkey" if self._server is not None else "Redis"
        names = ", ".join(pool.meta.name for pool in specs.pools) or "none"
        schedules = count_of(len(specs.schedules), "schedule")
        self._view.notify(f"pools: {names}; {schedules}; {server} at {safe_url(self._url)}")
        for note in specs.notes:
            self._view.notify(note)

    def _finish(self, ending: Ending, reporter: RunReporter, counts: RunCounts) -> None:
        """Print the summary, and draw the plot."""
        if counts.is_current and counts.unfinished and self._server is not None and self._options.data is None:
            unfinished = count_of(counts.unfinished, "unfinished job")
            self._view.notify(f"{unfinished} will be lost with the embedded Valkey; use --data FOLDER to keep the data")
        summary = summarize(ending, counts, self._cluster.peak, reporter.elapsed())
        if self._options.plot is not None:
            try:
                plot.draw(reporter.samples, self._options.plot, summary, reporter.elapsed())
                self._view.notify(f"plot: {self._options.plot}")
            except ConfigurationError as error:
                self._view.notify(str(error))
        self._view.finish(summary)

    def _worker_command(self, pool: Pool) -> Command:
        folder = self._watch.specs.folders.get(pool.meta.key, Path())
        path = _python_path([folder])
        return worker_command(pool, self._url, sys.executable, path=path, variables=self._options.variables)

    def _companion_env(self) -> dict[str, str]:
        folders = self._watch.specs.folders.values()
        return {
            **self._options.variables,
            REDIS_URL: self._url,
            "PYTHONPATH": _python_path(folders),
            "PYTHONUNBUFFERED": "1",
        }


async def _check_access(connection: Connection, availability: RedisAvailability) -> None:
    """Raise StoreAuthError for a wrong password; a Redis that cannot be reached is waited for."""
    try:
        await connection.execute("PING")
    except StoreAuthError:
        raise
    except StoreError as error:
        availability.failed(error)


def _python_path(folders: Iterable[Path]) -> str:
    """Return the inherited PYTHONPATH followed by these folders, each once."""
    own = dict.fromkeys(str(folder.absolute()) for folder in folders)
    return os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), *own)))
