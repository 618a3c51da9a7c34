"""A pool's workers: what the cluster shows of each, joined with its heartbeat."""

from dataclasses import replace

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


def test_unlisted_hosts_send_heartbeats_and_are_neither_listed_nor_removed() -> None:
    cluster = cluster_facts("a", gone=("b",))
    assert unlisted_hosts(cluster, [heartbeat(name) for name in "abc"]) == {"c"}


def test_busy_hosts_include_those_that_the_cluster_does_not_list_yet() -> None:
    facts = pool_facts("ab", busy="a")
    assert busy_hosts(facts) == {"a"}
    assert busy_hosts(replace(facts, cluster=cluster_facts())) == {"a"}
    assert busy_hosts(replace(facts, cluster=cluster_facts(gone=("a",)))) == set()
    assert busy_hosts(replace(facts, heartbeats=None)) == set()
