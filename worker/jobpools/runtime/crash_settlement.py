"""Settle the leases of a worker that died: charge the attempts that caused it, hand the others back.

This runs in a helper process of the supervisor: a Redis that does not answer blocks only that process.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from jobpools.core.jobs.job import Disposition, Outcome, OutcomeKind
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreError
from jobpools.rescue import Rescued, Rescuer
from jobpools.runtime import supervisor_log
from jobpools.runtime.crash_report import CrashReport
from jobpools.runtime.vitals import key
from jobpools.store import draws
from jobpools.store.connection import connect
from jobpools.store.heartbeats import remove_worker
from jobpools.store.rescue import TakenLease, held_by

MAX_TRIES, TRY_INTERVAL = 5, 0.5
"""Maximum number of tries to settle the leases, and seconds between them; after the last try the leases expire."""

log = logging.getLogger("jobpools.worker")


def settle(description: Mapping[str, Any], report: CrashReport) -> None:
    """Settle a dead worker's leases: charge the attempts that caused its death, hand the others back.

    Args:
        description: The worker's description (`monitoring.description`).
        report: The attempts to charge, and how the worker died.
    """
    supervisor_log.configure(description)
    asyncio.run(_settle(description, report))


async def _settle(description: Mapping[str, Any], report: CrashReport) -> None:
    connection = connect(description["redis_url"])
    queues: Sequence[str] = description["queues"]
    limits = description["max_crashes_of"]
    settled: list[Rescued] = []
    rescuer = Rescuer(
        connection,
        draws.worker_id(f"{WorkerId(description['worker']).rpartition('.')[0]}-supervisor"),
        lease_ms=int(float(description["lease"]) * 1000),
        max_crashes=lambda name: int(limits.get(name, description["max_crashes"])),
        report=settled.append,
    )

    for tries_left in reversed(range(MAX_TRIES)):
        try:
            for queue in queues:
                await rescuer.sweep(
                    queue, holders=[held_by(description["worker"])], outcome_of=partial(outcome_of, report)
                )
            await remove_worker(connection, description["pool"], description["worker"], queues)
            break
        except StoreError as error:
            if not tries_left:
                log.warning("worker %s: its attempts could not be settled: %s; they run again when their leases expire",
                            description["worker"], error)  # fmt: skip
            await asyncio.sleep(TRY_INTERVAL)
    charged = [_charge(each) for each in settled if each.outcome.kind is OutcomeKind.CRASHED]
    log.error(
        "worker %s: %s; charged with a crash: %s; handed back: %d", description["worker"], report.cause,
        ", ".join(charged) or "no job", len(settled) - len(charged),
    )  # fmt: skip
    await connection.aclose()


def _charge(rescued: Rescued) -> str:
    """Return a charged job and its next state, as text for the log."""
    settlement = rescued.decision.value
    follows = "dead" if settlement.disposition is Disposition.DEAD else "runs again"
    return f"{rescued.name} {rescued.taken.id} (crash {settlement.history.crashes}, {follows})"


def outcome_of(report: CrashReport, taken: TakenLease) -> Outcome:
    """Return the outcome of a lease's attempt after the worker's death."""
    if key(taken.former_lease_id) in report.keys:
        return Outcome(OutcomeKind.CRASHED, error="WorkerLost", message=report.cause, traceback=report.traceback)
    return Outcome(OutcomeKind.INTERRUPTED, message=f"{report.cause}; this job did not cause it")
