"""The control loop's port `Cluster` on Kubernetes: a Deployment for each pool, and its pods."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from jobpools.core.pools.facts import ClusterFacts, Problem, WorkerFacts
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import Pool
from jobpools.errors import ObservationError
from jobpools_operator.kube import manifests
from jobpools_operator.kube.client import APPS_API, CORE_API, Api, ApiError, Object, path_of
from jobpools_operator.kube.facts import (
    CONFIG_ERROR,
    FINISHED_PHASES,
    fingerprint,
    is_marked,
    is_rolling,
    pool_key,
    replica_failure,
    settings_version,
    spec_hash,
    worker_facts,
)
from jobpools_operator.kube.gone_workers import GoneWorkers
from jobpools_operator.kube.informer import Informer
from jobpools_operator.kube.url_secret import UrlSecrets

DEPLOYER, SCALER = "jobpools-deploy", "jobpools-scaler"
"""Field managers. SCALER owns `replicas`, DEPLOYER the rest of the Deployment."""
MAX_ENSURES, MAX_SCALINGS = 16, 16
"""Maximum number of pools whose Deployments are applied at once, and that are scaled at once. Other pools wait; the
time limit of a request begins after the wait. The limits are separate, so that scaling does not wait for new pools. The
remaining connections serve the Lease, the watches, the statuses and the Secrets, which must not wait for pools."""


class KubeCluster:
    """The Deployments and pods of all pools: read from informers, written to the API server."""

    def __init__(
        self, api: Api, url_secrets: UrlSecrets, clock: Callable[[], float], namespaces: Sequence[str] = ()
    ) -> None:
        """Begin without any object. `clock`: monotonic seconds. `namespaces`: those to watch; empty: all."""
        self._api, self._url_secrets, self._clock = api, url_secrets, clock
        selector = f"{manifests.MANAGED_LABEL}={manifests.MANAGER},{manifests.POOL_LABEL}"
        self.urls: dict[str, str] = {}
        """By pool key: the Redis that the pool's workers connect to."""
        self._changes: set[str] = set()
        """Keys of pools whose Deployment or pods changed since `next_changes` returned."""
        self._has_changes = asyncio.Event()
        self._pods: dict[str, dict[str, Object]] = defaultdict(dict)
        """By pool key and pod name."""
        self._deployments: dict[str, Object] = {}
        """By pool key."""
        self._applied: dict[str, str] = {}
        """By pool key: fingerprint of the Deployment after the last apply, to notice the writes of other clients."""
        self._gone_workers = GoneWorkers()
        self._ensures = asyncio.Semaphore(MAX_ENSURES)
        self._scalings = asyncio.Semaphore(MAX_SCALINGS)
        self.scalings = 0
        """Number of accepted changes of a pool's size since the start."""
        self._informers: list[Informer] = []
        for namespace in namespaces or ("",):
            within = f"/namespaces/{namespace}" if namespace else ""
            self._informers += [
                Informer(
                    api,
                    f"{APPS_API}{within}/deployments",
                    selector,
                    clock,
                    self._on_deployment,
                    self._on_deployment_deleted,
                ),
                Informer(api, f"{CORE_API}{within}/pods", selector, clock, self._on_pod, self._on_pod_deleted),
            ]

    async def run(self) -> None:
        """Keep the informers current, until cancelled."""
        await asyncio.gather(*(informer.run() for informer in self._informers))

    @property
    def is_listed(self) -> bool:
        """Return whether all informers have listed their objects."""
        return all(informer.is_listed for informer in self._informers)

    async def wait_until_listed(self) -> None:
        """Wait until all informers have listed their objects."""
        for informer in self._informers:
            await informer.wait_until_listed()

    async def next_changes(self) -> set[str]:
        """Wait for changes; return the keys of the pools whose Deployment or pods changed since the last call."""
        await self._has_changes.wait()
        self._has_changes.clear()
        found, self._changes = self._changes, set()
        return found

    def _note_change(self, key: str) -> None:
        self._changes.add(key)
        self._has_changes.set()

    def place(self, pool: Pool, url: str) -> None:
        """Note which Redis the pool's workers connect to."""
        self.urls[pool.meta.key] = url
        if pool.spec.redis is None:
            self._url_secrets.need(pool, url)
        else:
            self._url_secrets.forget(pool.meta.key)

    def forget(self, key: str) -> None:
        """Drop everything that is known of the deleted pool with this key."""
        self._url_secrets.forget(key)
        self.urls.pop(key, None)
        self._applied.pop(key, None)
        self._gone_workers.forget(key)

    def _on_deployment(self, found: Object) -> None:
        if found["metadata"]["name"] == found["metadata"]["labels"][manifests.POOL_LABEL]:
            self._deployments[pool_key(found)] = found
            self._note_change(pool_key(found))

    def _on_deployment_deleted(self, found: Object) -> None:
        if self._deployments.pop(pool_key(found), None):
            self._note_change(pool_key(found))

    def _on_pod(self, pod: Object) -> None:
        key, name = pool_key(pod), pod["metadata"]["name"]
        if pod.get("status", {}).get("phase") in FINISHED_PHASES:
            self._on_pod_deleted(pod)
        else:
            self._pods[key][name] = pod
            self._note_change(key)

    def _on_pod_deleted(self, pod: Object) -> None:
        key, name = pool_key(pod), pod["metadata"]["name"]
        if self._pods.get(key, {}).pop(name, None):
            self._gone_workers.add(key, name, self._clock())
            if not self._pods[key]:
                del self._pods[key]
            self._note_change(key)

    async def observe(self, pool: Pool) -> ClusterFacts:
        """Return what the informers show of the pool. Raises ObservationError when they may be stale."""
        for informer in self._informers:
            informer.check()
        key = pool.meta.key
        wanted = self._wanted(pool)
        workers = tuple(map(worker_facts, self._pods.get(key, {}).values()))
        # Crash window: reported once. If the pass ends before the leases are released, they expire by themselves.
        gone = self._gone_workers.take(key, self._clock())
        found = self._deployments.get(key)
        secret_problem = self._secret_problem(pool, workers)
        if found is None:
            return ClusterFacts(None, current=False, workers=workers, gone=gone, problem=secret_problem)
        return ClusterFacts(
            replicas=found["spec"].get("replicas", 1),
            current=spec_hash(found) == spec_hash(wanted) and not self._has_drifted(key, found),
            workers=workers,
            gone=gone,
            problem=replica_failure(found) or secret_problem,
            has_current_settings=settings_version(found) == settings_version(wanted),
            rolling=is_rolling(found),
        )

    def _secret_problem(self, pool: Pool, workers: Sequence[WorkerFacts]) -> Problem | None:
        """Return why the Secret with the URL cannot be written; have it checked soon when a pod lacks a Secret."""
        if pool.spec.redis is not None:
            return None
        if any(worker.problem is not None and worker.problem.reason == CONFIG_ERROR for worker in workers):
            # The kubelet gives this reason for every missing Secret or ConfigMap. Only a read shows whether it is
            # this one.
            self._url_secrets.check_soon(pool.meta.namespace)
        problem = self._url_secrets.problem(pool.meta.namespace)
        return Problem(Reason.CLUSTER_PROBLEM, problem) if problem else None

    def _has_drifted(self, key: str, found: Object) -> bool:
        """Return whether another client changed the Deployment since the last apply of this process."""
        return self._applied.get(key, fingerprint(found)) != fingerprint(found)

    def _wanted(self, pool: Pool) -> Object:
        # Rendered in each pass, with its hash, in 0.1 ms. A cache would have to know everything that it depends on.
        self._check_placed(pool)
        return manifests.deployment(pool, self.urls[pool.meta.key])

    def _check_placed(self, pool: Pool) -> None:
        if pool.meta.key not in self.urls:
            raise ObservationError(f"{pool.meta.key}: the pool was deleted during its pass")

    async def ensure(self, pool: Pool) -> None:
        """Apply the Deployment, and before it the Secret that its pods read. A new Deployment starts without pods."""
        self._check_placed(pool)
        try:
            if pool.spec.redis is None:
                # Outside the limit: pools that wait for the Secret of one namespace must not delay those of others.
                self._url_secrets.need(pool, self.urls[pool.meta.key])
                await self._url_secrets.ensure(pool)
            async with self._ensures:
                await self._ensure(pool)
        except ApiError as error:
            if not error.is_namespace_terminating:  # in that case the pool is deleted with its namespace
                raise

    async def _ensure(self, pool: Pool) -> None:
        body = self._wanted(pool)
        path, key = self._path(pool), pool.meta.key
        if key not in self._deployments and not await self._exists_with_replicas(path, pool):
            body = body | {"spec": body["spec"] | {"replicas": 0}}
        found = await self._api.apply(path, body, DEPLOYER)
        if not _is_scaled(found):
            # Crash window: until the scaler owns `replicas`, an apply without it would reset it to 1. If the process
            # ends here and the spec changes before the next pass, one worker starts and is removed again.
            without_pods = {name: body[name] for name in ("apiVersion", "kind")}
            without_pods |= {"metadata": {"name": pool.meta.name}, "spec": {"replicas": 0}}
            found = await self._api.apply(path, without_pods, SCALER)
        # Only the informer stores the Deployment: it may already have shown a later version, or the deletion, and
        # would not show that again.
        self._applied[key] = fingerprint(found)

    async def _exists_with_replicas(self, path: str, pool: Pool) -> bool:
        """Ask the API server whether the Deployment exists and the scaler owns its `replicas`. Raises ApiError."""
        try:
            found = await self._api.get(path)
        except ApiError as error:
            if error.is_missing:
                return False
            raise
        if pool.meta.uid not in {owner["uid"] for owner in found["metadata"].get("ownerReferences", [])}:
            raise ApiError(
                f"Deployment {pool.meta.key}: it does not belong to this pool; rename the pool or delete the Deployment"
            )
        return _is_scaled(found)

    async def mark(self, pool: Pool, names: Sequence[str]) -> None:
        """Mark exactly these pods as the first to be deleted."""
        async with self._scalings:
            await self._mark(pool, names)

    async def _mark(self, pool: Pool, names: Sequence[str]) -> None:
        for name, pod in list(self._pods.get(pool.meta.key, {}).items()):
            if is_marked(pod) != (name in names):
                cost = str(manifests.MARKED_COST) if name in names else None
                body = {"metadata": {"annotations": {manifests.DELETION_COST: cost}}}
                try:
                    await self._api.merge(path_of(CORE_API, pool.meta.namespace, "pods", name), body, SCALER)
                except ApiError as error:
                    if not error.is_missing:
                        raise

    async def scale(self, pool: Pool, replicas: int) -> None:
        """Set the number of workers with one PATCH of /scale."""
        async with self._scalings:
            await self._api.merge(f"{self._path(pool)}/scale", {"spec": {"replicas": replicas}}, SCALER)
        self.scalings += 1

    def _path(self, pool: Pool) -> str:
        return path_of(APPS_API, pool.meta.namespace, "deployments", pool.meta.name)


def _is_scaled(found: Object) -> bool:
    """Return whether the scaler owns the Deployment's number of workers."""
    return SCALER in {each["manager"] for each in found["metadata"].get("managedFields", ())}
