"""`App.jobs`: retry, run_now, reschedule, cancel and delete, for ids and for jobs that match a filter."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobpools import App, ConfigurationError, JobNotFoundError, JobState, Retry
from jobpools.testing import run_until_idle


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("shop", redis=valkey_url, queue="emails") as app:

        @app.job(retry=Retry(max_attempts=1))
        async def send(to: str) -> str:
            if to == "nowhere":
                raise ValueError("no such address")
            return "sent"

        yield app


async def enqueue(app: App, *ids: str, to: str = "ada", **options: Any) -> None:
    handler = app.handlers["send"]
    await app.enqueue_many([handler.options(id=each, **options).call(to=to) for each in ids])


async def states(app: App) -> dict[str, str]:
    return {job.id: str(job.state) for job in (await app.jobs.search(limit=1000)).jobs}


async def test_dead_jobs_are_retried_by_id_and_by_filter(app: App) -> None:
    await enqueue(app, "a", "b", "c", to="nowhere")
    await run_until_idle(app)
    preview = await app.jobs.retry(text="no such", dry_run=True)
    assert (preview.found, preview.changed, preview.ids) == (3, 0, ("a", "b", "c"))
    assert (await app.jobs.retry("b", "b")).changed == 1
    changes = await app.jobs.retry(queue="emails", name="send", text="NO SUCH", limit=1)
    assert (changes.found, changes.changed, changes.ids) == (1, 1, ("a",))
    assert await states(app) == {"a": "queued", "b": "queued", "c": "dead"}
    assert (await app.jobs.retry(text="another error")).found == 0


async def test_scheduled_jobs_are_queued_now(app: App) -> None:
    await enqueue(app, "a", "b", delay="1h", tags=["vip"])
    await enqueue(app, "c", delay="1h")
    assert (await app.jobs.run_now(tags=["vip"])).changed == 2
    assert await states(app) == {"a": "queued", "b": "queued", "c": "scheduled"}
    await run_until_idle(app)
    assert (await app.jobs.get("a")).state is JobState.COMPLETED
    with pytest.raises(ConfigurationError, match=r"job a: it is completed, not scheduled; leave out this id"):
        await app.jobs.run_now("c", "a")
    assert (await app.jobs.get("c")).state is JobState.SCHEDULED, "nothing was changed"


async def test_a_limit_selects_the_jobs_that_are_due_first(app: App) -> None:
    """More jobs than a sorted set keeps in a list of its own, which a scan would return in their order."""
    handler = app.handlers["send"]
    await app.enqueue_many(
        [handler.options(id=f"{n:03}", delay=3600 + (n * 37) % 300, queue=queue).call(to="ada")
         for queue in ("emails", "later") for n in range(300)]
    )  # fmt: skip
    changes = await app.jobs.run_now(name="send", limit=3, dry_run=True)
    first = sorted(range(300), key=lambda n: (n * 37) % 300)[:3]
    assert (changes.found, changes.ids) == (3, tuple(f"{n:03}" for n in first))
    assert (await app.jobs.run_now(queue="emails", limit=3)).changed == 3
    assert [job.id for job in (await app.jobs.search(state="queued")).jobs] == [f"{n:03}" for n in first]


async def test_queued_and_scheduled_jobs_are_rescheduled(app: App) -> None:
    await enqueue(app, "high", priority="high")
    await enqueue(app, "later", delay="1h", priority="low")
    await enqueue(app, "stays")
    at = datetime.now(UTC) + timedelta(hours=2)
    assert (await app.jobs.reschedule("high", "later", at=at)).changed == 2
    high, later = await app.jobs.get("high"), await app.jobs.get("later")
    assert [each.due_at for each in (high, later)] == [pytest.approx(at.timestamp(), abs=0.001)] * 2
    assert (await app.jobs.reschedule(state="scheduled", queue="emails", delay=0)).changed == 2
    await run_until_idle(app)
    assert set((await states(app)).values()) == {"completed"}


async def test_jobs_are_cancelled_and_deleted_by_filter(app: App) -> None:
    await enqueue(app, "a", "b")
    await enqueue(app, "c", delay="1h")
    assert (await app.jobs.cancel(state="queued")).changed == 2
    await enqueue(app, "dead", to="nowhere")
    await enqueue(app, "done")
    await run_until_idle(app)
    assert (await app.jobs.delete(state=["completed"])).changed == 1
    assert (await app.jobs.delete("a", "dead")).changed == 2
    assert await states(app) == {"b": "cancelled", "c": "scheduled"}
    assert (await app.jobs.delete(ended_before="1h")).found == 0
    assert (await app.jobs.delete(queue="emails")).changed == 1, "jobs that have not ended stay"
    await enqueue(app, "a")
    assert (await app.jobs.get("a")).state is JobState.QUEUED, "its id is free"


@pytest.mark.parametrize(
    ("ids", "conditions", "message"),
    [
        ([], {}, "retry: no jobs are selected; give ids, or a condition such as queue='emails'"),
        (["a"], {"text": "x"}, "retry: ids and conditions exclude each other, apart from queue"),
        ([], {"state": "queued"}, "state: a queued job cannot be retried; use dead"),
        ([], {"limit": 0, "queue": "emails"}, "retry: limit: must be an integer of at least 1"),
    ],
)
async def test_an_unclear_selection_is_refused(
    app: App, ids: list[str], conditions: dict[str, Any], message: str
) -> None:
    await enqueue(app, "a")
    with pytest.raises(ConfigurationError, match="^" + message):
        await app.jobs.retry(*ids, **conditions)


async def test_rescheduling_without_a_time_and_an_unknown_id_are_refused(app: App) -> None:
    await enqueue(app, "a")
    with pytest.raises(ConfigurationError, match="reschedule: give either at or delay"):
        await app.jobs.reschedule("a")
    with pytest.raises(JobNotFoundError, match="job z: not found in any queue"):
        await app.jobs.cancel("a", "z")
    assert (await app.jobs.get("a")).state is JobState.QUEUED


def test_sync_code_changes_jobs(valkey_url: str) -> None:
    app = App("shop", redis=valkey_url)
    for job_id in ("a", "b"):
        app.enqueue_sync("send", {"to": "ada"}, queue="emails", id=job_id)
    assert app.jobs.reschedule_sync("a", delay="1h").changed == 1
    assert app.jobs.run_now_sync(queue="emails").changed == 1
    assert app.jobs.cancel_sync(name="send").changed == 2
    assert app.jobs.delete_sync("a", "b", queue="emails").changed == 2
    assert app.jobs.retry_sync(queue="emails").found == 0
    app.close()
