"""The Secret of a namespace from which the pods of its pools read the URL of the default Redis.

One Secret a namespace, one field manager, at most OWNERS owners: neither the object nor the number of its writes
grows with the number of pools. Kubernetes deletes it with the last of its owners, also when no operator runs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool
from jobpools_operator.kube import manifests
from jobpools_operator.kube.client import CORE, Api, ApiError, Object, path_of
from jobpools_operator.workqueue import Workqueue

OWNERS = 3
"""Maximum number of a namespace's pools that own its Secret. When one is deleted, another pool takes its place; more
than one, so that the Secret outlives the deletion of one of them while no operator runs."""
FORMER_MANAGERS = "jobpools-deploy-"
"""Prefix of the field managers of versions that applied the Secret once for each pool."""
AGAIN = 2.0
"""Seconds until a failed check is repeated, and the least number of seconds between two checks for missing Secrets."""
GAP = 0.25
"""Least number of seconds between two checks for lost owners."""
VERIFY_AFTER = 5.0
"""Seconds after which a Secret is checked again that had lost all its owners, and may have been deleted for it."""
RESYNC = 300.0
"""Seconds between two checks of a namespace in which nothing happens: what users change is corrected after that."""
AT_ONCE = 8
"""Maximum number of namespaces that one look checks."""

log = logging.getLogger("jobpools.operator")


@dataclass
class _Place:
    """One namespace with pools that use the default Redis."""

    url: str
    pools: dict[str, Meta] = field(default_factory=dict)
    """By uid."""
    owners: frozenset[str] = frozenset()
    """Uids of the owners as last read or written."""
    in_place: bool = False
    """The Secret was read or written in this term, and was right."""
    checked_at: float = float("-inf")
    error: ApiError | None = None
    """Why the latest check failed."""
    problem: str = ""
    """Why the Secret cannot be ours; empty: it can."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def lacks_owners(self) -> bool:
        """Pools could own the Secret, and too few do."""
        return len(self.owners & self.pools.keys()) < min(OWNERS, len(self.pools))


class UrlSecrets:
    """Keeps the Secrets of all namespaces in place; the requests of a namespace do not depend on its pools' number."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._api, self._clock = api, clock
        self._places: dict[str, _Place] = {}
        self._namespaces: dict[str, tuple[str, str]] = {}
        """By pool key: the namespace and uid of a pool that needs its namespace's Secret."""
        self._checks = Workqueue()
        """Namespaces, and when each is to be checked."""
        self._woken = asyncio.Event()

    def need(self, pool: Pool, url: str) -> None:
        """The pods of this pool read `url` from their namespace's Secret."""
        meta = pool.meta
        if self._namespaces.get(meta.key, (meta.namespace, meta.uid)) != (meta.namespace, meta.uid):
            self.forget(meta.key)  # deleted and made again
        place = self._places.setdefault(meta.namespace, _Place(url))
        if place.url != url:
            place.url, place.in_place = url, False
        place.pools[meta.uid] = meta
        self._namespaces[meta.key] = (meta.namespace, meta.uid)
        if place.lacks_owners or not place.in_place:
            self._check_soon(meta.namespace, place, GAP)

    def forget(self, key: str) -> None:
        """The pool is gone, or its pods read their URL elsewhere."""
        namespace, uid = self._namespaces.pop(key, ("", ""))
        place = self._places.get(namespace)
        if place is None:
            return
        place.pools.pop(uid, None)
        if not place.pools:
            # The Secret goes with its owners, which Kubernetes does: nothing is left to do here.
            del self._places[namespace]
            self._checks.discard(namespace)
        elif uid in place.owners:
            self._check_soon(namespace, place, GAP)

    def doubt(self, namespace: str) -> None:
        """Check this namespace's Secret soon: it may be missing or wrong."""
        if place := self._places.get(namespace):
            self._check_soon(namespace, place, AGAIN)

    def _check_soon(self, namespace: str, place: _Place, gap: float) -> None:
        self._checks.hasten(namespace, max(self._clock(), place.checked_at + gap))
        self._woken.set()

    def problem(self, namespace: str) -> str:
        """Why the Secret cannot be put in place by any number of tries; empty: nothing is known to be wrong."""
        place = self._places.get(namespace)
        return place.problem if place else ""

    async def ensure(self, pool: Pool) -> None:
        """Return when the Secret of the pool's namespace is in place. Raises ApiError.

        All pools of a namespace share one check: they wait for it, and its failure is theirs until the next check.
        """
        namespace = pool.meta.namespace
        place = self._places[namespace]
        async with place.lock:
            if place.in_place:
                return
            if place.error is not None and self._clock() - place.checked_at < AGAIN:
                raise ApiError(str(place.error), place.error.status, place.error.causes)
            await self._check(namespace, place)

    async def run(self) -> None:
        """Check what is due, until cancelled. A new term begins with nothing known."""
        for namespace, place in self._places.items():
            place.in_place = False
            self._checks.hasten(namespace, self._clock())
        while True:
            now = self._clock()
            for namespace in self._checks.take(now, AT_ONCE):
                await self._look(namespace, now)
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(RESYNC, self._checks.next_at() - self._clock())):
                    await self._woken.wait()

    async def _look(self, namespace: str, due: float) -> None:
        """Check a namespace unless a pool did it since this check was due."""
        if place := self._places.get(namespace):
            async with place.lock:
                if place.checked_at < due:
                    with contextlib.suppress(ApiError):  # it is remembered, logged, and tried again
                        await self._check(namespace, place)

    async def _check(self, namespace: str, place: _Place) -> None:
        """Read the Secret and correct it. The caller holds the lock."""
        before, place.error = str(place.error), None
        wait = AGAIN
        try:
            wait = await self._settle(namespace, place)
        except ApiError as error:
            place.in_place = False
            if error.leaving:
                wait = RESYNC
            elif str(error) != before:
                log.warning("%s", error)
            place.error = error
            raise
        finally:
            place.checked_at = self._clock()
            if self._places.get(namespace) is place:
                self._checks.put(namespace, place.checked_at + wait)

    async def _settle(self, namespace: str, place: _Place) -> float:
        """One check; seconds until the next one."""
        # 1 facts
        path = path_of(CORE, namespace, "secrets", manifests.REDIS_SECRET)
        found = await self._read(path)
        place.problem = ""
        if found is not None and not is_ours(found):
            place.problem = f"Secret {namespace}/{manifests.REDIS_SECRET} exists and is not jobpools'; delete it"
            raise ApiError(place.problem)
        # 2 decision
        before = owners_of(found)
        body = manifests.redis_secret(namespace, place.url, choose_owners(before, place.pools))
        # 3 effect
        if found is None or not is_in_place(found, body):
            found = await self._api.apply(path, body, manifests.MANAGER)
        if leftover := without_former_shape(found, body):
            # Crash window: applied, and what former versions left is still there. The next check finds it.
            await self._api.merge(path, leftover, manifests.MANAGER)
        place.in_place, place.owners = True, frozenset(owners_of(body))
        if place.lacks_owners:  # pools came or went meanwhile
            return GAP
        # Crash window: when all former owners were deleted, Kubernetes may delete the Secret after this apply.
        return VERIFY_AFTER if before and not before.keys() & place.pools.keys() else RESYNC

    async def _read(self, path: str) -> Object | None:
        try:
            return await self._api.get(path)
        except ApiError as error:
            if error.missing:
                return None
            raise


def is_ours(found: Object) -> bool:
    """The Secret was made by an operator: it has our label, or one of our managers wrote it."""
    metadata = found["metadata"]
    labelled = metadata.get("labels", {}).get(manifests.MANAGED_LABEL) == manifests.MANAGER
    return labelled or any(
        each.get("manager") == manifests.MANAGER or _is_former(each) for each in metadata.get("managedFields", ())
    )


def owners_of(found: Object | None) -> dict[str, Object]:
    """The references to pools that own the object, by uid."""
    references = (found or {"metadata": {}})["metadata"].get("ownerReferences", ())
    return {each["uid"]: each for each in references if each.get("kind") == manifests.POOL_KIND}


def choose_owners(found: Mapping[str, Object], pools: Mapping[str, Meta]) -> list[Object]:
    """At most OWNERS references: those that are there and right, then other pools, then those that are not known.

    An unknown owner may be a pool whose spec is refused now; its Deployment reads the Secret as before.
    """
    kept = [pools[uid] for uid in found if uid in pools]
    added = [meta for uid, meta in pools.items() if uid not in found]
    known = [manifests.owner(meta, controller=False) for meta in [*kept, *added[:OWNERS]]]
    return [*known, *(each for uid, each in found.items() if uid not in pools)][:OWNERS]


def is_in_place(found: Object, body: Object) -> bool:
    """The Secret says what `body` does, and belongs to the same pools."""
    labels = found["metadata"].get("labels", {})
    return (
        found.get("data", {}).get(manifests.REDIS_KEY) == body["data"][manifests.REDIS_KEY]
        and labels.get(manifests.MANAGED_LABEL) == manifests.MANAGER
        and any(map(_is_applied, found["metadata"].get("managedFields", ())))
        and owners_of(body).keys() <= owners_of(found).keys()
    )


def without_former_shape(found: Object, body: Object) -> Object | None:
    """The patch that removes the managers and owners of former versions; None: there are none.

    A field that two managers applied stays until both give it up: the others are taken off the list.
    """
    metadata = found["metadata"]
    managers, owners = metadata.get("managedFields", []), metadata.get("ownerReferences", [])
    right = owners_of(body)
    kept_managers = [each for each in managers if not _is_former(each)]
    kept_owners = [each for each in owners if each["uid"] in right or each.get("kind") != manifests.POOL_KIND]
    if (len(managers), len(owners)) == (len(kept_managers), len(kept_owners)):
        return None
    # The version: an owner that Kubernetes removed meanwhile must not come back.
    kept = {"ownerReferences": kept_owners, "managedFields": kept_managers}
    return {"metadata": {"resourceVersion": metadata["resourceVersion"]} | kept}


def _is_applied(entry: Object) -> bool:
    return entry.get("manager") == manifests.MANAGER and entry.get("operation") == "Apply"


def _is_former(entry: Object) -> bool:
    return str(entry.get("manager", "")).startswith(FORMER_MANAGERS)
