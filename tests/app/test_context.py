"""The facts of an attempt that a handler reads, and metadata on its way from the producer to the handler."""

import time
from typing import Any

import pytest

from jobpools import App, ConfigurationError, Context, PayloadTooLargeError, Retry
from jobpools.core.jobs.job import JobState
from jobpools.store.jobs import read_job
from jobpools.testing import context, run_until_idle

Metadata = dict[str, Any]


async def test_metadata_of_a_job_is_added_to_that_of_its_handler(app: App) -> None:
    @app.job(metadata={"team": "shop", "source": {"host": "a"}})
    async def show(ctx: Context) -> Metadata:
        return ctx.metadata

    @app.job
    def plain(ctx: Context) -> Metadata:
        ctx.metadata["own"] = 1
        return ctx.metadata

    own = await show.enqueue()
    merged = await show.options(metadata={"tenant": 7, "source": None}).enqueue()
    named = await app.enqueue("show", metadata={"n": 2**70})
    none = await plain.enqueue()
    view = await read_job(app.client.connection(), "default", merged.id)
    assert view is not None
    assert (view.state, view.metadata) == (JobState.QUEUED, {"team": "shop", "source": None, "tenant": 7})
    await run_until_idle(app)
    assert await own.result() == {"team": "shop", "source": {"host": "a"}}
    assert await merged.result() == {"team": "shop", "source": None, "tenant": 7}
    assert await named.result() == {"team": "shop", "source": {"host": "a"}, "n": 2**70}
    assert await none.result() == {}, "each read returns a copy"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (7, "metadata: 7 is not a JSON object; write a dict with text keys"),
        ({1: "a"}, "metadata: {1: 'a'} is not a JSON object"),
        ({"when": float("nan")}, "metadata: when: nan has no JSON"),
        ({"what": object()}, "metadata: .*object"),
    ],
)
def test_metadata_that_is_not_a_json_object_is_refused(app: App, given: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        app.job(metadata=given)(lambda: None)


async def test_metadata_counts_as_a_part_of_the_job(app: App) -> None:
    @app.job
    async def small() -> None: ...

    with pytest.raises(PayloadTooLargeError):
        await small.options(metadata={"text": "x" * 2_000_000}).enqueue()


async def test_a_handler_knows_its_last_attempt_and_the_time_that_is_left(app: App) -> None:
    seen: list[tuple[int, int, bool]] = []

    @app.job(retry=Retry(max_attempts=2, initial=0), timeout=20)
    async def fails(ctx: Context) -> None:
        seen.append((ctx.attempt, ctx.max_attempts, ctx.is_last_attempt))
        assert 0 <= ctx.elapsed < 10
        assert 10 < ctx.time_left <= 20
        assert 10 < ctx.deadline - time.time() <= 20
        raise ValueError("again")

    await fails.enqueue()
    await fails.options(retry=Retry(strategy="none")).enqueue()
    await run_until_idle(app)
    assert sorted(seen) == [(1, 1, True), (1, 2, False), (2, 2, True)]


def test_a_test_makes_a_context_with_these_facts() -> None:
    ctx = context(attempt=3, max_attempts=3, metadata={"tenant": "acme"})
    assert (ctx.metadata, ctx.max_attempts, ctx.is_last_attempt) == ({"tenant": "acme"}, 3, True)
    assert ctx.timeout - 1 < ctx.time_left <= ctx.timeout
    assert ctx.elapsed < 1
    assert not context().is_last_attempt
    assert context().metadata == {}
