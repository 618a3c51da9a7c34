"""When a status is written: on change, in steps, and within a limit. The API server is a fake."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.kube.client import ApiError, Object
from jobpools_operator.kube.rate_limit import BURST, RATE, TokenBucket
from jobpools_operator.kube.status_writer import StatusWriter
from jobpools_operator.statuses import COUNTS_INTERVAL, DEPTH_INTERVAL, NO_WRITE, Statuses, write_interval
from tests.support.waiting import until

READY = {"type": "Ready", "status": "True", "reason": "Idle", "message": "nothing to do"}


def status(**figures: Any) -> Object:
    return {"replicas": 1, "busy": 0, "queued": 0, "conditions": [READY]} | figures


@pytest.mark.parametrize(
    ("new", "interval"),
    [
        (status(), NO_WRITE),
        (status(conditions=[READY | {"message": "other figures, the same reason"}]), NO_WRITE),
        (status(conditions=[READY | {"reason": "Working"}]), 0.0),
        (status(replicas=2), COUNTS_INTERVAL),
        (status(busy=1), COUNTS_INTERVAL),
        (status(queued=1), COUNTS_INTERVAL),
    ],
)
def test_conditions_are_written_at_once_and_counts_soon(new: Object, interval: float) -> None:
    assert write_interval(status(), new) == interval


@pytest.mark.parametrize(
    ("queued", "interval"),
    [
        (1000, NO_WRITE),
        (1001, NO_WRITE),
        (1999, NO_WRITE),
        (2000, DEPTH_INTERVAL),
        (999, DEPTH_INTERVAL),
        (0, COUNTS_INTERVAL),
    ],
)
def test_the_depth_is_written_in_steps(queued: int, interval: float) -> None:
    assert write_interval(status(queued=1000), status(queued=queued)) == interval


def test_the_first_status_is_written_at_once() -> None:
    assert write_interval({}, status()) == 0.0


def test_writes_per_second_are_limited() -> None:
    now = [100.0]
    bucket = TokenBucket(lambda: now[0])
    granted = 0
    for _ in range(1000):
        wait = bucket.take()
        now[0] += wait
        granted += 1
        if now[0] >= 120:
            break
    assert granted <= 20 * RATE + BURST + 1
    assert granted >= 20 * RATE


class RecordingApi:
    """Records the statuses that are merged."""

    def __init__(self) -> None:
        self.statuses: list[Object] = []

    async def merge(self, _path: str, body: Object, _manager: str) -> None:
        self.statuses.append(body["status"])


EMAILS, REPORTS = ObjectId(Kind.POOL, "default/emails"), ObjectId(Kind.POOL, "default/reports")


async def test_a_status_put_before_a_term_is_written_in_it_and_a_pending_one_ends_with_it() -> None:
    api, now = RecordingApi(), [100.0]
    statuses = Statuses(lambda: now[0])

    async def run_until_written(expected: list[Object]) -> None:
        """Run the writer until it has written these statuses, and no others."""
        bucket = TokenBucket(lambda: now[0])
        writer = StatusWriter(api, statuses, bucket)  # type: ignore[arg-type]  # of Api, what it uses
        task = asyncio.create_task(writer.run())
        try:
            await until(lambda: len(api.statuses) == len(expected))
        finally:
            task.cancel()
            await asyncio.wait({task})
        assert api.statuses == expected

    other = status(replicas=7)
    statuses.put(EMAILS, status())
    await run_until_written([status()])
    statuses.put(EMAILS, status(busy=1))  # it must wait: the last status was just written
    statuses.put(REPORTS, other)
    await run_until_written([status(), other])
    now[0] += COUNTS_INTERVAL
    assert statuses.begin_write(EMAILS) is None


class SlowApi(RecordingApi):
    """Records each status, and answers when `answer` is released: with `failure`, if that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.requested, self.answer = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.failure: ApiError | None = None

    async def merge(self, path: str, body: Object, manager: str) -> None:
        await super().merge(path, body, manager)
        self.requested.release()
        await self.answer.acquire()
        if self.failure is not None:
            raise self.failure


UPDATING = status(conditions=[READY | {"reason": "Updating"}])


@contextlib.asynccontextmanager
async def writing() -> AsyncIterator[tuple[SlowApi, Statuses]]:
    """Begin the write of UPDATING over the status `status()`."""
    api = SlowApi()
    statuses = Statuses(time.monotonic)
    statuses.observe(EMAILS, status())
    writer = StatusWriter(api, statuses, TokenBucket(time.monotonic))  # type: ignore[arg-type]  # of Api, what it uses
    running = asyncio.create_task(writer.run())
    try:
        statuses.put(EMAILS, UPDATING)
        await asyncio.wait_for(api.requested.acquire(), 10)
        yield api, statuses
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_a_status_equal_to_the_old_one_is_written_after_a_write_that_is_under_way() -> None:
    async with writing() as (api, statuses):
        statuses.put(EMAILS, status())
        api.answer.release()
        await asyncio.wait_for(api.requested.acquire(), 10)
        assert api.statuses == [UPDATING, status()]


async def test_a_failed_write_is_not_repeated_over_a_newer_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobpools_operator.statuses.RETRY_AFTER", 0.01)
    async with writing() as (api, statuses):
        statuses.put(EMAILS, status())
        api.failure = ApiError("no answer within 10 s")  # the server may have written it nevertheless
        api.answer.release()
        await asyncio.wait_for(api.requested.acquire(), 10)
        assert api.statuses == [UPDATING, status()]


async def test_a_status_equal_to_the_old_one_is_written_after_a_failed_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobpools_operator.statuses.RETRY_AFTER", 0.01)
    async with writing() as (api, statuses):
        api.failure = ApiError("no answer within 10 s")
        api.answer.release()
        await asyncio.wait_for(api.requested.acquire(), 10)  # the writer tries again
        statuses.put(EMAILS, status())
        api.failure = None
        api.answer.release()
        await asyncio.wait_for(api.requested.acquire(), 10)
        assert api.statuses == [UPDATING, UPDATING, status()]


async def test_an_object_forgotten_during_its_write_stays_forgotten() -> None:
    async with writing() as (api, statuses):
        statuses.forget(EMAILS)
        api.answer.release()
        statuses.put(REPORTS, status())
        await asyncio.wait_for(api.requested.acquire(), 10)
        assert not statuses.is_known(EMAILS)


async def test_an_object_that_is_missing_is_not_written_again() -> None:
    async with writing() as (api, statuses):
        statuses.put(EMAILS, status())
        api.failure = ApiError("not found", 404)
        api.answer.release()
        statuses.put(REPORTS, status())
        await asyncio.wait_for(api.requested.acquire(), 10)
        assert api.statuses == [UPDATING, status()]
        assert not statuses.is_known(EMAILS)


def test_a_pass_reads_what_the_last_pass_reported_and_no_other_status() -> None:
    statuses = Statuses(lambda: 100.0)
    seen = statuses.of_kind(Kind.POOL)
    assert seen.get(EMAILS.key) is None
    statuses.observe(EMAILS, status())
    statuses.report(ObjectId(Kind.SCHEDULE, EMAILS.key), {"fired": 1})
    assert dict(seen) == {EMAILS.key: status()}
    statuses.report(EMAILS, status(busy=1))
    statuses.put(EMAILS, {"conditions": []})
    assert seen[EMAILS.key] == status(busy=1)
