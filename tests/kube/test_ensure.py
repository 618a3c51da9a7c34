"""What an apply may not do, whatever the watch has shown so far. No API server is asked: one that keeps one object."""

import time
from typing import Any

from jobpools.core.specs import Meta, Pool, PoolSpec
from jobpools_operator.kube.client import ApiError, Object
from jobpools_operator.kube.cluster import DEPLOYER, SCALER, KubeCluster

POOL = Pool(
    meta=Meta(name="emails", namespace="shop", uid="u1", generation=1),
    spec=PoolSpec.model_validate(
        {"image": "shop:1", "app": "shop:app", "queues": ["emails"], "redis": {"url": "redis://r"}}
    ),
)


class Server:
    """Keeps `kept`; `applied`: (manager, replicas, if they were said) of each apply."""

    def __init__(self, kept: Object | None = None) -> None:
        self.kept = kept
        self.applied: list[tuple[str, Any]] = []

    async def get(self, path: str) -> Object:
        if self.kept is None:
            raise ApiError(f"{path} is not there", 404)
        return self.kept

    async def apply(self, _: str, body: Object, manager: str) -> Object:
        self.applied.append((manager, body["spec"].get("replicas")))
        managers = [*(self.kept or {}).get("metadata", {}).get("managedFields", ()), {"manager": manager}]
        self.kept = body | {"metadata": body["metadata"] | {"managedFields": managers}}
        return self.kept


def cluster(server: Server) -> KubeCluster:
    made = KubeCluster(server, time.monotonic)  # type: ignore[arg-type]  # of Api, what it uses
    made.urls[POOL.meta.key] = "redis://r"
    return made


async def test_a_new_pool_begins_with_no_workers() -> None:
    server = Server()
    await cluster(server).ensure(POOL)
    assert server.applied == [(DEPLOYER, 0), (SCALER, 0)]


async def test_workers_that_the_watch_does_not_show_keep_their_number() -> None:
    """Its labels were taken away, or a former leader made it a moment ago."""
    ours = {"ownerReferences": [{"uid": "u1"}], "managedFields": [{"manager": DEPLOYER}, {"manager": SCALER}]}
    server = Server({"metadata": ours, "spec": {"replicas": 5}})
    await cluster(server).ensure(POOL)
    assert server.applied == [(DEPLOYER, None)]
