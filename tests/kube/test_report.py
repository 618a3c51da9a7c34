"""When a status is worth a write: on change, by steps, within a budget. No API server is asked."""

import asyncio
import contextlib
from typing import Any

import pytest

from jobpools.core.specs import Meta
from jobpools_operator.kube.client import Object
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
