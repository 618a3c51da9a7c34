"""The attempts that workers run now: one hash per pool, worker id to `<ms> [<unlisted>, [<attempt>, …]]`.

They are apart from the heartbeats, which the operator reads at every pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from jobpools.core.jobs.job import JobState
from jobpools.core.pools.worker_states import RunningAttempt
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.job_view import JobView
from jobpools.store.server import pool_keys

REPORT_LIMIT, REPORT_BYTES = 100, 8192
"""Maximum number of attempts that a worker reports, and of bytes that they take: those that have run longest."""
NO_ATTEMPTS, SAME_ATTEMPTS = b"", b"-"
"""Report of a worker that runs nothing, and report after which the attempts of the last one stay."""
LEASE_READ = 1000
"""Number of leases that one round trip checks."""


@dataclass(frozen=True, slots=True)
class RunningReport:
    """A worker's report of the attempts that it runs."""

    attempts: tuple[RunningAttempt, ...] = ()
    """Those that have run longest, longest first: at most REPORT_LIMIT. When read, those that still run."""
    unlisted: int = 0
    """Number of attempts that it ran besides them when it reported."""


def encode_running(report: RunningReport) -> bytes:
    """Return a worker's report for `write_heartbeat`, without attempts that exceed REPORT_BYTES."""
    if not report.attempts:
        return NO_ATTEMPTS
    kept: list[bytes] = []
    size = 0
    for each in report.attempts[:REPORT_LIMIT]:
        values = (each.job_id, each.fence, each.queue, each.name, each.number, round(each.started * 1000))
        kept.append(msgspec.json.encode(values))
        size += len(kept[-1]) + 1
        if size > REPORT_BYTES:
            kept.pop()
            break
    return b"[%d,[%b]]" % (report.unlisted + len(report.attempts) - len(kept), b",".join(kept))


def _parse(raw: bytes | None) -> RunningReport:
    """Parse a report; one that cannot be parsed counts as empty: another version may have written it."""
    if raw is None:
        return RunningReport()
    try:
        unlisted, found = msgspec.json.decode(raw.partition(b" ")[2], type=tuple[int, list[_Reported]])
    except msgspec.DecodeError:
        return RunningReport()
    return RunningReport(tuple(RunningAttempt(*each[:5], each[5] / 1000) for each in found), unlisted)


_Reported = tuple[str, str, str, str, int, float]


async def read_running(
    connection: Connection, workers: Mapping[str, Sequence[str]], limit: int = REPORT_LIMIT
) -> dict[str, RunningReport]:
    """Return what workers run, by worker id: of each at most `limit` attempts whose leases it still holds.

    Args:
        connection: Of the Redis that the workers use.
        workers: By pool key: ids of its workers.
        limit: Maximum number of attempts of one worker.

    Raises:
        StoreError: Redis refused a command or is unreachable.
    """
    asked = {pool: list(ids) for pool, ids in workers.items() if ids}
    if not asked:
        return {}
    replies = await connection.gather([("HMGET", keys.running(pool), *ids) for pool, ids in asked.items()])
    found: dict[str, RunningReport] = {}
    for ids, reply in zip(asked.values(), replies, strict=True):
        for worker, raw in zip(ids, reply, strict=True):
            report = _parse(raw)
            if report.attempts or worker not in found:
                found[worker] = replace(report, attempts=report.attempts[:limit])
    held = await _held(connection, [(each, worker) for worker, report in found.items() for each in report.attempts])
    return {
        worker: replace(report, attempts=tuple(each for each in report.attempts if (each, worker) in held))
        for worker, report in found.items()
    }


async def _held(
    connection: Connection, attempts: Sequence[tuple[RunningAttempt, str]]
) -> set[tuple[RunningAttempt, str]]:
    """Return those attempts, each with its worker, whose leases exist."""
    held: set[tuple[RunningAttempt, str]] = set()
    for start in range(0, len(attempts), LEASE_READ):
        chunk = attempts[start : start + LEASE_READ]
        scores = await connection.gather(
            [
                ("ZSCORE", keys.of_queue(each.queue, "leases"), f"{each.job_id}:{worker}:{each.fence}")
                for each, worker in chunk
            ]
        )
        held.update(each for each, score in zip(chunk, scores, strict=True) if score is not None)
    return held


async def with_starts(connection: Connection, views: Sequence[JobView]) -> list[JobView]:
    """Return the views, with the time at which the attempt of a running job began if its worker has reported it."""
    workers = sorted({view.worker for view in views if view.state is JobState.RUNNING and view.worker})
    if not workers:
        return list(views)
    found = await read_running(connection, dict.fromkeys(await pool_keys(connection), workers))
    starts = {
        (each.job_id, each.queue, worker): each.started for worker, report in found.items() for each in report.attempts
    }
    return [
        replace(view, running_since=starts.get((view.id, view.queue, view.worker)))
        if view.state is JobState.RUNNING
        else view
        for view in views
    ]
