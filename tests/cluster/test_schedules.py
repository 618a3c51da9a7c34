"""The schedule that fires during the whole suite, also while a leader is killed; this test runs last."""

import time
from collections.abc import Callable

import pytest

from tests.cluster.conftest import Ticking
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster


def test_a_schedule_fires_every_minute_exactly_once(ticking: Ticking, show: Callable[[str], None]) -> None:
    queue, kubectl = ticking.queue, ticking.kubectl
    first = int(ticking.since // 60) + 1
    eventually("three ticks are over", lambda: time.time() // 60 >= first + 2, within=200)
    last = int(time.time() // 60)
    eventually("the last tick's job is done", lambda: len(queue.completed()) >= last - first + 1, within=50)

    minutes = sorted(int(trace.at // 60) for trace in queue.traces("start"))
    assert minutes == list(range(first, first + len(minutes))), "one fire a minute: none is missed, none is a duplicate"
    assert set(queue.executions().values()) == {1}
    delays = [trace.at % 60 for trace in queue.traces("start")]
    status = (kubectl.get("cronjobspec", "every-minute") or {})["status"]
    assert status["fired"] == len(minutes)
    assert status.get("missed", 0) == 0
    show(kubectl.run("get", "cronjobspecs"))
    show(f"{len(minutes)} ticks, each run once; the job ran {min(delays):.1f} to {max(delays):.1f} s after its tick")
