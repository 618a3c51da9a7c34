"""The example as a user apperrors it: from zero through a thousand jobs with a rollout, and back."""

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
NAMED = "jobpools-shop:dev"
"""The image in the example's YAML."""
JOBS = {"emails": 500, "carrier": 400, "photos": 100}
POOLS = (*JOBS, "catalog", "office")
RELEASE = {"metadata": {"annotations": {"shop/release": "2"}}}
"""A changed template, which replaces all pods."""
ASK = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:18080').read().decode())"
Say = Callable[[str], None]


@pytest.fixture
def shop(images: dict[str, str], tmp_path: Path) -> Path:
    """Return the folder to apply; for nodes that pull from a registry, a copy with that registry's images."""
    if images["SHOP"].endswith(f"/{NAMED}"):
        return SHOP
    for path in SHOP.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text().replace(NAMED, images["SHOP"]))
    return tmp_path


@pytest.fixture
def pools(kubectl: Kubectl, shop: Path) -> dict[str, Pool]:
    """Apply the example; wait until it is ready."""
    kubectl.run("apply", "-f", str(shop))
    kubectl.run("rollout", "status", "deployment/shop-town", "--timeout=90s")
    return {name: Pool(kubectl, name) for name in POOLS}


def orders(kubectl: Kubectl, count: int) -> dict[str, set[str]]:
    """Enqueue so many of the shop's jobs; return their ids by queue."""
    lines = kubectl.run("exec", "deployment/shop-town", "--", "python", "-m", "shop.orders", str(count)).splitlines()
    ids: dict[str, set[str]] = {name: set() for name in JOBS}
    for line in lines:
        job = json.loads(line)
        ids[job["queue"]].add(job["id"])
    return ids


def test_the_example_runs_a_thousand_jobs_through_a_rollout(
    pools: dict[str, Pool], kubectl: Kubectl, redis_url: str, say: Say
) -> None:
    queues = {name: Queue(redis_url, name) for name in JOBS}
    for pool in pools.values():
        eventually(f"{pool.name} is ready", pool.is_ready, within=30)
    assert [name for name in JOBS if pools[name].pods()] == [], "no worker before there is work"
    say(kubectl.run("get", "jobpools,jobcrons"))

    with ExitStack() as stack:
        recordings = [stack.enter_context(recorded(pools[name], queue)) for name, queue in queues.items()]
        began = time.monotonic()
        ids = orders(kubectl, sum(JOBS.values()))
        sent = time.monotonic() - began
        assert {name: len(found) for name, found in ids.items()} == JOBS

        shown, rolled = False, False
        while any(len(queues[name].completed()) < count for name, count in JOBS.items()):
            assert time.monotonic() - began < 150, {name: pool.status() for name, pool in pools.items()}
            if not rolled and len(queues["carrier"].completed()) > 40:
                rolled = True
                kubectl.patch("workerpool", "carrier", {"spec": {"template": RELEASE}})
            if not shown and any(recording.said("busy") for recording in recordings):
                shown = True
                say(kubectl.run("get", "jobpools"))
                say(kubectl.run("get", "jobpools", "--output=wide"))
            time.sleep(0.05)
        drained = time.monotonic() - began
        errors = [error for recording in recordings for error in recording.errors()]

    assert shown, "at some moment the status said that a pool was busy"
    assert rolled
    assert errors == []
    for name, queue in queues.items():
        assert queue.completed() == ids[name]
        assert queue.dead() == []
        assert queue.leased() == []
    town = json.loads(kubectl.run("exec", "deployment/shop-town", "--", "python", "-c", ASK))
    assert town == {"emails": JOBS["emails"], "again": 0, "labels": JOBS["carrier"]}, (
        "each e-mail once, by its job's id"
    )

    for pool in pools.values():
        pool.wait_gone()
    back = time.monotonic() - began
    say(kubectl.run("get", "jobpools"))
    say(f"1,000 jobs: enqueued in {sent:.1f} s, done after {drained:.1f} s, no worker left after {back:.1f} s")
