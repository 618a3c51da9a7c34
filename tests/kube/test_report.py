"""When a status is worth a write: on change, by steps, within a budget. No API server is asked."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobpools.core.objects import Meta
from jobpools_operator.kube import report
from jobpools_operator.kube.client import ApiError, Object
from jobpools_operator.kube.report import LATER, QUIET, RATE, SOON, Bucket, KubeReporter, urgency

READY = {"type": "Ready", "status": "True", "reason": "Idle", "message": "nothing to do"}


def status(**figures: Any) -> Object:
    return {"replicas": 1, "busy": 0, "queued": 0, "conditions": [READY]} | figures


@pytest.mark.parametrize(
    ("new", "gap"),
    [
        (status(), QUIET),
        (status(conditions=[READY | {"message": "other figures, the same verdict"}]), QUIET),
        (status(conditions=[READY | {"reason": "Working"}]), 0.0),
        (status(replicas=2), SOON),
        (status(busy=1), SOON),
        (status(queued=1), SOON),
    ],
)
def test_conditions_at_once_counts_soon(new: Object, gap: float) -> None:
    assert urgency(status(), new) == gap


@pytest.mark.parametrize(
    ("queued", "gap"), [(1000, QUIET), (1001, QUIET), (1999, QUIET), (2000, LATER), (999, LATER), (0, SOON)]
)
def test_depth_goes_by_steps(queued: int, gap: float) -> None:
    assert urgency(status(queued=1000), status(queued=queued)) == gap


def test_the_first_status_is_told_at_once() -> None:
    assert urgency({}, status()) == 0.0


def test_a_budget_of_writes_a_second() -> None:
    now = [100.0]
    bucket = Bucket(lambda: now[0])
    granted = 0
    for _ in range(1000):
        wait = bucket.wait()
        now[0] += wait
        granted += 1
        if now[0] >= 120:
            break
    assert granted <= 20 * RATE + 31
    assert granted >= 20 * RATE


class Written:
    """The statuses that were merged, and no API server."""

    def __init__(self) -> None:
        self.statuses: list[Object] = []

    async def merge(self, _path: str, body: Object, _manager: str) -> None:
        self.statuses.append(body["status"])


async def test_what_a_new_leader_has_to_say_is_written_and_what_the_former_one_had_is_not() -> None:
    api, now = Written(), [100.0]
    reporter = KubeReporter(api, "a", lambda: now[0])  # type: ignore[arg-type]  # of Api, what it uses

    async def term() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await reporter.run()

    reporter.put("workerpools", Meta(name="wrong"), status())  # an object that cannot be served, found before the term
    await term()
    assert api.statuses == [status()]
    reporter.put("workerpools", Meta(name="wrong"), status(busy=1))  # is to wait: the last one was just written
    await term()
    now[0] += SOON
    await term()
    assert api.statuses == [status()]


class Held:
    """Keeps each status that was merged, and answers when it is told to; with the failure that is set, if any."""

    def __init__(self) -> None:
        self.statuses: list[Object] = []
        self.asked, self.answer = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.failure: ApiError | None = None

    async def merge(self, _path: str, body: Object, _manager: str) -> None:
        self.statuses.append(body["status"])
        self.asked.release()
        await self.answer.acquire()
        if self.failure is not None:
            raise self.failure


UPDATING = status(conditions=[READY | {"reason": "Updating"}])
POOL = Meta(name="emails")


@contextlib.asynccontextmanager
async def writing() -> AsyncIterator[tuple[Held, KubeReporter]]:
    """The object says `status()`, and the write of UPDATING is on its way."""
    api = Held()
    reporter = KubeReporter(api, "a", time.monotonic)  # type: ignore[arg-type]  # of Api, what it uses
    reporter.known("workerpools", POOL, status())
    running = asyncio.create_task(reporter.run())
    try:
        reporter.put("workerpools", POOL, UPDATING)
        await asyncio.wait_for(api.asked.acquire(), 10)
        yield api, reporter
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_a_status_as_before_is_written_after_the_one_that_is_on_its_way() -> None:
    async with writing() as (api, reporter):
        reporter.put("workerpools", POOL, status())
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert api.statuses == [UPDATING, status()]


async def test_a_write_that_failed_is_not_tried_again_over_a_later_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "AFTER_FAILURE", 0.01)
    async with writing() as (api, reporter):
        reporter.put("workerpools", POOL, status())
        api.failure = ApiError("no answer within 10 s")  # it may have arrived all the same
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert api.statuses == [UPDATING, status()]


async def test_a_status_as_before_is_written_after_a_write_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "AFTER_FAILURE", 0.01)
    async with writing() as (api, reporter):
        api.failure = ApiError("no answer within 10 s")
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)  # it is tried again
        reporter.put("workerpools", POOL, status())
        api.failure = None
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert api.statuses == [UPDATING, UPDATING, status()]


async def test_an_object_that_went_while_its_status_was_written_is_not_known() -> None:
    async with writing() as (api, reporter):
        reporter.forget("workerpools", POOL)
        api.answer.release()
        other = Meta(name="reports")
        reporter.put("workerpools", other, status())
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert not reporter.knows("workerpools", POOL)
