"""Bulk commands: each changes the jobs that existed when it began, once each, and reports its progress."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobpools.cli import queries
from jobpools.cli.output import Output, document
from jobpools.cli.terminal import print_error, write
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.core.text.plurals import count_of
from jobpools.errors import ConfigurationError, JobpoolsError
from jobpools.store import job_changes
from jobpools.store.connection import Connection
from jobpools.store.deadletters import Page
from jobpools.store.job_changes import Change, Selection

EXAMPLE_IDS = 10
"""Number of ids that --dry-run prints."""
_ASKS_FIRST = (Change.RUN_NOW, Change.RESCHEDULE, Change.CANCEL, Change.PURGE, Change.DELETE)
"""Changes that ask for confirmation on a terminal."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The jobs that a command selects, and how it changes them."""

    ids: Sequence[str] = ()
    chosen: JobFilter = JobFilter()  # noqa: RUF009  # frozen, so one for all is safe
    """Without ids: the jobs that match this filter."""
    limit: int | None = None
    """Without ids: maximum number of jobs, the earliest first."""
    due: str = ""
    """RESCHEDULE: ms from now, or `@` and ms since the epoch."""
    past: str = ""
    """The change in the past tense; empty: as `job_changes.PAST` has it."""
    confirmed: bool = False
    """Do not ask the user for confirmation."""
    dry_run: bool = False
    """Change nothing."""


@dataclass(slots=True)
class Tally:
    """The progress of a command."""

    past: str
    found: int = 0
    """Selected jobs."""
    handled: int = 0
    """Jobs that the command has tried to change."""
    changed: int = 0
    running: int = 0
    """Cancelled jobs that were running: their workers stop them."""

    def add(self, page: Page) -> None:
        """Count one call's work."""
        self.handled += page.handled
        self.changed += page.changed
        self.running += page.running

    def progress(self) -> str:
        """Return how far the command came, for a command that ends early."""
        jobs = count_of(self.found, "job")
        return f"{self.changed} of {jobs} {self.past} before that; run the command again for the rest"


def check_choice(command: str, ids: Sequence[str], chosen: JobFilter, *, all_jobs: bool) -> None:
    """Raise ConfigurationError unless either ids, or --all or a condition besides --queue is given."""
    filtered = all_jobs or chosen != JobFilter(queue=chosen.queue)
    if ids and filtered:
        raise ConfigurationError(
            f"{command}: ids exclude --all and all conditions but --queue; give ids, or a condition such as --name NAME"
        )
    if not ids and not filtered:
        raise ConfigurationError(
            f"{command}: no jobs are selected; give ids, a condition such as --name NAME, or --queue NAME --all"
        )
    if all_jobs and chosen.is_empty:
        raise ConfigurationError("--all: no queue given; add --queue NAME")


def run(change: Change, choice: Choice, redis: str | None, output: Output) -> None:
    """Change jobs, and print how many.

    Raises:
        JobpoolsError: With the progress, if some jobs have been changed.
        KeyboardInterrupt: After the progress has been printed.
    """
    tally = Tally(choice.past or job_changes.PAST[change])
    try:
        selected = queries.run_query(redis, lambda connection: _run(connection, change, choice, tally))
    except KeyboardInterrupt:
        print_error(f"interrupted: {tally.progress()}")
        raise
    except JobpoolsError as error:
        if not tally.handled:
            raise
        raise type(error)(f"{error}; {tally.progress()}") from error
    if choice.dry_run:
        _preview(tally, choice, selected, output)
    else:
        _report(change, tally, choice, output)


def _preview(tally: Tally, choice: Choice, selected: Selection, output: Output) -> None:
    ids = [job.id for jobs in selected.values() for job in jobs[:EXAMPLE_IDS]][:EXAMPLE_IDS]
    if output is not Output.TABLE:
        document({"queue": choice.chosen.queue, "found": tally.found, "ids": ids, tally.past: 0}, output)
        return
    write("".join((*(f"{job_id}\n" for job_id in ids), "…\n" * (tally.found > len(ids)))))
    write(f"{count_of(tally.found, 'job')} would be {tally.past}; nothing was changed\n")


def _report(change: Change, tally: Tally, choice: Choice, output: Output) -> None:
    if output is not Output.TABLE:
        counts: Mapping[str, Any] = {"queue": choice.chosen.queue, "found": tally.found, tally.past: tally.changed}
        document({**counts, "running": tally.running} if change is Change.CANCEL else counts, output)
        return
    stopped = f"; {tally.running} of them were running, and their workers stop them" if tally.running else ""
    write(f"{count_of(tally.changed, 'job')} {tally.past}{stopped}\n")
    if skipped := tally.handled - tally.changed:
        sys.stderr.write(f"{count_of(skipped, 'job')} skipped: another process changed their state meanwhile\n")


async def _run(connection: Connection, change: Change, choice: Choice, tally: Tally) -> Selection:
    if choice.ids:
        selected = await job_changes.select_ids(connection, change, choice.ids, choice.chosen.queue)
    else:
        selected = await job_changes.select_matching(connection, change, choice.chosen, choice.limit)
    tally.found = sum(len(jobs) for jobs in selected.values())
    if choice.dry_run:
        return selected
    if not choice.ids and not choice.confirmed and tally.found and change in _ASKS_FIRST:
        _confirm(change, tally, selected)
    with _ProgressBar(tally) as advance:
        for queue, jobs in selected.items():
            async for page in job_changes.changed(connection, change, queue, jobs, choice.due):
                tally.add(page)
                advance(page.handled)
    return selected


def _confirm(change: Change, tally: Tally, selected: Selection) -> None:
    """Ask for confirmation on a terminal, never in a script. Raises typer.Exit if the user declines."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        where = f"queue {', '.join(selected)}" if len(selected) == 1 else f"{len(selected)} queues"
        end = " for good" if change in (Change.PURGE, Change.DELETE) else ""
        verb = change.value.replace("-", " ").capitalize()
        if not typer.confirm(f"{verb} {count_of(tally.found, 'job')} of {where}{end}?", err=True):
            print_error("not confirmed; nothing was changed")
            raise typer.Exit(1)


class _ProgressBar:
    """A progress bar on stderr if that is a terminal; `with` gives a function that advances it."""

    def __init__(self, tally: Tally) -> None:
        columns: tuple[Any, ...] = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(tally.past, total=tally.found)

    def __enter__(self) -> Callable[[int], None]:
        self._progress.start()
        return lambda handled: self._progress.advance(self._task, handled)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
