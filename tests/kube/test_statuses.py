"""When a status is written: on change, by steps, within a budget. The API server is a fake."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobpools_operator import statuses
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.kube.client import ApiError, Object
from jobpools_operator.kube.rate_limit import BURST, RATE, TokenBucket
from jobpools_operator.kube.status_writer import StatusWriter
from jobpools_operator.statuses import COUNTS_INTERVAL, DEPTH_INTERVAL, NO_WRITE, Statuses, write_interval

READY = {"type": "Ready", "status": "True", "reason": "Idle", "message": "nothing to do"}


def status(**figures: Any) -> Object:
    return {"replicas": 1, "busy": 0, "queued": 0, "conditions": [READY]} | figures


@pytest.mark.parametrize(
    ("new", "interval"),
    [
        (status(), NO_WRITE),
        (status(conditions=[READY | {"message": "other figures, the same verdict"}]), NO_WRITE),
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
    book = Statuses(lambda: now[0])

    async def term() -> None:
        bucket = TokenBucket(lambda: now[0])
        writer = StatusWriter(api, book, bucket)  # type: ignore[arg-type]  # of Api, what it uses
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await writer.run()

    book.put(EMAILS, status())
    await term()
    assert api.statuses == [status()]
    book.put(EMAILS, status(busy=1))  # it must wait: the last status was just written
    await term()
    now[0] += COUNTS_INTERVAL
    await term()
    assert api.statuses == [status()]


class SlowApi(RecordingApi):
    """Records each status, and answers when `answer` is released: with `failure`, if that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.failure: ApiError | None = None

    async def merge(self, path: str, body: Object, manager: str) -> None:
        await super().merge(path, body, manager)
        self.asked.release()
        await self.answer.acquire()
        if self.failure is not None:
            raise self.failure


UPDATING = status(conditions=[READY | {"reason": "Updating"}])


@contextlib.asynccontextmanager
async def writing() -> AsyncIterator[tuple[SlowApi, Statuses]]:
    """The object's status is `status()`, and the write of UPDATING is under way."""
    api = SlowApi()
    book = Statuses(time.monotonic)
    book.observe(EMAILS, status())
    writer = StatusWriter(api, book, TokenBucket(time.monotonic))  # type: ignore[arg-type]  # of Api, what it uses
    running = asyncio.create_task(writer.run())
    try:
        book.put(EMAILS, UPDATING)
        await asyncio.wait_for(api.asked.acquire(), 10)
        yield api, book
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_a_status_equal_to_the_old_one_is_written_after_a_write_that_is_under_way() -> None:
    async with writing() as (api, book):
        book.put(EMAILS, status())
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert api.statuses == [UPDATING, status()]


async def test_a_failed_write_is_not_repeated_over_a_newer_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "RETRY_AFTER", 0.01)
    async with writing() as (api, book):
        book.put(EMAILS, status())
        api.failure = ApiError("no answer within 10 s")  # it may have arrived all the same
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert api.statuses == [UPDATING, status()]


async def test_a_status_equal_to_the_old_one_is_written_after_a_failed_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "RETRY_AFTER", 0.01)
    async with writing() as (api, book):
        api.failure = ApiError("no answer within 10 s")
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)  # it is tried again
        book.put(EMAILS, status())
        api.failure = None
        api.answer.release()
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert api.statuses == [UPDATING, UPDATING, status()]


async def test_an_object_forgotten_during_its_write_stays_forgotten() -> None:
    async with writing() as (api, book):
        book.forget(EMAILS)
        api.answer.release()
        book.put(REPORTS, status())
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert not book.is_known(EMAILS)


async def test_an_object_that_is_missing_is_not_written_again() -> None:
    async with writing() as (api, book):
        book.put(EMAILS, status())
        api.failure = ApiError("not found", 404)
        api.answer.release()
        book.put(REPORTS, status())
        await asyncio.wait_for(api.asked.acquire(), 10)
        assert api.statuses == [UPDATING, status()]
        assert not book.is_known(EMAILS)


def test_a_pass_reads_what_the_last_pass_reported_and_no_other_status() -> None:
    book = Statuses(lambda: 100.0)
    seen = book.of_kind(Kind.POOL)
    assert seen.get(EMAILS.key) is None
    book.observe(EMAILS, status())
    book.report(ObjectId(Kind.SCHEDULE, EMAILS.key), {"fired": 1})
    assert dict(seen) == {EMAILS.key: status()}
    book.report(EMAILS, status(busy=1))
    book.put(EMAILS, {"conditions": []})
    assert seen[EMAILS.key] == status(busy=1)
