"""The example as a user applies it: from zero workers through a thousand jobs and a rollout, and back to zero."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.conftest import ROOT, Pool
from tests.cluster.kubectl import Kubectl
from tests.cluster.queues import Queue
from tests.cluster.recording import recorded
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster

SHOP = ROOT / "examples" / "shop"
IMAGE = "jobpools-shop:dev"
"""Name of the image in the example's YAML."""
JOBS = {"emails": 500, "carrier": 400, "photos": 100}
POOLS = (*JOBS, "catalog", "office")
RELEASE = {"metadata": {"annotations": {"shop/release": "2"}}}
"""A change of the template, which replaces all pods."""
READ_TOWN = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:18080').read().decode())"
Show = Callable[[str], None]


@pytest.fixture
def shop(images: dict[str, str], tmp_path: Path) -> Path:
    """Return the folder to apply; for nodes that pull from a registry, a copy with that registry's images."""
    if images["SHOP"].endswith(f"/{IMAGE}"):
        return SHOP
    for path in SHOP.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text().replace(IMAGE, images["SHOP"]))
    return tmp_path


@pytest.fixture
def pools(kubectl: Kubectl, shop: Path) -> dict[str, Pool]:
    """Apply the example; wait until it is ready."""
    kubectl.run("apply", "-f", str(shop))
    kubectl.run("rollout", "status", "deployment/shop-town", "--timeout=90s")
    return {name: Pool(kubectl, name) for name in POOLS}


def enqueue_orders(kubectl: Kubectl, count: int) -> dict[str, set[str]]:
    """Enqueue so many of the shop's jobs; return their ids by queue."""
    lines = kubectl.run("exec", "deployment/shop-town", "--", "python", "-m", "shop.orders", str(count)).splitlines()
    ids: dict[str, set[str]] = {name: set() for name in JOBS}
    for line in lines:
        job = json.loads(line)
        ids[job["queue"]].add(job["id"])
    return ids


def test_the_example_runs_a_thousand_jobs_through_a_rollout(
    pools: dict[str, Pool], kubectl: Kubectl, redis_url: str, show: Show
) -> None:
    queues = {name: Queue(redis_url, name) for name in JOBS}
    for pool in pools.values():
        eventually(f"{pool.name} is ready", pool.is_ready, within=30)
    assert [name for name in JOBS if pools[name].pods()] == [], "no worker runs before there is a job"
    show(kubectl.run("get", "jobpools,jobcrons"))

    with ExitStack() as stack:
        recordings = [stack.enter_context(recorded(pools[name], queue)) for name, queue in queues.items()]
        began = time.monotonic()
        ids = enqueue_orders(kubectl, sum(JOBS.values()))
        sent = time.monotonic() - began
        assert {name: len(found) for name, found in ids.items()} == JOBS

        was_shown, was_rolled_out = False, False
        while any(len(queues[name].completed()) < count for name, count in JOBS.items()):
            assert time.monotonic() - began < 150, {name: pool.status() for name, pool in pools.items()}
            if not was_rolled_out and len(queues["carrier"].completed()) > 40:
                was_rolled_out = True
                kubectl.patch("workerpool", "carrier", {"spec": {"template": RELEASE}})
            if not was_shown and any(recording.current("busy") for recording in recordings):
                was_shown = True
                show(kubectl.run("get", "jobpools"))
                show(kubectl.run("get", "jobpools", "--output=wide"))
            time.sleep(0.05)
        drained = time.monotonic() - began
        errors = [error for recording in recordings for error in recording.errors()]

    assert was_shown, "the status showed a busy pool at least once"
    assert was_rolled_out
    assert errors == []
    for name, queue in queues.items():
        assert queue.completed() == ids[name]
        assert queue.dead() == []
        assert queue.leased() == []
    town = json.loads(kubectl.run("exec", "deployment/shop-town", "--", "python", "-c", READ_TOWN))
    assert town == {"emails": JOBS["emails"], "again": 0, "labels": JOBS["carrier"]}, (
        "each e-mail was sent once: its job's id tells"
    )

    for pool in pools.values():
        pool.wait_gone()
    back = time.monotonic() - began
    show(kubectl.run("get", "jobpools"))
    show(f"1,000 jobs: enqueued in {sent:.1f} s, done after {drained:.1f} s, no worker left after {back:.1f} s")
