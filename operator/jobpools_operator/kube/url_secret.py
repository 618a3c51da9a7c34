"""The Secret of a namespace from which the pods of its pools read the URL of the default Redis.

A namespace has one Secret with one field manager and at most MAX_OWNERS owners: neither the object nor the number of
its writes grows with the number of pools. Kubernetes deletes it with its last owner, even when no operator runs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobpools.control.workqueue import DelayQueue
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool
from jobpools_operator.kube import manifests
from jobpools_operator.kube.client import CORE_API, Api, ApiError, Object, path_of

MAX_OWNERS = 3
"""Maximum number of a namespace's pools that own its Secret. When an owner is deleted, another pool takes its place.
There is more than one, so that the Secret outlives the deletion of one owner while no operator runs."""
FORMER_MANAGER_PREFIX = "jobpools-deploy-"
"""Prefix of the field managers of former versions, which applied the Secret once for each pool."""
RETRY_AFTER = 2.0
"""Seconds until a failed check is repeated; also the minimum between two checks because a Secret may be missing."""
OWNERS_INTERVAL = 0.25
"""Minimum seconds between two checks for lost owners."""
VERIFY_AFTER = 5.0
"""Seconds after which a Secret that had lost all its owners is checked again: Kubernetes may have deleted it."""
RESYNC_INTERVAL = 300.0
"""Seconds between two checks of a namespace in which nothing changes: an edit by a user is corrected within them."""
BATCH = 8
"""Maximum number of due namespaces that are taken together."""

log = logging.getLogger("jobpools.operator")


@dataclass
class _Namespace:
    """One namespace with pools that use the default Redis."""

    url: str
    pools: dict[str, Meta] = field(default_factory=dict[str, Meta])
    """By uid: the pools that read the Secret."""
    owners: frozenset[str] = frozenset()
    """Uids of the owners as last read or written."""
    is_in_place: bool = False
    """The Secret was read or written in this term and is correct."""
    checked_at: float = float("-inf")
    """When the latest check ended."""
    error: ApiError | None = None
    """Why the latest check failed."""
    problem: str = ""
    """Why no further attempt can write the Secret, until a user acts; empty: no such problem is known."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def lacks_owners(self) -> bool:
        """Return whether more of the pools should own the Secret."""
        return len(self.owners & self.pools.keys()) < min(MAX_OWNERS, len(self.pools))


class ForeignSecretError(ApiError):
    """The Secret's name is in use by a Secret that jobpools did not create."""


class UrlSecrets:
    """Keeps the Secrets of all namespaces in place. The requests for a namespace do not grow with its pools."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        """Begin without any namespace. `clock`: monotonic seconds."""
        self._api, self._clock = api, clock
        self._namespaces: dict[str, _Namespace] = {}
        """By name."""
        self._pools: dict[str, tuple[str, str]] = {}
        """By pool key: the namespace and uid of a pool that reads its namespace's Secret."""
        self._checks: DelayQueue[str] = DelayQueue(clock)
        """Namespaces by the time of their next check."""

    def need(self, pool: Pool, url: str) -> None:
        """Note that the pods of this pool read `url` from their namespace's Secret."""
        meta = pool.meta
        if self._pools.get(meta.key, (meta.namespace, meta.uid)) != (meta.namespace, meta.uid):
            self.forget(meta.key)  # deleted and created again
        state = self._namespaces.setdefault(meta.namespace, _Namespace(url))
        if state.url != url:
            state.url, state.is_in_place = url, False
        state.pools[meta.uid] = meta
        self._pools[meta.key] = (meta.namespace, meta.uid)
        if state.lacks_owners or not state.is_in_place:
            self._schedule_check(meta.namespace, state, OWNERS_INTERVAL)

    def forget(self, key: str) -> None:
        """Note that the pool is gone, or that its pods read their URL elsewhere."""
        namespace, uid = self._pools.pop(key, ("", ""))
        state = self._namespaces.get(namespace)
        if state is None:
            return
        state.pools.pop(uid, None)
        if not state.pools:
            # Kubernetes deletes the Secret with its owners: nothing is left to do here.
            del self._namespaces[namespace]
            self._checks.discard(namespace)
        elif uid in state.owners:
            self._schedule_check(namespace, state, OWNERS_INTERVAL)

    def check_soon(self, namespace: str) -> None:
        """Check this namespace's Secret soon: it may be missing or wrong."""
        if state := self._namespaces.get(namespace):
            self._schedule_check(namespace, state, RETRY_AFTER)

    def _schedule_check(self, namespace: str, state: _Namespace, interval: float) -> None:
        self._checks.hasten(namespace, max(self._clock(), state.checked_at + interval))

    def problem(self, namespace: str) -> str:
        """Return why no further attempt can write the Secret, until a user acts; empty: no such problem is known."""
        state = self._namespaces.get(namespace)
        return state.problem if state else ""

    async def ensure(self, pool: Pool) -> None:
        """Wait until the Secret of the pool's namespace is in place. Raises ApiError.

        All pools of a namespace wait for one shared check, and its failure is reported to all until the next check.
        """
        namespace = pool.meta.namespace
        state = self._namespaces[namespace]
        async with state.lock:
            if state.is_in_place:
                return
            if state.error is not None and self._clock() - state.checked_at < RETRY_AFTER:
                raise state.error.copy()
            await self._check(namespace, state)

    async def run(self) -> None:
        """Check the namespaces that are due, until cancelled. A new term checks all: it trusts no earlier result."""
        for namespace, state in self._namespaces.items():
            state.is_in_place = False
            self._checks.hasten(namespace, self._clock())
        while True:
            namespaces, now = await self._checks.next_due(BATCH), self._clock()
            for namespace in namespaces:
                await self._check_unless_checked_since(now, namespace)

    async def _check_unless_checked_since(self, due: float, namespace: str) -> None:
        """Check the Secret unless a pool's pass has checked it since `due`."""
        if state := self._namespaces.get(namespace):
            async with state.lock:
                if state.checked_at < due:
                    with contextlib.suppress(ApiError):  # logged and tried again by `_check`
                        await self._check(namespace, state)

    async def _check(self, namespace: str, state: _Namespace) -> None:
        """Read the Secret and correct it. The caller holds the lock."""
        before, state.error = state.error, None
        wait = RETRY_AFTER
        try:
            wait = await self._correct(namespace, state)
        except ApiError as error:
            state.is_in_place = False
            if error.is_namespace_terminating:
                wait = RESYNC_INTERVAL
            elif before is None or not _is_same_failure(error, before):
                log.warning("%s", error)
            state.error = error
            raise
        finally:
            state.checked_at = self._clock()
            if self._namespaces.get(namespace) is state:
                self._checks.put(namespace, state.checked_at + wait)

    async def _correct(self, namespace: str, state: _Namespace) -> float:
        """Run one check; return the seconds until the next one."""
        # 1 facts
        path = path_of(CORE_API, namespace, "secrets", manifests.REDIS_SECRET)
        found = await self._read(path)
        state.problem = ""
        if found is not None and not is_created_by_jobpools(found):
            state.problem = f"Secret {namespace}/{manifests.REDIS_SECRET}: it was not created by jobpools; delete it"
            raise ForeignSecretError(state.problem)
        # 2 decision
        before = owners_of(found)
        body = manifests.redis_secret(namespace, state.url, choose_owners(before, state.pools))
        # 3 effect
        await self._write(path, found, body)
        state.is_in_place, state.owners = True, frozenset(owners_of(body))
        if state.lacks_owners:  # pools came or went meanwhile
            return OWNERS_INTERVAL
        # Crash window: when all former owners were deleted, Kubernetes may delete the Secret after this apply.
        return VERIFY_AFTER if before and not before.keys() & state.pools.keys() else RESYNC_INTERVAL

    async def _write(self, path: str, found: Object | None, body: Object) -> None:
        """Apply the Secret unless it is in place, and remove what former versions wrote."""
        if found is None or not is_in_place(found, body):
            found = await self._api.apply(path, body, manifests.MANAGER)
        if patch := upgrade_patch(found, body):
            # Crash window: applied, but what former versions wrote is still there. The next check removes it.
            await self._api.merge(path, patch, manifests.MANAGER)

    async def _read(self, path: str) -> Object | None:
        try:
            return await self._api.get(path)
        except ApiError as error:
            if error.is_missing:
                return None
            raise


def _is_same_failure(error: ApiError, before: ApiError) -> bool:
    return (type(error), error.status, error.causes) == (type(before), before.status, before.causes)


def is_created_by_jobpools(found: Object) -> bool:
    """Return whether an operator created the Secret: it has the label of jobpools, or one of its field managers."""
    metadata = found["metadata"]
    is_labelled = metadata.get("labels", {}).get(manifests.MANAGED_LABEL) == manifests.MANAGER
    return is_labelled or any(
        each.get("manager") == manifests.MANAGER or _is_former(each) for each in metadata.get("managedFields", ())
    )


def owners_of(found: Object | None) -> dict[str, Object]:
    """Return the references to pools that own the object, by uid."""
    references = (found or {"metadata": {}})["metadata"].get("ownerReferences", ())
    return {each["uid"]: each for each in references if each.get("kind") == manifests.POOL_KIND}


def choose_owners(found: Mapping[str, Object], pools: Mapping[str, Meta]) -> list[Object]:
    """Return at most MAX_OWNERS references: present owners that are known pools, other known pools, unknown owners.

    An unknown owner may be a pool whose spec is invalid now; its Deployment still reads the Secret.
    """
    kept = [pools[uid] for uid in found if uid in pools]
    added = [meta for uid, meta in pools.items() if uid not in found]
    known = [manifests.owner_reference(meta, controller=False) for meta in [*kept, *added[:MAX_OWNERS]]]
    return [*known, *(each for uid, each in found.items() if uid not in pools)][:MAX_OWNERS]


def is_in_place(found: Object, body: Object) -> bool:
    """Return whether the Secret has the URL, label and manager of `body`, and at least its owners."""
    labels = found["metadata"].get("labels", {})
    return (
        found.get("data", {}).get(manifests.REDIS_KEY) == body["data"][manifests.REDIS_KEY]
        and labels.get(manifests.MANAGED_LABEL) == manifests.MANAGER
        and any(map(_is_own_apply, found["metadata"].get("managedFields", ())))
        and owners_of(body).keys() <= owners_of(found).keys()
    )


def upgrade_patch(found: Object, body: Object) -> Object | None:
    """Return the merge patch that removes the field managers and owners of former versions; None: there are none.

    A field that two managers applied stays until both release it. So the former managers are removed from the list.
    """
    metadata = found["metadata"]
    managers, owners = metadata.get("managedFields", []), metadata.get("ownerReferences", [])
    wanted = owners_of(body)
    kept_managers = [each for each in managers if not _is_former(each)]
    kept_owners = [each for each in owners if each["uid"] in wanted or each.get("kind") != manifests.POOL_KIND]
    if (len(managers), len(owners)) == (len(kept_managers), len(kept_owners)):
        return None
    # With the resource version: an owner that Kubernetes removed meanwhile must not come back.
    kept = {"ownerReferences": kept_owners, "managedFields": kept_managers}
    return {"metadata": {"resourceVersion": metadata["resourceVersion"]} | kept}


def _is_own_apply(manager: Object) -> bool:
    return manager.get("manager") == manifests.MANAGER and manager.get("operation") == "Apply"


def _is_former(manager: Object) -> bool:
    return str(manager.get("manager", "")).startswith(FORMER_MANAGER_PREFIX)
