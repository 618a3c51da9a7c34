"""`App.jobs`: search and records, in async and sync code."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobpools import App, ConfigurationError, JobNotFoundError, JobState, Priority, Retry
from jobpools.testing import run_until_idle


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("shop", redis=valkey_url, queue="emails") as app:

        @app.job(retry=Retry(max_attempts=1), timeout="2m")
        async def send(to: str) -> str:
            if to == "nowhere":
                raise ValueError("no such address")
            return "sent"

        yield app


async def test_a_search_returns_records(app: App) -> None:
    send = app.handlers["send"]
    await send.options(id="a", tags=["vip", "new"], priority="high", delay="1h").enqueue(to="ada")
    await send.options(id="b", priority="low", retry=Retry(max_attempts=7), timeout="5s").enqueue(to="bob")
    await send.options(id="c").enqueue(to="nowhere")
    page = await app.jobs.search(state=["queued", "scheduled"])
    assert [job.id for job in page.jobs] == ["a", "c", "b"]
    assert (page.is_complete, page.examined, page.total) == (True, 3, 3)
    (first,) = (await app.jobs.search(tags=["new", "vip"])).jobs
    assert first.args == {"to": "ada"}
    assert (first.priority, first.priority_number) == (Priority.HIGH, 100)
    assert (first.attempt, first.max_attempts, first.timeout) == (0, 1, 120.0), "of the handler"
    assert first.due_at
    second = await app.jobs.get("b")
    assert (second.max_attempts, second.timeout, second.priority_number) == (7, 5.0, 10), "its own"
    await run_until_idle(app)
    done, dead = await app.jobs.get("b", "emails"), await app.jobs.get("c")
    assert (done.state, done.result, done.attempt) == (JobState.COMPLETED, "sent", 1)
    assert (done.max_attempts, done.timeout) == (None, None), "its own are deleted, and the handler's were others"
    assert done.started_at
    assert done.ended_at
    assert done.started_at <= done.ended_at
    assert (dead.state, dead.attempt, dead.history.entries[0].message) == (JobState.DEAD, 1, "no such address")
    assert dead.note.startswith("RetriesUsedUp")
    assert [job.id for job in (await app.jobs.search(ended_after="1m", state="dead")).jobs] == ["c"]
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert [job.id for job in (await app.jobs.search(ended_after=since, text="NOWHERE")).jobs] == ["c"]


async def test_tags_and_metadata_of_a_completed_job_are_found(app: App) -> None:
    send = app.handlers["send"]
    await send.options(id="a", tags=["vip", "new customer"], metadata={"trace": "4bf9"}).enqueue(to="ada")
    await send.options(id="b").enqueue(to="bob")
    await run_until_idle(app)
    (found,) = (await app.jobs.search(tags=["new customer"])).jobs
    assert (found.id, found.state, found.name, found.result) == ("a", JobState.COMPLETED, "send", "sent")
    assert (found.tags, found.metadata) == (("vip", "new customer"), {"trace": "4bf9"})
    other = await app.jobs.get("b")
    assert (other.tags, other.metadata, other.result) == ((), None, "sent")


async def test_a_cursor_continues_a_search(app: App) -> None:
    await app.enqueue_many([app.handlers["send"].options(id=f"job-{n}").call(to="ada") for n in range(5)])
    found: list[str] = []
    cursor = None
    while True:
        page = await app.jobs.search(limit=2, cursor=cursor, name="send")
        found += [job.id for job in page.jobs]
        cursor = page.cursor
        if page.is_complete:
            break
    assert found == [f"job-{n}" for n in range(5)]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"state": "ded"}, "search: state: 'ded' is not a state; did you mean dead?"),
        ({"created_after": "yesterday"}, "search: created_after: 'yesterday' is not a duration"),
        ({"created_after": datetime(2027, 1, 1)}, "search: created_after: 2027-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"tags": "vip"}, "search: tags: 'vip' is not a list of strings"),
        ({"limit": 0}, "search: limit: must be an integer of at least 1, got 0"),
        ({"quue": "emails"}, "search: quue: no such option; did you mean queue?"),
        ({"cursor": "x"}, "cursor: it is damaged"),
    ],
)
async def test_an_invalid_condition_is_refused(app: App, conditions: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match="^" + message.replace("?", r"\?")):
        await app.jobs.search(**conditions)


def test_sync_code_searches(valkey_url: str) -> None:
    app = App("shop", redis=valkey_url)
    app.enqueue_sync("send", {"to": "ada"}, queue="emails", id="a")
    assert [job.id for job in app.jobs.search_sync(queue="emails").jobs] == ["a"]
    assert app.jobs.get_sync("a").max_attempts is None, "the handler belongs to another app"
    with pytest.raises(JobNotFoundError, match="job b: not found in any queue"):
        app.jobs.get_sync("b")
    app.close()
