"""Each condition of a pool: which facts make it True, False or Unknown, and for which reason."""

from dataclasses import replace
from typing import Any

import pytest

from jobpools.core.pools.facts import PoolFacts, Problem, QueuePause
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import plan_pool
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.worker_states import CommandKind, ReportedState, WorkerCommand
from tests.support.pools import NOW, cluster_facts, heartbeat, make_pool, pool_facts

READY, PROGRESSING, ACTIVE, LIMITED, PAUSED, DEGRADED, ALERTING = ConditionType

WORKING = pool_facts("a", busy="a")
NO_CLUSTER = replace(WORKING, cluster=None)
NO_QUEUES = replace(WORKING, queues=None)
STARTING = replace(pool_facts("ab", queued=20), cluster=cluster_facts("a", replicas=2))
PAUSED_QUEUE = pool_facts(queued=3, oldest_seconds=900.0, pause=QueuePause(NOW, "ada", "the mail server is down"))
PAUSE = WorkerCommand(CommandKind.PAUSE, "ada", "its memory grows")
PAUSED_WORKERS = pool_facts("ab", queued=3)
PAUSED_WORKERS = replace(
    PAUSED_WORKERS,
    heartbeats=tuple(
        replace(each, state=ReportedState.PAUSED, command=PAUSE) for each in PAUSED_WORKERS.heartbeats or ()
    ),
)
PAUSED_WORKER = replace(PAUSED_WORKERS, heartbeats=(*(PAUSED_WORKERS.heartbeats or ())[:1], heartbeat("b")))
BLOCKED = Problem(Reason.CLUSTER_PROBLEM, "the Secret is not ours; delete it")


def with_cluster(facts: PoolFacts, **fields: Any) -> PoolFacts:
    return replace(facts, cluster=replace(facts.cluster or cluster_facts(), **fields))


def with_worker_problem(reason: str, message: str = "") -> PoolFacts:
    (worker,) = cluster_facts("a").workers
    return with_cluster(WORKING, workers=(replace(worker, ready=False, problem=Problem(reason, message)),))


MANUAL = {"scaling": {"mode": "Manual"}, "replicas": 0}
BAD_SCHEDULE = {"scaling": {"schedules": [{"cron": "at noon", "duration": "1h", "min": 1}]}}


@pytest.mark.parametrize(
    ("kind", "status", "reason", "facts", "fields"),
    [
        (READY, "True", Reason.WORKING, WORKING, {}),
        (READY, "True", Reason.IDLE, pool_facts("a"), {}),
        (READY, "True", Reason.SCALED_TO_ZERO, pool_facts(), {}),
        (READY, "False", Reason.ZERO_REPLICAS, pool_facts(queued=3), MANUAL),
        (READY, "False", Reason.WORKERS_STARTING, pool_facts(queued=3), {}),
        (READY, "True", Reason.SCALING_UP, STARTING, {}),
        (READY, "False", Reason.PAUSED, WORKING, {"paused": True}),
        (READY, "False", Reason.WORKERS_PAUSED, PAUSED_WORKERS, {}),
        (READY, "True", Reason.WORKING, PAUSED_WORKER, {}),
        (PAUSED, "True", Reason.WORKERS_PAUSED, PAUSED_WORKER, {}),
        (READY, "Unknown", Reason.CLUSTER_UNKNOWN, NO_CLUSTER, {}),
        (READY, "Unknown", Reason.QUEUES_UNKNOWN, NO_QUEUES, {}),
        (READY, "False", Reason.CLUSTER_PROBLEM, with_cluster(WORKING, problem=BLOCKED), {}),
        (READY, "False", Reason.WORKER_DIED, with_worker_problem(Reason.WORKER_DIED, "signal SIGKILL"), {}),
        (READY, "False", Reason.WORKER_NOT_STARTING, with_worker_problem(Reason.WORKER_NOT_STARTING), {}),
        (READY, "False", "ImagePullBackOff", with_worker_problem("ImagePullBackOff", "no such image"), {}),
        (READY, "False", Reason.INVALID_SCHEDULE, WORKING, BAD_SCHEDULE),
        (PROGRESSING, "True", Reason.UPDATING, with_cluster(WORKING, current=False), {}),
        (PROGRESSING, "True", Reason.ROLLING_OUT, with_cluster(WORKING, rolling=True), {}),
        (PROGRESSING, "True", Reason.SCALING_UP, pool_facts("a", busy="a", queued=99), {}),
        (PROGRESSING, "True", Reason.SCALING_DOWN, pool_facts("abc", busy="a"), MANUAL | {"replicas": 1}),
        (PROGRESSING, "True", Reason.WORKERS_STARTING, STARTING, {}),
        (PROGRESSING, "False", Reason.SETTLED, WORKING, {}),
        (PROGRESSING, "Unknown", Reason.CLUSTER_UNKNOWN, NO_CLUSTER, {}),
        (ACTIVE, "True", Reason.DEMAND, WORKING, {}),
        (ACTIVE, "False", Reason.MANUAL, WORKING, MANUAL),
        (ACTIVE, "False", Reason.PAUSED, WORKING, {"paused": True}),
        (ACTIVE, "False", Reason.QUEUES_UNKNOWN, NO_QUEUES, {}),
        (LIMITED, "True", Reason.TOO_MANY_REPLICAS, pool_facts("a", queued=999), {}),
        (LIMITED, "False", Reason.WITHIN_LIMITS, WORKING, {}),
        (LIMITED, "Unknown", Reason.QUEUES_UNKNOWN, NO_QUEUES, {}),
        (PAUSED, "True", Reason.PAUSED, WORKING, {"paused": True}),
        (PAUSED, "True", Reason.QUEUE_PAUSED, PAUSED_QUEUE, {}),
        (READY, "False", Reason.QUEUE_PAUSED, PAUSED_QUEUE, {}),
        (PAUSED, "False", Reason.NOT_PAUSED, WORKING, {}),
        (DEGRADED, "True", Reason.REDIS_WARNING, replace(WORKING, warnings=("jobs can be evicted",)), {}),
        (DEGRADED, "True", Reason.CLUSTER_PROBLEM, with_cluster(WORKING, problem=BLOCKED), {}),
        (DEGRADED, "Unknown", Reason.CLUSTER_UNKNOWN, NO_CLUSTER, {}),
        (DEGRADED, "False", Reason.ALL_WELL, WORKING, {}),
        (ALERTING, "True", Reason.QUEUE_DEPTH, pool_facts("a", queued=9), {"alerts": {"queueDepth": 8}}),
        (ALERTING, "False", Reason.NO_ALERT, WORKING, {}),
        (ALERTING, "Unknown", Reason.QUEUES_UNKNOWN, NO_QUEUES, {}),
    ],
)
def test_the_status_and_reason_of_a_condition(
    kind: ConditionType, status: str, reason: str, facts: PoolFacts, fields: dict[str, Any]
) -> None:
    plan = plan_pool(make_pool(**fields), facts, Memory(), NOW, None)
    found = plan.status.condition(kind)
    assert (found["status"], found["reason"]) == (status, reason), found["message"]
    assert found["message"]
    for each in plan.status.conditions:
        known = [reason for reason in Reason if reason == each["reason"]]
        assert all(each["type"] in reason.conditions for reason in known), f"Reason.conditions lacks this: {each}"


def test_the_message_about_a_worker_that_cannot_run_names_the_worker() -> None:
    facts = with_worker_problem("ImagePullBackOff", "no such image")
    plan = plan_pool(make_pool(), facts, Memory(), NOW, None)
    assert plan.status.condition(READY)["message"] == "a: no such image"
    assert plan.status.to_dict()["workers"][0]["problem"] == "ImagePullBackOff: no such image"


def test_the_message_about_paused_workers_says_who_paused_them() -> None:
    one, all_of_them = (
        plan_pool(make_pool(), facts, Memory(), NOW, None).status for facts in (PAUSED_WORKER, PAUSED_WORKERS)
    )
    assert (one.paused_workers, all_of_them.paused_workers) == (1, 2)
    assert one.condition(PAUSED)["message"] == "1 of 2 workers is paused: a by ada: its memory grows"
    assert all_of_them.condition(READY)["message"] == (
        "2 of 2 workers are paused: a by ada: its memory grows; b by ada: its memory grows, and 3 jobs wait"
    )


def test_the_problem_of_a_terminating_worker_is_ignored() -> None:
    facts = with_worker_problem("CrashLoopBackOff")
    assert facts.cluster is not None
    (worker,) = facts.cluster.workers
    leaving = with_cluster(facts, workers=(replace(worker, terminating=True),))
    assert plan_pool(make_pool(), leaving, Memory(), NOW, None).status.condition(DEGRADED)["status"] == "False"
