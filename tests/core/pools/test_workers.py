"""A pool's workers: what the cluster shows of each, joined with its heartbeat."""

from dataclasses import replace
from typing import Any

import pytest

from jobpools.core.pools.memory import Memory
from jobpools.core.pools.removal import ScaleDownInput, choose_workers
from jobpools.core.pools.worker_states import ReportedState
from jobpools.core.pools.workers import busy_hosts, join_workers, unlisted_hosts
from tests.support.pools import NOW, cluster_facts, heartbeat, pool_facts, ready_workers


def test_each_worker_has_the_heartbeat_of_its_latest_start() -> None:
    former = replace(heartbeat("a", busy=1), started=NOW - 950)
    (worker, silent) = join_workers(cluster_facts("ab"), [heartbeat("a"), former])
    assert worker.heartbeat == heartbeat("a")
    assert not worker.is_busy
    assert silent.heartbeat is None
    assert not silent.is_claiming


def test_a_terminating_worker_is_left_out() -> None:
    leaving, staying = ready_workers("ab")
    cluster = cluster_facts(workers=(replace(leaving, terminating=True), staying))
    assert [worker.name for worker in join_workers(cluster, ())] == ["b"]


def test_a_draining_worker_claims_no_jobs() -> None:
    (worker,) = join_workers(cluster_facts("a"), [heartbeat("a", draining=True)])
    assert worker.is_draining
    assert not worker.is_claiming


@pytest.mark.parametrize(
    ("state", "is_claiming", "is_paused"),
    [
        (ReportedState.STARTING, False, False),
        (ReportedState.RUNNING, True, False),
        (ReportedState.PAUSED, False, True),
        (ReportedState.STOPPING, False, True),
    ],
)
def test_only_a_running_worker_claims_jobs(state: ReportedState, *, is_claiming: bool, is_paused: bool) -> None:
    (worker,) = join_workers(cluster_facts("a"), [heartbeat("a", state=state)])
    assert (worker.is_claiming, worker.is_paused) == (is_claiming, is_paused)


def test_a_worker_that_is_starting_has_not_reported_yet() -> None:
    former = replace(heartbeat("a", busy=1), started=NOW - 950)
    (worker,) = join_workers(cluster_facts("a"), [former, heartbeat("a", state=ReportedState.STARTING)])
    assert worker.heartbeat is None


@pytest.mark.parametrize(
    ("case", "fields", "chosen"),
    [
        ("the longest idle", {}, "b"),
        ("a paused one before one that claims and is idle for longer", {"a": {"state": ReportedState.PAUSED}}, "a"),
        ("a stopping one too", {"c": {"state": ReportedState.STOPPING}}, "c"),
        ("a drained one before a paused one", {"a": {"state": ReportedState.PAUSED}, "c": {"draining": True}}, "c"),
        ("never a paused one that is busy", {"a": {"state": ReportedState.PAUSED, "busy": 1}}, "b"),
    ],
)
def test_a_scale_down_keeps_the_workers_that_claim(case: str, fields: dict[str, Any], chosen: str) -> None:
    idle = {"a": NOW - 10, "b": NOW - 500, "c": NOW - 10}
    heartbeats = [heartbeat(name, idle_since=since, **fields.get(name, {})) for name, since in idle.items()]
    cluster = cluster_facts("abc")
    pool = ScaleDownInput(cluster, join_workers(cluster, heartbeats), surplus=1, leases=0, memory=Memory(), now=NOW)
    assert [worker.name for worker in choose_workers(pool)] == [chosen], case


def test_unlisted_hosts_send_heartbeats_and_are_neither_listed_nor_removed() -> None:
    cluster = cluster_facts("a", gone=("b",))
    assert unlisted_hosts(cluster, [heartbeat(name) for name in "abc"]) == {"c"}


def test_busy_hosts_include_those_that_the_cluster_does_not_list_yet() -> None:
    facts = pool_facts("ab", busy="a")
    assert busy_hosts(facts) == {"a"}
    assert busy_hosts(replace(facts, cluster=cluster_facts())) == {"a"}
    assert busy_hosts(replace(facts, cluster=cluster_facts(gone=("a",)))) == set()
    assert busy_hosts(replace(facts, heartbeats=None)) == set()
