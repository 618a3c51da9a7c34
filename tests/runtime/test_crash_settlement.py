"""What a supervisor writes after its worker's death: the attempts that caused it are charged, the others are not."""

import asyncio
import logging
from typing import Any

import pytest

from jobpools.core.jobs.job import JobState, OutcomeKind
from jobpools.runtime import crash_settlement, supervisor_log
from jobpools.runtime.crash_report import CrashReport
from jobpools.runtime.vitals import key
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import decode_envelope
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.step import settle_and_claim
from tests.support.ports import free_port
from tests.support.sending import enqueue_jobs

QUEUE, POOL, WORKER = "emails", "default/shop", "web-1.a"
CRASHED, INTERRUPTED = "crashed", "interrupted"


def description(url: str, **fields: Any) -> dict[str, Any]:
    """Return a worker's description of itself."""
    known = {"redis_url": url, "queues": [QUEUE], "worker": WORKER, "pool": POOL, "lease": 60.0}
    return known | {"max_crashes": 3, "max_crashes_of": {}} | fields


@pytest.fixture(autouse=True)
def log_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor sends the log of its process to stderr; pytest reads it where it is."""
    monkeypatch.setattr(supervisor_log, "configure", lambda _description: None)


@pytest.fixture
async def leases(store: Connection) -> dict[str, str]:
    """The leases, by job, of a worker that runs two jobs."""
    envelopes = {
        job_id: b'{"v":1,"id":"%b","name":"resize","queue":"emails","args":{}}' % job_id.encode()
        for job_id in (CRASHED, INTERRUPTED)
    }
    await enqueue_jobs(store, [Sending(decode_envelope(raw), raw, None, 0.0) for raw in envelopes.values()])
    suffix = lease_suffix_of(WORKER, 1)
    await settle_and_claim(store, QUEUE, WORKER, claim=2, lease_suffix=suffix, lease_ms=60_000)
    return {job_id: f"{job_id}{suffix}" for job_id in envelopes}


def report(*leases: str) -> CrashReport:
    keys = frozenset(key(lease) for lease in leases)
    return CrashReport(keys, "the worker was killed by SIGSEGV", traceback="Fatal Python error")


async def settle(description: dict[str, Any], report: CrashReport) -> None:
    """Settle in a thread, because the helper process runs an event loop of its own."""
    await asyncio.to_thread(crash_settlement.settle, description, report)


async def test_the_attempt_that_caused_the_death_is_charged_and_the_other_handed_back(
    store: Connection, leases: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    await settle(description(store.url), report(leases[CRASHED]))
    crashed, interrupted = await read_job(store, QUEUE, CRASHED), await read_job(store, QUEUE, INTERRUPTED)
    assert crashed is not None
    assert interrupted is not None
    assert (crashed.history.crashes, interrupted.history.crashes) == (1, 0)
    attempt = crashed.history.entries[-1]
    assert (attempt.outcome, attempt.error, attempt.message) == (
        OutcomeKind.CRASHED, "WorkerLost", "the worker was killed by SIGSEGV",
    )  # fmt: skip
    assert interrupted.state is JobState.QUEUED
    assert f"charged with a crash: resize {CRASHED} (crash 1, runs again); handed back: 1" in caplog.text


async def test_the_limit_of_the_handler_decides_when_a_job_is_dead(
    store: Connection, leases: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    await settle(description(store.url, max_crashes_of={"resize": 1}), report(leases[CRASHED]))
    crashed = await read_job(store, QUEUE, CRASHED)
    assert crashed is not None
    assert crashed.state is JobState.DEAD
    assert f"resize {CRASHED} (crash 1, dead)" in caplog.text


@pytest.mark.usefixtures("leases")
async def test_a_death_without_evidence_charges_no_job(store: Connection, caplog: pytest.LogCaptureFixture) -> None:
    await settle(description(store.url), report())
    assert "charged with a crash: no job; handed back: 2" in caplog.text
    assert (await read_endpoint(store, {POOL: [QUEUE]})).queues[QUEUE].queued == 2  # type: ignore[index]  # a plain name


async def test_an_unreachable_redis_is_tried_several_times_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(crash_settlement, "MAX_TRIES", 2)
    monkeypatch.setattr(crash_settlement, "TRY_INTERVAL", 0.01)
    caplog.set_level(logging.WARNING, "jobpools.worker")
    await settle(description(f"redis://127.0.0.1:{free_port()}/0"), report())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "its attempts could not be settled: " in warnings[0]
    assert warnings[0].endswith("; they run again when their leases expire")
