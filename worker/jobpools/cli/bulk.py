"""Bulk commands: each changes the jobs that existed when it began, once each, and reports its progress."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobpools.cli import queries
from jobpools.cli.output import Output, document
from jobpools.cli.shell import put
from jobpools.core.jobs.job import JobState
from jobpools.core.text.plurals import count_of
from jobpools.errors import ConfigurationError, JobpoolsError
from jobpools.store import cancellations, deadletters
from jobpools.store.connect import Connection
from jobpools.store.deadletters import Death, Page

Verb = Literal["replay", "purge", "cancel"]
DONE: Mapping[Verb, str] = {"replay": "put back", "purge": "purged", "cancel": "cancelled"}
_CONFIRMED: Mapping[Verb, str] = {
    "purge": "Purge {jobs} of queue {queue} for good?",
    "cancel": "Cancel {jobs} of queue {queue}?",
}
_KEYS: Mapping[Verb, str] = {"replay": "replayed", "purge": "purged", "cancel": "cancelled"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The jobs that a command selects."""

    ids: Sequence[str] = ()
    queue: str | None = None
    every: bool = False
    """All jobs of `queue`."""
    limit: int | None = None
    """With `every`: maximum number of jobs, the earliest first."""
    state: JobState | None = None
    """With `every` of cancel: only jobs in this state."""


@dataclass(slots=True)
class Tally:
    """How far a command has come."""

    verb: Verb
    found: int = 0
    handled: int = 0
    changed: int = 0
    running: int = 0

    def add(self, page: Page) -> None:
        """Count one call's work."""
        self.handled += page.handled
        self.changed += page.changed
        self.running += page.running

    def progress(self) -> str:
        """Return a description of the progress, for a command that ends early."""
        found = count_of(self.found, "job")
        return f"{self.changed} of {found} {DONE[self.verb]} before that; run the command again for the rest"


def run(verb: Verb, choice: Choice, redis: str | None, output: Output, *, confirmed: bool) -> None:
    """Replay, purge or cancel jobs, and print how many. Raises JobpoolsError; after Ctrl-C it prints the progress."""
    tally = Tally(verb)
    try:
        queries.ask(redis, lambda connection: _run(connection, choice, tally, confirmed=confirmed))
    except KeyboardInterrupt:
        sys.stderr.write(f"jobpools: interrupted: {tally.progress()}\n")
        raise
    except JobpoolsError as error:
        if not tally.handled:
            raise
        raise type(error)(f"{error}; {tally.progress()}") from error
    _report(tally, choice, output)


def _report(tally: Tally, choice: Choice, output: Output) -> None:
    if output is not Output.TABLE:
        counts = {"found": tally.found, _KEYS[tally.verb]: tally.changed}
        running = {"running": tally.running} if tally.verb == "cancel" else {}
        document({"queue": choice.queue} | counts | running, output)
        return
    told = f"; {tally.running} of them running: their workers are told to stop them" if tally.running else ""
    put(f"{count_of(tally.changed, 'job')} {DONE[tally.verb]}{told}\n")
    if moved := tally.handled - tally.changed:
        sys.stderr.write(f"{count_of(moved, 'job')} had moved on meanwhile\n")


async def _run(connection: Connection, choice: Choice, tally: Tally, *, confirmed: bool) -> None:
    work = await (_all if choice.every else _named)(connection, tally.verb, choice)
    tally.found = sum(len(each) for each in work.values())
    if choice.every and tally.found and not confirmed:
        _confirm(tally, choice)
    with _bar(tally) as advance:
        for queue, chosen in work.items():
            async for page in _pages(connection, tally.verb, queue, chosen):
                tally.add(page)
                advance(page.handled)


async def _all(connection: Connection, verb: Verb, choice: Choice) -> dict[str, list[Death]]:
    """Return all jobs of a queue that the command may change, as they are now."""
    if choice.queue is None:
        raise ConfigurationError(f"--all needs --queue: which queue's jobs should {verb} change?")
    await queries.named(connection, choice.queue)
    if verb == "cancel":
        states = [choice.state] if choice.state else cancellations.CANCELLABLE
        found = [Death(job_id) for job_id in await cancellations.snapshot(connection, choice.queue, states)]
    else:
        found = await deadletters.snapshot(connection, choice.queue)
    return {choice.queue: found[: choice.limit]}


async def _named(connection: Connection, verb: Verb, choice: Choice) -> dict[str, list[Death]]:
    """Return these jobs by queue. Raises JobNotFoundError, and ConfigurationError for one that is not dead."""
    work: dict[str, list[Death]] = {}
    for job_id in dict.fromkeys(choice.ids):
        view = await queries.find(connection, job_id, choice.queue)
        if verb != "cancel" and view.state is not JobState.DEAD:
            raise ConfigurationError(f"job {view.id} is {view.state}, not dead: nothing was done")
        work.setdefault(view.queue, []).append(Death(view.id))
    return work


def _pages(connection: Connection, verb: Verb, queue: str, chosen: Sequence[Death]) -> AsyncIterator[Page]:
    if verb == "cancel":
        return cancellations.cancelling(connection, queue, [each.id for each in chosen])
    return (deadletters.replaying if verb == "replay" else deadletters.purging)(connection, queue, chosen)


def _confirm(tally: Tally, choice: Choice) -> None:
    """Ask for confirmation at a terminal, and never in a script. Raises typer.Abort when the answer is no."""
    question = _CONFIRMED.get(tally.verb)
    if question and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(question.format(jobs=count_of(tally.found, "job"), queue=choice.queue), abort=True, err=True)


class _bar:  # noqa: N801  # used as a function
    """A progress bar on stderr where that is a terminal; the value is a function that advances it."""

    def __init__(self, tally: Tally) -> None:
        columns: tuple[Any, ...] = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(DONE[tally.verb], total=tally.found)

    def __enter__(self) -> Callable[[int], None]:
        self._progress.start()
        return lambda handled: self._progress.advance(self._task, handled)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
