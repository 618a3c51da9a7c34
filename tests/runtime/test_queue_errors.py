"""Errors that concern one queue do not hold up the others."""

import logging

import pytest

from jobpools import (
    App,
)
from jobpools.runtime.outage import BACKOFF
from jobpools.store import keys, ledger
from jobpools.store.connection import Connection
from tests.runtime.conftest import working
from tests.support.waiting import until


@pytest.mark.parametrize("part", ["ready:normal", "leases", "wake", "history", "cancelling"])
async def test_a_key_of_another_type_is_logged_once_and_other_queues_continue(
    app: App, store: Connection, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    @app.job(queue="good")
    async def noop() -> None: ...

    caplog.set_level(logging.INFO)
    name = keys.of_queue("broken", part)
    await store.execute("SET", name, "mine")
    waiting = await noop.options(queue="broken").enqueue() if part in ("leases", "history", "cancelling") else None
    async with working(app, "broken", "good", lease=1) as worker:
        for _ in range(3):
            await (await noop.enqueue()).result(timeout=2)
        await until(lambda: worker.parts.consumers[0].errors.is_failing)
        # The backoff is longer once the worker has tried again.
        await until(lambda: (worker.parts.consumers[0].errors.retry_in or 0.0) > 1.5 * BACKOFF.initial)
        await (await noop.enqueue()).result(timeout=2)
        assert not worker.parts.outage.is_ongoing
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(said) == 1
        assert said[0].startswith(f"queue broken: key {name} is a string, not a {keys.kind(part)}: something else uses")
        await store.execute("DEL", name)
        job = waiting or await noop.options(queue="broken").enqueue()
        await job.result(timeout=8)
    assert (await ledger.read(store, ["broken"]))["broken"].lost == 0
