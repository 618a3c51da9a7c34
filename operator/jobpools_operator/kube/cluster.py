"""The control loop's port `Cluster` on Kubernetes: a Deployment for each pool, and its pods."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import datetime

from jobpools.core.pools.facts import ClusterFacts, Problem, WorkerFacts
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import Pool
from jobpools.errors import ObservationError
from jobpools_operator.kube import manifests
from jobpools_operator.kube.client import CORE, DEPLOYMENTS, Api, ApiError, Object, path_of
from jobpools_operator.kube.informer import Informer
from jobpools_operator.kube.url_secret import UrlSecrets

DEPLOYER, SCALER = "jobpools-deploy", "jobpools-scaler"
"""Field managers: what runs, and how many of it, have two owners."""
ENSURES_AT_ONCE, SCALINGS_AT_ONCE = 16, 16
"""Maximum number of pools that are made to follow their specs together, and that are scaled together. The others wait
before their requests' time runs. Scaling does not wait for new pools, and the rest of the connections is for the Lease,
the watches, the statuses and the Secrets, which wait for no pool."""
GONE_FOR = 60.0
"""Seconds for which it is remembered that a worker has gone, for whoever looks at its pool then."""
FINISHED = ("Succeeded", "Failed")
CONFIG_ERROR = "CreateContainerConfigError"
"""Reason of a container that waits for a Secret or ConfigMap which does not exist."""
PROBLEMS = (
    "CrashLoopBackOff",
    CONFIG_ERROR,
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)


class KubeCluster:
    """Reads from its own watches, writes to the API server."""

    def __init__(self, api: Api, clock: Callable[[], float], namespaces: Sequence[str] = ()) -> None:
        """`clock`: monotonic seconds. `namespaces`: which to watch; none: all."""
        self._api, self._clock = api, clock
        selector = f"{manifests.MANAGED_LABEL}={manifests.MANAGER},{manifests.POOL_LABEL}"
        self.urls: dict[str, str] = {}
        """By pool key: which Redis the pool's workers are to connect to. The planner sets it."""
        self._changes: set[str] = set()
        """Keys of pools whose Deployment or pods changed since `next_changes` returned."""
        self._has_changes = asyncio.Event()
        self._pods: dict[str, dict[str, Object]] = defaultdict(dict)
        self._deployments: dict[str, Object] = {}
        self._applied: dict[str, str] = {}
        """By pool key: what the Deployment looked like after the last apply; another look means another hand."""
        self._gone: dict[str, set[str]] = {}
        """By pool key: names of pods that went and that no pass has been told of."""
        self._went: deque[tuple[float, str, str]] = deque()
        """(when, pool key, name) of the same, oldest first."""
        self._ensures = asyncio.Semaphore(ENSURES_AT_ONCE)
        self._scalings = asyncio.Semaphore(SCALINGS_AT_ONCE)
        self.url_secrets = UrlSecrets(api, clock)
        self.scalings = 0
        """Times that a number of workers was asked for, and accepted."""
        self._informers: list[Informer] = []
        for place in namespaces or ("",):
            within = f"/namespaces/{place}" if place else ""
            self._informers += [
                Informer(api, f"{DEPLOYMENTS}{within}/deployments", selector, clock, self._deployed, self._withdrawn),
                Informer(api, f"{CORE}{within}/pods", selector, clock, self._pod_seen, self._pod_gone),
            ]

    async def run(self) -> None:
        """Watch until cancelled."""
        await asyncio.gather(*(informer.run() for informer in self._informers))

    @property
    def listed(self) -> bool:
        """Everything has been listed once."""
        return all(informer.listed for informer in self._informers)

    async def ready(self) -> None:
        """Wait until everything has been listed once."""
        for informer in self._informers:
            await informer.ready()

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
        """The pool's workers are to connect to this Redis."""
        self.urls[pool.meta.key] = url
        if pool.spec.redis is None:
            self.url_secrets.need(pool, url)
        else:
            self.url_secrets.forget(pool.meta.key)

    def forget(self, pool: str) -> None:
        """The pool (its key) is gone."""
        self.url_secrets.forget(pool)
        self.urls.pop(pool, None)
        self._applied.pop(pool, None)
        self._gone.pop(pool, None)

    def _deployed(self, found: Object) -> None:
        if found["metadata"]["name"] == found["metadata"]["labels"][manifests.POOL_LABEL]:
            self._deployments[_pool_key(found)] = found
            self._note_change(_pool_key(found))

    def _withdrawn(self, found: Object) -> None:
        if self._deployments.pop(_pool_key(found), None):
            self._note_change(_pool_key(found))

    def _pod_seen(self, pod: Object) -> None:
        key, name = _pool_key(pod), pod["metadata"]["name"]
        if pod.get("status", {}).get("phase") in FINISHED:
            self._pod_gone(pod)
        else:
            self._pods[key][name] = pod
            self._note_change(key)

    def _pod_gone(self, pod: Object) -> None:
        key, name = _pool_key(pod), pod["metadata"]["name"]
        if self._pods.get(key, {}).pop(name, None):
            self._gone.setdefault(key, set()).add(name)
            self._went.append((self._clock(), key, name))
            self._forget_gone()
            if not self._pods[key]:
                del self._pods[key]
            self._note_change(key)

    def _forget_gone(self) -> None:
        """Forget pods that went too long ago, also those of pools without a pass."""
        while self._went and self._went[0][0] <= self._clock() - GONE_FOR:
            _, key, name = self._went.popleft()
            names = self._gone.get(key, set())
            names.discard(name)
            if not names:
                self._gone.pop(key, None)

    async def observe(self, pool: Pool) -> ClusterFacts:
        """From the watches; raises ObservationError when they stand still."""
        for informer in self._informers:
            informer.check()
        key = pool.meta.key
        wanted = self._wanted(pool)
        workers = tuple(map(_worker, self._pods.get(key, {}).values()))
        # Crash window: told once. If the pass ends before the leases are released, they expire by themselves.
        self._forget_gone()
        gone = tuple(sorted(self._gone.pop(key, ())))
        found = self._deployments.get(key)
        secret_problem = self._secret_problem(pool, workers)
        if found is None:
            return ClusterFacts(None, current=False, workers=workers, gone=gone, problem=secret_problem)
        return ClusterFacts(
            replicas=found["spec"].get("replicas", 1),
            current=_hash(found) == _hash(wanted) and not self._meddled(key, found),
            workers=workers,
            gone=gone,
            problem=_replica_failure(found) or secret_problem,
            rolling=_rolling(found),
        )

    def _secret_problem(self, pool: Pool, workers: Sequence[WorkerFacts]) -> Problem | None:
        """Return why the Secret with the URL cannot be put in place; have it checked when pods lack something."""
        if pool.spec.redis is not None:
            return None
        if any(worker.problem is not None and worker.problem.reason == CONFIG_ERROR for worker in workers):
            # The kubelet gives this reason for every Secret or ConfigMap that is missing. Only a read shows whether
            # it is ours.
            self.url_secrets.check_soon(pool.meta.namespace)
        problem = self.url_secrets.problem(pool.meta.namespace)
        return Problem(Reason.CLUSTER_PROBLEM, problem) if problem else None

    def _meddled(self, key: str, found: Object) -> bool:
        """Another hand changed the Deployment since the last apply. What it did before our start is not seen."""
        return self._applied.get(key, _look(found)) != _look(found)

    def _wanted(self, pool: Pool) -> Object:
        # Rendered at each look, the hash included: 0.1 ms; a cache would have to know everything that it depends on.
        self._check_placed(pool)
        return manifests.deployment(pool, self.urls[pool.meta.key])

    def _check_placed(self, pool: Pool) -> None:
        if pool.meta.key not in self.urls:
            raise ObservationError(f"{pool.meta.key} was deleted meanwhile")

    async def ensure(self, pool: Pool) -> None:
        """Apply the Deployment; a new one begins with no pods."""
        self._check_placed(pool)
        try:
            if pool.spec.redis is None:
                # Before the turn: pools that wait for one namespace's Secret take no turn from those of the others.
                self.url_secrets.need(pool, self.urls[pool.meta.key])
                await self.url_secrets.ensure(pool)
            async with self._ensures:
                await self._ensure(pool)
        except ApiError as error:
            if not error.leaving:  # else the pool will go with its namespace
                raise

    async def _ensure(self, pool: Pool) -> None:
        body = self._wanted(pool)
        path, key = self._path(pool), pool.meta.key
        if key not in self._deployments and not await self._is_there(path, pool):
            body = body | {"spec": body["spec"] | {"replicas": 0}}
        found = await self._api.apply(path, body, DEPLOYER)
        if not _scaled(found):
            # Crash window: until the scaler owns `replicas` too, an apply without it would let it fall back to 1.
            # If we end here and the spec changes before the next look, one worker starts and is scaled away again.
            count = {name: body[name] for name in ("apiVersion", "kind")}
            count |= {"metadata": {"name": pool.meta.name}, "spec": {"replicas": 0}}
            found = await self._api.apply(path, count, SCALER)
        # What there is the watch alone says: while this answer was on its way it may have shown a later version, or
        # the end of it, and will not do so again.
        self._applied[key] = _look(found)

    async def _is_there(self, path: str, pool: Pool) -> bool:
        """Its Deployment is there with a number of workers, though the watch does not show it. Refuses a stranger's."""
        try:
            found = await self._api.get(path)
        except ApiError as error:
            if error.missing:
                return False
            raise
        if pool.meta.uid not in {owner["uid"] for owner in found["metadata"].get("ownerReferences", [])}:
            raise ApiError(f"Deployment {pool.meta.key} exists and is not this pool's: rename the pool or delete it")
        return _scaled(found)

    async def mark(self, pool: Pool, names: Sequence[str]) -> None:
        """Exactly these pods are cheap to delete."""
        async with self._scalings:
            await self._mark(pool, names)

    async def _mark(self, pool: Pool, names: Sequence[str]) -> None:
        for name, pod in list(self._pods.get(pool.meta.key, {}).items()):
            if _marked(pod) != (name in names):
                cost = str(manifests.MARKED_COST) if name in names else None
                body = {"metadata": {"annotations": {manifests.DELETION_COST: cost}}}
                try:
                    await self._api.merge(path_of(CORE, pool.meta.namespace, "pods", name), body, SCALER)
                except ApiError as error:
                    if not error.missing:
                        raise

    async def scale(self, pool: Pool, replicas: int) -> None:
        """One PATCH of /scale, straight to the number."""
        async with self._scalings:
            await self._api.merge(f"{self._path(pool)}/scale", {"spec": {"replicas": replicas}}, SCALER)
        self.scalings += 1

    def _path(self, pool: Pool) -> str:
        return path_of(DEPLOYMENTS, pool.meta.namespace, "deployments", pool.meta.name)


def _pool_key(item: Object) -> str:
    metadata = item["metadata"]
    return f"{metadata['namespace']}/{metadata['labels'][manifests.POOL_LABEL]}"


def _hash(found: Object) -> str:
    hashed: str = found["metadata"].get("annotations", {}).get(manifests.HASH_ANNOTATION, "")
    return hashed


def _look(found: Object) -> str:
    """A hash of what the Deployment says, the number of workers aside: that is no matter of the spec."""
    return manifests.identity({name: value for name, value in found["spec"].items() if name != "replicas"})


def _scaled(found: Object) -> bool:
    """The scaler owns its number of workers."""
    return SCALER in {each["manager"] for each in found["metadata"].get("managedFields", ())}


def _rolling(found: Object) -> bool:
    """Pods of an older template are there, or the controller has not yet read what was written last.

    Where no pod is and none is asked for, nothing is replaced: do not wait for the controller, which is slow when many
    Deployments are new.
    """
    status = found.get("status", {})
    if found["spec"].get("replicas", 1) == status.get("replicas", 0) == 0:
        return False
    behind = status.get("observedGeneration", 0) < found["metadata"].get("generation", 0)
    return bool(behind or status.get("updatedReplicas", 0) < status.get("replicas", 0))


def _marked(pod: Object) -> bool:
    annotations: Object = pod["metadata"].get("annotations", {})
    return str(annotations.get(manifests.DELETION_COST)) == str(manifests.MARKED_COST)


def _worker(pod: Object) -> WorkerFacts:
    status = pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    started = status.get("startTime")
    return WorkerFacts(
        name=pod["metadata"]["name"],
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in pod["metadata"],
        marked=_marked(pod),
        started=datetime.fromisoformat(started).timestamp() if started else 0.0,
        problem=_problem(status, conditions),
        generation=pod["metadata"].get("labels", {}).get("pod-template-hash", ""),
    )


def _problem(status: Object, conditions: dict[str, Object]) -> Problem | None:
    """Return why the pod's container does not start, or why the pod is on no node."""
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in PROBLEMS:
            last = container.get("lastState", {}).get("terminated", {})
            return Problem(waiting["reason"], waiting.get("message", "").partition("\n")[0] or last.get("reason", ""))
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Problem(scheduled.get("reason", "Unschedulable"), scheduled.get("message", ""))
    return None


def _replica_failure(found: Object) -> Problem | None:
    """Return why the Deployment's pods cannot be created, as in `FailedCreate: exceeded quota`."""
    for each in found.get("status", {}).get("conditions", []):
        if each["type"] == "ReplicaFailure" and each["status"] == "True":
            return Problem(each.get("reason", "ReplicaFailure"), each.get("message", ""))
    return None
