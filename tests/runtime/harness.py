"""Slots with one handler and no Redis: attempts are given to them, and their settlements are read from the outbox."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from jobpools.core.jobs.job import AttemptRecord, Disposition, History, OutcomeKind, Settlement
from jobpools.core.jobs.retry import Retry
from jobpools.core.text.names import WorkerId
from jobpools.runtime.attempt import Attempt, BoundHandler
from jobpools.runtime.blocking import BlockingMonitor
from jobpools.runtime.left_behind import Executor, LeftBehind
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outbox import Outbox
from jobpools.runtime.prefetch import Prefetch
from jobpools.runtime.run_attempt import AttemptRunner
from jobpools.runtime.services import Services
from jobpools.runtime.settle import Settler
from jobpools.runtime.slots import Slots
from jobpools.runtime.vitals import Vitals
from jobpools.store.clock import ServerClock
from jobpools.store.draws import fresh_id
from jobpools.store.envelope import Envelope

WORKER = WorkerId("host.1")


class SlotsHarness:
    """Slots whose attempts all call one handler."""

    def __init__(self, call: Callable[..., Any], size: int = 1, **options: Any) -> None:
        """`options` are attributes of the handler, as `timeout`."""
        self.metrics, self.prefetch, self.left_behind = Metrics("default/test"), Prefetch(), LeftBehind()
        self.outbox, vitals = Outbox(), Vitals()
        settler = Settler(
            worker=WORKER,
            metrics=self.metrics,
            clock=ServerClock(),
            prefetch=self.prefetch,
            monitor=BlockingMonitor(),
            executor=Executor(self.left_behind),
            left_behind=self.left_behind,
            wake=lambda: None,
        )
        runner = AttemptRunner(settler, worker=WORKER, services=Services(), vitals=vitals, max_result=1000)
        self.slots = Slots(
            size,
            runner=runner,
            settler=settler,
            prefetch=self.prefetch,
            left_behind=self.left_behind,
            vitals=vitals,
            wake=lambda: None,
        )
        values: dict[str, Any] = {"timeout": 60.0, "retry": Retry(), "result_ttl": 60.0, "max_crashes": 3} | options
        self.handler = BoundHandler(
            name="job",
            number=0,
            code=("", ""),
            call=call,
            plain=None,
            decode=lambda raw: msgspec.json.decode(raw, type=dict),
            encode_result=msgspec.json.encode,
            logger=logging.getLogger("app.jobs"),
            tally=self.metrics.tally("job", "default"),
            **values,
        )

    def attempt(self, lease: str, crashes: int = 0, **arguments: Any) -> Attempt:
        """Return an attempt of a job that has crashed so many times."""
        envelope = Envelope(1, fresh_id(), "job", "default", msgspec.Raw(msgspec.json.encode(arguments)))
        past = (AttemptRecord(1, OutcomeKind.CRASHED, 0.0),) * crashes
        history = History(crashes=crashes, entries=past) if crashes else None
        return Attempt(lease, envelope, self.handler, history, self.outbox)

    def acknowledge(self) -> None:
        """Forget all settlements, as when a step has carried them to Redis."""
        self.outbox.acknowledge(self.outbox.batch())

    @property
    def completed(self) -> list[str]:
        """Leases of completed attempts that are not acknowledged."""
        return [lease for group in self.outbox.batch().completed.values() for lease in group.lease_ids]

    @property
    def settled(self) -> list[tuple[str, Settlement]]:
        """Leases and settlements of other attempts that are not acknowledged."""
        return [(each.lease_id, each.settlement) for each in self.outbox.batch().settled]

    @property
    def dispositions(self) -> dict[str, Disposition]:
        """By lease: what becomes of the jobs whose attempts did not complete."""
        return {lease: settlement.disposition for lease, settlement in self.settled}

    async def until_idle(self) -> None:
        """Wait until no attempt runs or waits."""
        async with asyncio.timeout(5):
            while self.slots.held:  # noqa: ASYNC110  # its attempts are not tasks of the test
                await asyncio.sleep(0)

    async def until_started(self, *attempts: Attempt) -> None:
        """Wait until these attempts have started."""
        async with asyncio.timeout(5):
            while not all(attempt.started_at for attempt in attempts):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
