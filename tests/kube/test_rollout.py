"""A rollout to a missing image, with real controllers: idle workers are removed, busy ones stay."""

import asyncio
import time

import pytest

from jobpools.core.pools.facts import Heartbeat
from jobpools.core.text.names import WorkerId
from jobpools.store.connection import connect
from jobpools.store.heartbeats import write_heartbeat
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.step import settle_and_claim
from tests.cluster.kubectl import Kubectl
from tests.kube.kubelet import Kubelet
from tests.kube.processes import Operator, Valkey
from tests.kube.test_operator import enqueue, pool, replicas
from tests.support.waiting import eventually

pytestmark = pytest.mark.api


def claim(valkey: Valkey, name: str) -> None:
    """Claim a job for the worker of this pod."""

    async def take() -> None:
        connection = connect(valkey.url)
        suffix = lease_suffix_of(f"{name}.1", 1)
        reply = await settle_and_claim(
            connection, "emails", f"{name}.1", claim=1, lease_suffix=suffix, lease_ms=600_000
        )
        assert len(reply.ids) == 1
        await connection.aclose()

    asyncio.run(take())


def report(valkey: Valkey, pool_key: str, names: set[str], busy: str) -> None:
    """Write heartbeats for the workers of these pods."""

    async def send() -> None:
        connection = connect(valkey.url)
        now = time.time()
        for name in names:
            idle_since = None if name == busy else now - 100
            worker = WorkerId(f"{name}.1")
            heartbeat = Heartbeat(worker, pool_key, 5, int(name == busy), now - 100, now, idle_since, draining=False)
            await write_heartbeat(connection, heartbeat)
        await connection.aclose()

    asyncio.run(send())


def test_a_pool_scales_down_during_a_rollout_to_a_missing_image(
    operator: Operator, kubectl: Kubectl, valkey: Valkey
) -> None:
    kubectl.apply(pool(scaling={"mode": "Manual"}, replicas=4))
    kubelet, key = Kubelet(kubectl, "emails"), f"{kubectl.namespace}/emails"
    old = kubelet.wait_for_pods(4)
    kubelet.report_ready()
    busy = min(old)
    enqueue(valkey, "emails", 1)
    claim(valkey, busy)
    kubectl.patch("workerpool", "emails", {"spec": {"image": "shop:none"}})
    (new,) = kubelet.wait_for_pods(5) - old
    kubelet.report_waiting("ImagePullBackOff", "no such image", new)
    kubectl.run("scale", "workerpool/emails", "--replicas=2")

    def scaled_down() -> bool:
        report(valkey, key, old & kubelet.names(), busy)
        return replicas(kubectl) == 2 and len(old & kubelet.names()) <= 3

    eventually("two workers are asked for, and an idle one is removed", scaled_down)
    assert busy in kubelet.names()
    assert operator.metric("misdeletions_total") == 0
