"""Actions of a supervisor in its worker's place: renew its leases, and settle them when it has died.

It runs in a separate short-lived process: the supervisor stays small, and a Redis that
does not answer cannot hold it up.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from jobpools.core.jobs.job import Disposition, Outcome, OutcomeKind
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreError
from jobpools.observability import logs
from jobpools.rescue import Rescued, Rescuer
from jobpools.runtime.blame import Blame
from jobpools.runtime.vitals import key
from jobpools.store import connect, draws, writes

EXTENSIONS = 4
"""Renewals per lease duration."""
TRIES, PAUSE = 5, 0.5
"""Tries to settle a dead worker's leases, and seconds between them; after the last try the leases expire."""

log = logging.getLogger("jobpools.worker")


def extend(hello: Mapping[str, Any]) -> None:
    """Renew a worker's leases and its heartbeat until this process is killed."""
    _begin(hello)
    asyncio.run(_extend(hello))


async def _extend(hello: Mapping[str, Any]) -> None:
    lease = float(hello["lease"])
    connection = connect.connect(hello["redis_url"], timeout=lease / 2)
    while True:
        # An outage: the worker's own threads could not renew them either.
        with contextlib.suppress(StoreError):
            for queue in hello["queues"]:
                await writes.extend(connection, queue, hello["worker"], int(lease * 1000))
            await writes.repeat_heartbeat(connection, hello["pool"], hello["worker"])
        await asyncio.sleep(lease / EXTENSIONS)


def settle(hello: Mapping[str, Any], blame: Blame) -> None:
    """Settle a dead worker's leases: charge the attempts that caused its death, hand the others back."""
    _begin(hello)
    asyncio.run(_settle(hello, blame))


async def _settle(hello: Mapping[str, Any], blame: Blame) -> None:
    connection = connect.connect(hello["redis_url"])
    queues: Sequence[str] = hello["queues"]
    limits = hello["max_crashes_of"]
    settled: list[Rescued] = []
    rescuer = Rescuer(
        connection,
        draws.worker_id(f"{WorkerId(hello['worker']).rpartition('.')[0]}-supervisor"),
        lease_ms=int(float(hello["lease"]) * 1000),
        max_crashes=lambda name: int(limits.get(name, hello["max_crashes"])),
        tell=settled.append,
    )

    def cause(taken: writes.Taken) -> Outcome:
        return outcome_of(taken, blame)

    for left in reversed(range(TRIES)):
        try:
            for queue in queues:
                await rescuer.sweep(queue, holders=[writes.held_by(hello["worker"])], cause=cause)
            await writes.forget_worker(connection, hello["pool"], hello["worker"], queues)
            break
        except StoreError as error:
            if not left:
                log.warning("worker %s: its attempts wait until their leases expire: %s", hello["worker"], error)
            await asyncio.sleep(PAUSE)
    charged = [_charge(each) for each in settled if each.outcome.kind is OutcomeKind.CRASHED]
    log.error(
        "worker %s: %s; charged with a crash: %s; handed back: %d", hello["worker"], blame.cause,
        ", ".join(charged) or "no job", len(settled) - len(charged),
    )  # fmt: skip
    await connection.aclose()


def _charge(rescued: Rescued) -> str:
    """Return a job that is charged, and what becomes of it."""
    settlement = rescued.decision.value
    follows = "dead" if settlement.disposition is Disposition.DEAD else "runs again"
    return f"{rescued.name} {rescued.taken.id} (crash {settlement.history.crashes}, {follows})"


def outcome_of(taken: writes.Taken, blame: Blame) -> Outcome:
    """Return the outcome of a lease's attempt after the worker's death."""
    if key(taken.lease) in blame.keys:
        return Outcome(OutcomeKind.CRASHED, error="WorkerLost", message=blame.cause, traceback=blame.traceback)
    return Outcome(OutcomeKind.INTERRUPTED, message=f"{blame.cause}; this job did not cause it")


def _begin(hello: Mapping[str, Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logs.configure(hello["log"], level=logging.WARNING, passed_on=hello["passed_on"])
