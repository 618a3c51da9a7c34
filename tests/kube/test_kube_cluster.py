"""Applying a Deployment while the informer is behind or ahead. The API server is a fake with one Deployment."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from jobpools.core.objects import Meta
from jobpools.core.pools.facts import ClusterFacts
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools_operator.kube.client import Api, ApiError, Object
from jobpools_operator.kube.cluster import DEPLOYER, SCALER, KubeCluster
from jobpools_operator.kube.manifests import POOL_LABEL, deployment
from jobpools_operator.kube.url_secret import UrlSecrets

URL = "redis://r"
POOL = Pool(
    meta=Meta(name="emails", namespace="shop", uid="u1", generation=1),
    spec=PoolSpec.model_validate({"image": "shop:1", "app": "shop:app", "queues": ["emails"], "redis": {"url": URL}}),
)


class Server:
    """Holds one Deployment, and shows informers only what `show` is given."""

    def __init__(self, held: Object | None = None) -> None:
        self._held = held
        self._events: asyncio.Queue[tuple[str, Object]] = asyncio.Queue()
        self.applied: list[tuple[str, int | None]] = []
        """The field manager and `replicas` of each apply."""

    async def get(self, path: str) -> Object:
        if self._held is None:
            raise ApiError(f"{path}: not found", 404)
        return self._held

    async def apply(self, _: str, body: Object, manager: str) -> Object:
        self.applied.append((manager, body["spec"].get("replicas")))
        managers = [*(self._held or {}).get("metadata", {}).get("managedFields", ()), {"manager": manager}]
        self._held = body | {"metadata": body["metadata"] | {"managedFields": managers}}
        return self._held

    async def list(self, _: str, **_query: str) -> tuple[list[Object], str]:
        return [], "1"

    async def watch(self, path: str, _: str, **_query: str) -> AsyncIterator[tuple[str, Object]]:
        while path.endswith("/deployments"):
            yield await self._events.get()
        await asyncio.Event().wait()

    def show(self, event: str, item: Object) -> None:
        self._events.put_nowait((event, item))


def cluster_on(server: Server) -> KubeCluster:
    api = cast("Api", server)  # of Api, what the cluster uses
    made = KubeCluster(api, UrlSecrets(api, time.monotonic), time.monotonic)
    made.place(POOL, URL)
    return made


async def test_a_new_pool_starts_without_workers() -> None:
    server = Server()
    await cluster_on(server).ensure(POOL)
    assert server.applied == [(DEPLOYER, 0), (SCALER, 0)]


async def test_a_deployment_that_the_informer_lacks_keeps_its_replicas() -> None:
    """Its labels were removed, or a former leader has just created it."""
    ours = {"ownerReferences": [{"uid": "u1"}], "managedFields": [{"manager": DEPLOYER}, {"manager": SCALER}]}
    server = Server({"metadata": ours, "spec": {"replicas": 5}})
    await cluster_on(server).ensure(POOL)
    assert server.applied == [(DEPLOYER, None)]


def deployment_as_read(version: int, read: int) -> Object:
    """Return a Deployment of generation 2 whose controller has read the generation `read`."""
    found = deployment(POOL, URL)
    meta = found["metadata"] | {"resourceVersion": str(version), "generation": 2, "namespace": "shop"}
    meta |= {"labels": meta.get("labels", {}) | {POOL_LABEL: "emails"}, "managedFields": [{"manager": SCALER}]}
    return found | {"metadata": meta, "status": {"observedGeneration": read}}


class OvertakenServer(Server):
    """Answers an apply with an old version of the Deployment, after `before_answer` has returned."""

    def __init__(self, before_answer: Callable[["OvertakenServer"], Awaitable[None]]) -> None:
        super().__init__()
        self._before_answer = before_answer

    async def apply(self, path: str, body: Object, manager: str) -> Object:
        await super().apply(path, body, manager)
        await self._before_answer(self)
        return deployment_as_read(10, read=1)


@contextlib.asynccontextmanager
async def watching(cluster: KubeCluster) -> AsyncIterator[None]:
    """Run the cluster's informers."""
    task = asyncio.create_task(cluster.run())
    try:
        await cluster.wait_until_listed()
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def ensure_while_shown(event: str, read: int) -> ClusterFacts:
    """Apply a known Deployment; before the response the informer gets this event. Return what is then observed."""

    async def before_answer(server: OvertakenServer) -> None:
        server.show(event, deployment_as_read(11, read))
        await cluster.next_changes()

    server = OvertakenServer(before_answer)
    cluster = cluster_on(server)
    async with asyncio.timeout(10), watching(cluster):
        server.show("ADDED", deployment_as_read(10, read=1))
        await cluster.next_changes()
        await cluster.ensure(POOL)
        return await cluster.observe(POOL)


async def test_the_informer_wins_over_an_older_response() -> None:
    """The apply changed nothing, and the informer shows only once that the controller has read the Deployment."""
    facts = await ensure_while_shown("MODIFIED", read=2)
    assert not facts.rolling


async def test_a_deployment_deleted_during_an_apply_stays_deleted() -> None:
    facts = await ensure_while_shown("DELETED", read=1)
    assert facts.replicas is None, "otherwise it would not be created again"


async def test_settings_that_running_workers_follow_do_not_outdate_a_deployment() -> None:
    changed = POOL.model_copy(update={"spec": POOL.spec.model_copy(update={"concurrency": 9})})
    server = Server()
    cluster = cluster_on(server)
    async with asyncio.timeout(10), watching(cluster):
        server.show("ADDED", deployment_as_read(10, read=2))
        await cluster.next_changes()
        before, after = await cluster.observe(POOL), await cluster.observe(changed)
    assert (before.outdated, before.has_current_settings) == (False, True)
    assert (after.outdated, after.has_current_settings) == (False, False)
