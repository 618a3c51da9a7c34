"""Cancelling the jobs of a queue: the snapshot has each job once, and each call reports what became of its jobs."""

import pytest

from jobpools.core.jobs.job import JobState
from jobpools.store import cancellations
from jobpools.store.connection import Connection
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.step import settle_and_claim
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs

NOW = 1_900_000_000_000
AT = NOW / 1000


async def claim(store: Connection, count: int) -> None:
    suffix = lease_suffix_of("w.1", 1)
    await settle_and_claim(store, QUEUE, "w.1", claim=count, lease_suffix=suffix, lease_ms=60_000, now=NOW)


async def state(store: Connection, job_id: str) -> JobState:
    found = await read_job(store, QUEUE, job_id)
    assert found is not None
    return found.state


async def test_a_snapshot_has_the_jobs_of_every_state_and_priority_once(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("running")], NOW)
    await claim(store, 1)
    queued = [job("urgent", "high"), job("first"), job("second"), job("slow", "low")]
    await enqueue_jobs(store, [*queued, job("later", due=AT + 60), job("urgent later", "high", due=AT + 60)], NOW)
    assert await cancellations.snapshot(store, QUEUE) == [
        "running", "urgent later", "later", "urgent", "first", "second", "slow",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([JobState.QUEUED], {"queued"}),
        ([JobState.SCHEDULED], {"scheduled"}),
        ([JobState.RUNNING], {"running"}),
        ([JobState.RUNNING, JobState.QUEUED], {"running", "queued"}),
        ([], set()),
    ],
)
async def test_a_snapshot_can_be_limited_to_states(
    store: Connection, job: Send, states: list[JobState], found: set[str]
) -> None:
    await enqueue_jobs(store, [job("running")], NOW)
    await claim(store, 1)
    await enqueue_jobs(store, [job("queued"), job("scheduled", due=AT + 60)], NOW)
    assert set(await cancellations.snapshot(store, QUEUE, states)) == found


async def test_a_snapshot_reads_a_long_queue_in_pages_and_keeps_its_order(
    store: Connection, job: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellations, "SCAN_COUNT", 7)
    ids = [f"job-{n:03d}" for n in range(30)]
    await enqueue_jobs(store, [job(each) for each in ids], NOW)
    assert await cancellations.snapshot(store, QUEUE) == ids


async def test_cancelling_reports_queued_and_running_jobs_page_by_page(
    store: Connection, job: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellations, "MAX_IN_FLIGHT", 2)
    await enqueue_jobs(store, [job("running"), job("queued")], NOW)
    await claim(store, 1)
    ids = ["running", "queued", "unknown"]
    pages = [page async for page in cancellations.cancel_jobs(store, QUEUE, ids)]
    assert [(page.handled, page.changed, page.running) for page in pages] == [(2, 2, 1), (1, 0, 0)]
    assert await state(store, "queued") is JobState.CANCELLED
    assert await state(store, "running") is JobState.RUNNING, "its worker stops it with the next renewal"
