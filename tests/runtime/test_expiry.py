"""Jobs that expire: by the server's clock, before each attempt, and not after a replay."""

import asyncio
import time
from typing import Any

import pytest

from jobpools import App, ConfigurationError, Context, DeadReason, JobDeadError, JobHandle, Retry, Snooze
from jobpools.core.jobs.job import History
from jobpools.options import Options
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import decode_envelope
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from jobpools.testing import run_until_idle
from tests.support import dead_jobs


async def view(app: App, job: JobHandle[Any]) -> JobView:
    found = await read_job(app.client.connection(), job.queue, job.id)
    assert found is not None
    return found


async def check_expired(app: App, job: JobHandle[Any]) -> History:
    with pytest.raises(JobDeadError, match=r"is dead: Expired: it expired .* before a worker claimed it") as caught:
        await job.result()
    assert caught.value.reason == DeadReason.EXPIRED
    return (await view(app, job)).history


async def test_a_job_that_is_claimed_too_late_is_dead_and_not_started(app: App) -> None:
    ran: list[int] = []

    @app.job(expires="50ms")
    async def work(number: int) -> None:
        ran.append(number)

    by_handler = await work.enqueue(1)
    by_option = await work.options(expires=0.05).enqueue(2)
    delayed = await work.options(expires="80ms", delay="50ms").enqueue(3)
    unknown = await app.enqueue("unknown", {}, queue="default", expires="50ms")
    in_time = await work.options(expires="1h").enqueue(4)
    await asyncio.sleep(0.1)
    worker = await run_until_idle(app)
    assert ran == [4]
    assert await in_time.state() == "completed"
    for job in (by_handler, by_option, delayed, unknown):
        past = await check_expired(app, job)
        assert (past.attempts, past.crashes, past.entries) == (0, 0, ()), "no attempt is charged"
    metrics = {sample.labels["job"]: sample.value for each in worker.metrics.collect() for sample in each.samples
               if sample.labels.get("outcome") == "expired"}  # fmt: skip
    assert metrics == {"work": 3, "unknown": 1}
    assert worker.metrics.failed == 0


async def test_a_retry_that_is_due_too_late_does_not_start(app: App) -> None:
    @app.job(expires="1s", retry=Retry(initial="1s", jitter=0))
    async def fail() -> None:
        raise ValueError("no")

    job = await fail.enqueue()
    await run_until_idle(app)
    past = await check_expired(app, job)
    assert (past.attempts, [each.error for each in past.entries]) == (1, ["ValueError"])
    totals = await app.client.connection().execute("HGETALL", "jobpools:{default}:totals")
    assert {name.decode(): int(value) for name, value in totals.items()} == {"enqueued": 1, "failed": 1, "dead": 1}


async def test_expires_ends_snoozes(app: App) -> None:
    @app.job(expires="1s")
    async def wait_for_ever(_ctx: Context) -> None:
        raise Snooze("50ms")

    job = await wait_for_ever.enqueue()
    await run_until_idle(app)
    assert (await check_expired(app, job)).snoozes >= 2


async def test_a_replayed_job_does_not_expire_again(app: App) -> None:
    @app.job(expires="1ms")
    async def work() -> str:
        return "done"

    job = await work.enqueue()
    await asyncio.sleep(0.05)
    await run_until_idle(app)
    await check_expired(app, job)
    assert await dead_jobs.replay(app.client.connection(), job.queue, [job.id]) == 1
    await run_until_idle(app)
    assert await job.result() == "done"


async def test_the_time_counts_by_the_servers_clock(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    @app.job
    async def work() -> str:
        return "done"

    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86400)
    job = await work.options(expires="1h").enqueue()
    expires_at = (await view(app, job)).expires_at
    assert expires_at is not None
    assert now() + 3590 < expires_at < now() + 3610
    monkeypatch.setattr(time, "time", lambda: now() - 86400)
    await run_until_idle(app)
    assert await job.result() == "done"


async def test_an_expiry_travels_with_many_jobs_and_all_forms_of_due(app: App) -> None:
    @app.job
    async def work(number: int) -> None: ...

    calls = [
        work.options(expires="1h").call(1),
        work.call(2),
        work.options(expires="2h", delay="10m").call(3),
        work.options(delay="10m").call(4),
    ]
    jobs = await app.enqueue_many(calls)
    now = time.time()
    found = [(await view(app, job)).expires_at for job in jobs]
    assert [each is None for each in found] == [False, True, False, True]
    assert [round(each - now, -1) for each in found if each] == [3600, 7200]


@pytest.mark.parametrize("due", [";", ";x", "1;", "1;-5", "@;5", ";1;2", ";1234567890123456"])
async def test_an_invalid_expiry_is_refused_and_nothing_is_written(app: App, due: str) -> None:
    connection = app.client.connection()
    with pytest.raises(Exception, match="invalid due time"):
        await connection.call("enqueue", "default", ["", "c", "default", "a", "n", due, b'{"v":1}'])
    assert await connection.execute("DBSIZE") == 0


async def test_an_envelope_to_which_no_expiry_can_be_added_is_refused(app: App) -> None:
    connection = app.client.connection()
    with pytest.raises(Exception, match="does not end with }"):
        await connection.call("enqueue", "default", ["", "c", "default", "a", "n", ";5", b'{"v":1} '])
    assert await connection.execute("DBSIZE") == 0


def test_the_envelope_itself_is_not_changed_by_a_client() -> None:
    payload = b'{"v":1,"id":"a","name":"b","queue":"c","args":{}}'
    assert Sending(decode_envelope(payload), payload, expires=3.0).payload == payload


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expires": 0}, "job x: expires: must be more than 0"),
        ({"expires": "soon"}, "job x: expires: 'soon' is not a duration"),
        ({"expires": "1h", "delay": "2h"}, "job x: expires: the job would expire before its delay is over; give a "),
        ({"expires": "1h", "delay": "1h"}, "job x: expires: the job would expire before its delay is over; give a "),
    ],
)
def test_an_invalid_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Options.make("job x", **options)
