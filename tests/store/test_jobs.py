"""One job is found in every state, with what is known of it."""

from typing import Any

import pytest
from redis import Redis

from jobpools.core.jobs.job import Disposition, History, JobState, Settlement
from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.jobs import read_job, read_result
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.records import completed_record
from jobpools.store.step import Completed, settle_and_claim
from tests.store.attempts import AT, NOW, claim, failed, settled
from tests.store.conftest import QUEUE, Send
from tests.support.job_lists import read_jobs
from tests.support.sending import enqueue_jobs


async def test_a_job_is_found_in_every_state(store: Connection, job: Send) -> None:
    jobs = [job("dead"), job("done"), job("retried"), job("held"), job("waits"), job("later", due=AT + 60)]
    await enqueue_jobs(store, jobs, NOW)
    dead, done, retried, _ = await claim(store, "w.1", 1, claim=4)
    await settled(store, dead, failed(attempts=1))
    await settled(store, retried, failed(attempts=3))
    completed = {60_000: Completed([done], [completed_record("send", b'{"x":1}', 0.5)])}
    await settle_and_claim(
        store, QUEUE, "w.1", completed=completed, lease_suffix=lease_suffix_of("w.1", 9), lease_ms=1, now=NOW
    )
    await cancel_job(store, QUEUE, "waits", NOW)
    seen = {
        job_id: await read_job(store, QUEUE, job_id, NOW)
        for job_id in ("dead", "done", "retried", "held", "waits", "later")
    }
    states = {job_id: view.state for job_id, view in seen.items() if view}
    assert states == {
        "dead": JobState.DEAD, "done": JobState.COMPLETED, "retried": JobState.SCHEDULED, "held": JobState.RUNNING,
        "waits": JobState.CANCELLED, "later": JobState.SCHEDULED,
    }  # fmt: skip
    views = {job_id: view for job_id, view in seen.items() if view}
    assert all(view.name == "send" for job_id, view in views.items() if job_id != "waits")
    envelopes = [view for view in views.values() if not view.state.ended or view.state is JobState.DEAD]
    assert all(view.args == b"{}" and view.enqueued_at == 1.0 for view in envelopes)
    assert views["done"].ran_for == 0.5
    assert (views["done"].result, views["done"].ended_at) == (b'{"x":1}', AT)
    assert views["held"].worker == "w.1"
    assert (views["later"].due_at, views["retried"].due_at) == (AT + 60, AT + 1)
    assert views["retried"].history.entries[0].message == "no such address"
    assert views["dead"].history.note.startswith("RetriesUsedUp: attempt 1 of 1 failed")
    assert views["dead"].ended_at == AT
    assert await read_job(store, QUEUE, "never") is None
    for state in JobState:
        listed = [view.id for view in await read_jobs(store, QUEUE, state)]
        assert sorted(listed) == sorted(job_id for job_id, found in states.items() if found is state)
    result = await read_result(store, QUEUE, "done", NOW + 59_999)
    assert result is not None
    assert bytes(result.result) == b'{"x":1}'
    assert await read_result(store, QUEUE, "held") is None
    for over in (
        await read_result(store, QUEUE, "done", NOW + 60_000),
        await read_job(store, QUEUE, "done", NOW + 60_000),
    ):
        assert over is None, (
            "past its TTL a record counts as gone to the millisecond, even if it has not been removed yet"
        )


async def test_a_job_whose_envelope_cannot_be_read_is_shown_with_the_reason(store: Connection, raw: Redis) -> None:
    for job_id, envelope in (("newer", b'{"v":9}'), ("broken", b"?")):
        await store.call("enqueue", QUEUE, [NOW, keys.WAKE_CHANNEL, QUEUE, job_id, "n", "", envelope])
    newer, broken = await read_jobs(store, QUEUE, JobState.QUEUED)
    assert newer.problem.startswith("the envelope has version 9, and this jobpools reads up to 1")
    assert broken.problem.startswith("not an envelope")
    assert raw.hget(keys.of_queue(QUEUE, "jobs"), "newer") == b'{"v":9}', "and it is left as it is"
    raw.hset(keys.of_queue(QUEUE, "results"), "newer", "?")
    with pytest.raises(StoreDataError, match="not a result"):
        await read_result(store, QUEUE, "newer")


async def test_a_job_that_was_handed_back_is_shown_with_the_reason(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    (lease_id,) = await claim(store, "w.1", 1)
    back = Settlement(Disposition.RETURN, delay=30, history=History(note='no job "send"'))
    await settled(store, lease_id, back)
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert (view.state, view.history.note, view.history.attempts) == (JobState.SCHEDULED, 'no job "send"', 0)


async def test_a_job_that_ends_between_two_reads_is_not_reported_as_queued(
    store: Connection, job: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    (lease_id,) = await claim(store, "w", 1)
    gather = store.gather

    async def and_then_it_ends(commands: Any) -> Any:
        monkeypatch.setattr(store, "gather", gather)
        seen = await gather(commands)
        await settled(store, lease_id, failed(attempts=1))
        return seen

    monkeypatch.setattr(store, "gather", and_then_it_ends)
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert view.state is JobState.DEAD
