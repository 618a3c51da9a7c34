"""When a pool's next pass is due."""

from dataclasses import replace
from typing import Any

import pytest

from jobpools.core.decision import Decision
from jobpools.core.pools.facts import PoolFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.requeue import (
    ACTIVE_INTERVAL,
    IDLE_INTERVAL,
    MIN_INTERVAL,
    RETRY_INTERVAL,
    STEP_INTERVAL,
    requeue_after,
)
from jobpools.core.pools.scale_down import Progress
from jobpools.core.pools.sizing import Sizing
from jobpools.core.pools.workers import join_workers
from tests.support.pools import cluster_facts, pool_facts, ready_workers

IDLE = pool_facts("a")


def next_pass(facts: PoolFacts, progress: Progress = Progress.NONE, desired: int | None = 1, **sizing: Any) -> float:
    workers = join_workers(facts.cluster, facts.heartbeats or ()) if facts.cluster else ()
    return requeue_after(facts, workers, Sizing(Decision(desired, Reason.DEMAND, ""), Memory(), **sizing), progress)


def cluster(**fields: Any) -> PoolFacts:
    return replace(IDLE, cluster=cluster_facts("a", **fields))


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("nothing is expected", IDLE, IDLE_INTERVAL),
        ("jobs are queued", pool_facts("a", queued=1), ACTIVE_INTERVAL),
        ("a job runs", pool_facts("a", busy="a"), ACTIVE_INTERVAL),
        ("the queues are unknown", replace(IDLE, queues=None), RETRY_INTERVAL),
        ("the Deployment does not match", cluster(current=False), ACTIVE_INTERVAL),
        ("a rollout is in progress", cluster(rolling=True), ACTIVE_INTERVAL),
        ("workers are missing", cluster(replicas=0), ACTIVE_INTERVAL),
        ("a worker is not ready", cluster(workers=(replace(ready_workers("a")[0], ready=False),)), ACTIVE_INTERVAL),
        ("a job falls due soon", pool_facts("a", scheduled=1, due_in=3.0), 3.0),
        ("a job has fallen due", pool_facts("a", scheduled=1, due_in=-3.0), MIN_INTERVAL),
        ("a job falls due much later", pool_facts("a", scheduled=1, due_in=900.0), IDLE_INTERVAL),
    ],
)
def test_the_next_pass(name: str, facts: PoolFacts, expected: float) -> None:
    assert next_pass(facts) == expected, name


def test_the_next_pass_of_a_scale_down() -> None:
    assert next_pass(IDLE, Progress.STEPPING) == STEP_INTERVAL
    assert next_pass(IDLE, Progress.WAITING) == ACTIVE_INTERVAL
    assert next_pass(IDLE, Progress.STEPPING, desired=None) == RETRY_INTERVAL


def test_a_number_that_time_may_change_is_checked_soon() -> None:
    assert next_pass(IDLE, is_temporary=True) == ACTIVE_INTERVAL
