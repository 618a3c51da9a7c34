"""Leader election between the two operators of the chart."""

import time
from collections.abc import Callable

import pytest

from tests.cluster.conftest import FAST_SCALE_DOWN, MakePool
from tests.cluster.kubectl import Kubectl, Object, ready
from tests.cluster.queues import Queue
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster

OPERATOR = "app.kubernetes.io/component=operator"


def leader(system: Kubectl) -> str:
    """Return the pod that holds the Lease."""
    lease = system.get("lease", "jobpools-operator")
    holder: str = lease["spec"].get("holderIdentity", "") if lease else ""
    return holder


def operators(system: Kubectl) -> list[Object]:
    return [pod for pod in system.list("pods", OPERATOR) if ready(pod)]


def test_the_standby_takes_over_from_a_killed_leader(
    system: Kubectl, make_pool: MakePool, queue: Queue, show: Callable[[str], None]
) -> None:
    """Jobs enqueued without a leader run later; `test_schedules` counts the ticks of this time."""
    eventually("two operators are ready", lambda: len(operators(system)) == 2, within=60)
    pool = make_pool(concurrency=10, scaling={"max": 1, **FAST_SCALE_DOWN})
    old = eventually("an operator leads", lambda: leader(system), within=30)
    assert old in {pod["metadata"]["name"] for pod in operators(system)}
    system.run("delete", "pod", old, "--force", "--grace-period=0")
    began = time.monotonic()
    ids = queue.enqueue([0.1] * 20)
    new = eventually("another operator leads", lambda: (now := leader(system)) != old and now, within=60)
    took = time.monotonic() - began
    eventually("the new leader's pools run jobs", lambda: queue.completed() == set(ids), within=60)
    assert queue.executions() == dict.fromkeys(ids, 1)
    show(f"leadership went from {old} to {new} after {took:.1f} s; jobs done after {time.monotonic() - began:.1f} s")
    pool.wait_gone()
    eventually("two operators are ready again", lambda: len(operators(system)) == 2, within=60)


def test_no_request_of_the_operators_was_forbidden(system: Kubectl) -> None:
    """The rights in the chart are sufficient."""
    log = system.run("logs", f"--selector={OPERATOR}", "--tail=-1")
    assert log
    assert [line for line in log.splitlines() if "forbidden" in line.lower()] == []
