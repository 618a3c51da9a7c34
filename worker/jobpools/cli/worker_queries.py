"""What `jobpools workers` reads, and the commands that it gives to workers."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobpools.cli.acting_user import acting_user
from jobpools.cli.output import format_time
from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.worker_states import CommandKind, ReloadAnswer, WorkerCommand
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.errors import ConfigurationError
from jobpools.store import worker_commands
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.running_attempts import REPORT_LIMIT, RunningReport, read_running
from jobpools.store.server import pool_keys, queue_names

ANSWER_TIMEOUT = 10.0
"""Maximum seconds to wait for the answers to a reload; a worker reads its commands every 3 s."""
ANSWER_CHECK = 0.2
"""Seconds between two checks for answers."""
CHECKED_ATTEMPTS = 3
"""Number of reported attempts of a worker that a listing checks, to find one that still runs."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The workers that a command line chooses."""

    names: Sequence[str]
    """Names or ids of workers; empty: all of the pool."""
    pool: str | None
    """`NAMESPACE/NAME`; None: of any pool."""


async def rows(connection: Connection, pool: str | None = None) -> list[dict[str, Any]]:
    """Return a row for each worker whose heartbeat is recent."""
    found, now = await _read(connection)
    chosen = [each for each in found if pool in (None, each.pool)]
    running = await _running(connection, chosen, CHECKED_ATTEMPTS)
    return [{**_row(each, now), "longest": _longest(running[each.worker], now)} for each in chosen]


async def _running(connection: Connection, found: Sequence[Heartbeat], limit: int) -> dict[str, RunningReport]:
    """Return by worker id what each runs, at most `limit` attempts of each."""
    workers: dict[str, list[str]] = {}
    for each in found:
        workers.setdefault(each.pool, []).append(each.worker)
    return await read_running(connection, workers, limit)


def _longest(report: RunningReport, now: float) -> float | None:
    """Return the seconds for which the longest-running job has run."""
    return max(0.0, now - report.attempts[0].started) if report.attempts else None


async def _read(connection: Connection) -> tuple[list[Heartbeat], float]:
    """Return the heartbeats, by pool and worker, and the server's time."""
    names, pools = await queue_names(connection), await pool_keys(connection)
    facts = await read_endpoint(connection, dict.fromkeys(pools, names))
    return [each for pool in sorted(facts.heartbeats) for each in facts.heartbeats[pool]], facts.now or time.time()


def _row(each: Heartbeat, now: float) -> dict[str, Any]:
    return {
        "worker": each.host,
        "pool": each.pool,
        "state": str(each.state),
        "slots": each.slots,
        "busy": each.busy,
        "processed": each.completed + each.failed,
        "completed": each.completed,
        "failed": each.failed,
        "completed/min": each.completed_per_minute,
        "failed/min": each.failed_per_minute,
        "left_behind": each.left_behind,
        "draining": each.draining,
        "memory": f"{each.rss_bytes / 1e6:.0f}MB",
        "age": round(now - each.started, 3),
        "seen": round(now - each.seen, 3),
        "id": each.worker,
        "version": each.version,
        "why": None if each.command is None else str(each.command),
    }


async def details(connection: Connection, name: str, pool: str | None) -> list[dict[str, Any]]:
    """Return the worker of this name, with its command and what it runs; several if the name is not unique."""
    found, now = await _read(connection)
    chosen = _chosen(found, Selection((name,), pool), "show")
    running = await _running(connection, chosen, REPORT_LIMIT)
    return [
        {
            **_row(each, now),
            "started": format_time(each.started),
            "command": _command_row(each.command),
            **_jobs(running[each.worker], now),
        }
        for each in chosen
    ]


def _jobs(report: RunningReport, now: float) -> dict[str, Any]:
    """Return the running jobs, and the number of those that are not listed because they are too many."""
    jobs = [
        {
            "id": each.job_id,
            "queue": each.queue,
            "name": each.name,
            "attempt": each.number,
            "started": format_time(each.started),
            "elapsed": round(max(0.0, now - each.started), 3),
        }
        for each in report.attempts
    ]
    return {"jobs": jobs, "jobs_not_listed": report.unlisted}


def _command_row(command: WorkerCommand | None) -> dict[str, Any] | None:
    if command is None:
        return None
    return {
        "command": str(command.kind),
        "since": format_time(command.since),
        "by": command.by,
        "reason": command.reason,
    }


def _chosen(found: Sequence[Heartbeat], selection: Selection, verb: str) -> list[Heartbeat]:
    """Return the chosen workers. Raises ConfigurationError if a name or the pool has none: nothing is done then."""
    pool = selection.pool
    if not selection.names and pool is None:
        raise ConfigurationError(f"workers {verb}: no worker named; add NAME or --pool NAMESPACE/NAME")
    of_pool = [each for each in found if pool in (None, each.pool)]
    where = "" if pool is None else f" of pool {pool}"
    if not of_pool and not selection.names:
        hint = did_you_mean(pool or "", {each.pool for each in found})
        raise ConfigurationError(f"workers {verb}: no worker{where} has reported in the last 30 seconds{hint}")
    chosen: list[Heartbeat] = []
    for name in dict.fromkeys(selection.names):
        named = [each for each in of_pool if name in (each.host, each.worker)]
        if not named:
            hint = did_you_mean(name, {each.host for each in of_pool})
            raise ConfigurationError(
                f"workers {verb}: {name}: no such worker{where} has reported in the last 30 seconds{hint}"
            )
        chosen += named
    return chosen if selection.names else of_pool


async def give(connection: Connection, selection: Selection, kind: CommandKind, *, by: str, reason: str) -> list[str]:
    """Give a command to the chosen workers, and return the names of those that are still listed."""
    found, _ = await _read(connection)
    command = WorkerCommand(kind, by or acting_user(), reason)
    return [
        each.host
        for each in _chosen(found, selection, kind)
        if await worker_commands.give_command(connection, each.pool, each.worker, command)
    ]


async def reload(connection: Connection, selection: Selection, by: str) -> list[dict[str, Any]]:
    """Tell the chosen workers to reload, and return a row with the answer of each."""
    found, _ = await _read(connection)
    command = WorkerCommand(CommandKind.RELOAD, by or acting_user())
    given = {
        each: await worker_commands.give_command(connection, each.pool, each.worker, command)
        for each in _chosen(found, selection, command.kind)
    }
    waiting = {each: at for each, at in given.items() if at}
    answers = await _answers(connection, waiting)
    silent = ReloadAnswer(problem=f"no answer within {ANSWER_TIMEOUT:.0f}s; look at its log")
    return [_answer_row(each, answers.get(each, silent)) for each in waiting]


async def _answers(connection: Connection, waiting: Mapping[Heartbeat, int]) -> dict[Heartbeat, ReloadAnswer]:
    """Wait for the answers of workers that were told to reload at these times, in ms."""
    answers: dict[Heartbeat, ReloadAnswer] = {}
    until = time.monotonic() + ANSWER_TIMEOUT
    while len(answers) < len(waiting) and time.monotonic() < until:
        await asyncio.sleep(ANSWER_CHECK)
        for each in [each for each in waiting if each not in answers]:
            answer = await worker_commands.read_answer(connection, each.pool, each.worker, waiting[each])
            if answer is not None:
                answers[each] = answer
    return answers


def _answer_row(each: Heartbeat, answer: ReloadAnswer) -> dict[str, Any]:
    return {
        "worker": each.host,
        "pool": each.pool,
        "id": each.worker,
        "changed": list(answer.changed),
        "needs_restart": list(answer.kept),
        "problem": answer.problem or None,
    }


async def resume(connection: Connection, selection: Selection) -> list[str]:
    """Remove the commands of the chosen workers, and return the names of those that are still listed."""
    found, _ = await _read(connection)
    return [
        each.host
        for each in _chosen(found, selection, "resume")
        if await worker_commands.remove_command(connection, each.pool, each.worker)
    ]
