"""Applying a Deployment while the informer is behind or ahead. The API server is a fake with one object."""

import time
from collections.abc import Callable
from typing import Any, cast

from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools_operator.kube.client import Api, ApiError, Object
from jobpools_operator.kube.cluster import DEPLOYER, SCALER, KubeCluster
from jobpools_operator.kube.facts import is_rolling
from jobpools_operator.kube.manifests import POOL_LABEL, deployment
from jobpools_operator.kube.url_secret import UrlSecrets

POOL = Pool(
    meta=Meta(name="emails", namespace="shop", uid="u1", generation=1),
    spec=PoolSpec.model_validate(
        {"image": "shop:1", "app": "shop:app", "queues": ["emails"], "redis": {"url": "redis://r"}}
    ),
)


class Server:
    """Holds the object `kept`; `applied`: (manager, replicas or None) of each apply."""

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
    api = cast("Api", server)  # of Api, what the cluster uses
    made = KubeCluster(api, UrlSecrets(api, time.monotonic), time.monotonic)
    made.urls[POOL.meta.key] = "redis://r"
    return made


async def test_a_new_pool_starts_without_workers() -> None:
    server = Server()
    await cluster(server).ensure(POOL)
    assert server.applied == [(DEPLOYER, 0), (SCALER, 0)]


async def test_a_deployment_that_the_informer_lacks_keeps_its_replicas() -> None:
    """Its labels were removed, or a former leader has just created it."""
    ours = {"ownerReferences": [{"uid": "u1"}], "managedFields": [{"manager": DEPLOYER}, {"manager": SCALER}]}
    server = Server({"metadata": ours, "spec": {"replicas": 5}})
    await cluster(server).ensure(POOL)
    assert server.applied == [(DEPLOYER, None)]


def shown(version: int, read: int) -> Object:
    """Return a Deployment of generation 2; `read`: the generation that its controller has read."""
    found = deployment(POOL, "redis://r")
    meta = found["metadata"] | {"resourceVersion": str(version), "generation": 2, "namespace": "shop"}
    meta |= {"labels": meta.get("labels", {}) | {POOL_LABEL: "emails"}, "managedFields": [{"manager": SCALER}]}
    return found | {"metadata": meta, "status": {"observedGeneration": read}}


class Overtaken(Server):
    """Before it responds, the informer gets what `meanwhile` shows."""

    meanwhile: Callable[[], None]

    async def apply(self, _: str, body: Object, manager: str) -> Object:
        self.applied.append((manager, body["spec"].get("replicas")))
        self.meanwhile()
        return shown(10, read=1)


async def test_the_informer_wins_over_an_older_response() -> None:
    """The apply changed nothing, and the informer shows only once that the controller has read the Deployment."""
    server = Overtaken()
    made = cluster(server)
    made._on_deployment(shown(10, read=1))
    server.meanwhile = lambda: made._on_deployment(shown(11, read=2))
    await made.ensure(POOL)
    found = made._deployments[POOL.meta.key]
    assert (found["metadata"]["resourceVersion"], is_rolling(found)) == ("11", False)


async def test_a_deployment_deleted_during_an_apply_stays_deleted() -> None:
    server = Overtaken()
    made = cluster(server)
    made._on_deployment(shown(10, read=1))
    server.meanwhile = lambda: made._on_deployment_deleted(shown(11, read=1))
    await made.ensure(POOL)
    assert POOL.meta.key not in made._deployments, "else nobody would make it again"
