"""Bulk commands: each changes the jobs that existed when it began, once each, and reports its progress."""

import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobpools.cli import job_queries, queries
from jobpools.cli.output import Output, document
from jobpools.cli.terminal import print_error, write
from jobpools.core.jobs.job import JobState
from jobpools.core.text.plurals import count_of
from jobpools.errors import ConfigurationError, JobpoolsError
from jobpools.store import cancellations, deadletters
from jobpools.store.connection import Connection
from jobpools.store.deadletters import Death, Page

Verb = Literal["replay", "purge", "cancel"]
PAST: Mapping[Verb, str] = {"replay": "replayed", "purge": "purged", "cancel": "cancelled"}
_QUESTIONS: Mapping[Verb, str] = {
    "purge": "Purge {jobs} of queue {queue} for good?",
    "cancel": "Cancel {jobs} of queue {queue}?",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The jobs that a command selects."""

    ids: Sequence[str] = ()
    queue: str | None = None
    all_jobs: bool = False
    """All jobs of `queue`."""
    limit: int | None = None
    """With `all_jobs`: maximum number of jobs, the earliest first."""
    states: Collection[JobState] = cancellations.CANCELLABLE
    """With `all_jobs` of cancel: only jobs in these states."""


@dataclass(slots=True)
class Tally:
    """The progress of a command."""

    verb: Verb
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
        return f"{self.changed} of {jobs} {PAST[self.verb]} before that; run the command again for the rest"


def check_choice(command: str, ids: Sequence[str], *, all_jobs: bool) -> None:
    """Raise ConfigurationError unless either ids or --all are given."""
    if bool(ids) == all_jobs:
        raise ConfigurationError(
            f"{command}: give either ids or --all; write jobpools {command} ID… or "
            f"jobpools {command} --queue NAME --all"
        )


def run(verb: Verb, choice: Choice, redis: str | None, output: Output, *, confirmed: bool) -> None:
    """Replay, purge or cancel jobs, and print how many.

    Args:
        verb: The change to make.
        choice: The jobs.
        redis: URL of Redis; None: from the environment.
        output: Format of the counts.
        confirmed: Do not ask the user for confirmation.

    Raises:
        JobpoolsError: With the progress, if some jobs have been changed.
        KeyboardInterrupt: After the progress has been printed.
    """
    tally = Tally(verb)
    try:
        queries.run_query(redis, lambda connection: _run(connection, choice, tally, confirmed=confirmed))
    except KeyboardInterrupt:
        print_error(f"interrupted: {tally.progress()}")
        raise
    except JobpoolsError as error:
        if not tally.handled:
            raise
        raise type(error)(f"{error}; {tally.progress()}") from error
    _report(tally, choice, output)


def _report(tally: Tally, choice: Choice, output: Output) -> None:
    if output is not Output.TABLE:
        counts = {"found": tally.found, PAST[tally.verb]: tally.changed}
        if tally.verb == "cancel":
            counts["running"] = tally.running
        document({"queue": choice.queue} | counts, output)
        return
    stopped = f"; {tally.running} of them were running, and their workers stop them" if tally.running else ""
    write(f"{count_of(tally.changed, 'job')} {PAST[tally.verb]}{stopped}\n")
    if skipped := tally.handled - tally.changed:
        sys.stderr.write(f"{count_of(skipped, 'job')} skipped: another process changed their state meanwhile\n")


async def _run(connection: Connection, choice: Choice, tally: Tally, *, confirmed: bool) -> None:
    select = _all_jobs_of_queue if choice.all_jobs else _jobs_with_ids
    selected = await select(connection, tally.verb, choice)
    tally.found = sum(len(jobs) for jobs in selected.values())
    if choice.all_jobs and tally.found and not confirmed:
        _confirm(tally, choice)
    with _ProgressBar(tally) as advance:
        for queue, jobs in selected.items():
            async for page in _change(connection, tally.verb, queue, jobs):
                tally.add(page)
                advance(page.handled)


async def _all_jobs_of_queue(connection: Connection, verb: Verb, choice: Choice) -> dict[str, list[Death]]:
    """Return the jobs of a queue that the command can change now, up to the limit, by queue."""
    if choice.queue is None:
        raise ConfigurationError("--all: no queue given; add --queue NAME")
    await job_queries.resolve_queues(connection, choice.queue)
    if verb == "cancel":
        found = [Death(job_id) for job_id in await cancellations.snapshot(connection, choice.queue, choice.states)]
    else:
        found = await deadletters.snapshot(connection, choice.queue)
    return {choice.queue: found[: choice.limit]}


async def _jobs_with_ids(connection: Connection, verb: Verb, choice: Choice) -> dict[str, list[Death]]:
    """Return the jobs with these ids, by queue. Raises JobNotFoundError, and ConfigurationError for one not dead."""
    jobs: dict[str, list[Death]] = {}
    for job_id in dict.fromkeys(choice.ids):
        view = await job_queries.find(connection, job_id, choice.queue)
        if verb != "cancel" and view.state is not JobState.DEAD:
            raise ConfigurationError(
                f"job {view.id}: it is {view.state}, not dead; leave out this id (nothing was changed)"
            )
        jobs.setdefault(view.queue, []).append(Death(view.id))
    return jobs


def _change(connection: Connection, verb: Verb, queue: str, jobs: Sequence[Death]) -> AsyncIterator[Page]:
    """Change the jobs of one queue in short calls, and yield what each call did."""
    if verb == "cancel":
        return cancellations.cancel_jobs(connection, queue, [job.id for job in jobs])
    return (deadletters.replay if verb == "replay" else deadletters.purge)(connection, queue, jobs)


def _confirm(tally: Tally, choice: Choice) -> None:
    """Ask for confirmation on a terminal, never in a script. Raises typer.Abort if the user declines."""
    question = _QUESTIONS.get(tally.verb)
    if question and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(question.format(jobs=count_of(tally.found, "job"), queue=choice.queue), abort=True, err=True)


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
        self._task = self._progress.add_task(PAST[tally.verb], total=tally.found)

    def __enter__(self) -> Callable[[int], None]:
        self._progress.start()
        return lambda handled: self._progress.advance(self._task, handled)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
