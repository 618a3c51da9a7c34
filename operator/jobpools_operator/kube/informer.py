"""A local copy of the cluster's objects of one kind, kept current by list and watch."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from jobpools.core.backoff import Backoff
from jobpools.errors import ObservationError
from jobpools_operator.kube.client import Api, ApiError, Object

BACKOFF = Backoff(initial=0.5, maximum=10.0)
"""Delays until a failed list or watch is tried again."""
REWATCH_AFTER = 0.1
"""Seconds between the server's end of a watch and the next watch."""
STALE_AFTER = 30.0
"""Seconds without a working watch after which the copy counts as unknown."""

log = logging.getLogger("jobpools.operator")
Key = tuple[str, str]


class Informer:
    """All objects of a path that a label selector finds, by (namespace, name)."""

    def __init__(
        self,
        api: Api,
        path: str,
        selector: str,
        clock: Callable[[], float],
        on_change: Callable[[Object], None],
        on_delete: Callable[[Object], None],
    ) -> None:
        """Begin without any object.

        Args:
            api: The client.
            path: Path of the objects, such as `/api/v1/pods`.
            selector: Label selector of the objects.
            clock: Monotonic seconds.
            on_change: Called with each object that was added or changed.
            on_delete: Called with each object that was deleted.
        """
        self._api, self._path, self._selector, self._clock = api, path, selector, clock
        self._on_change, self._on_delete = on_change, on_delete
        self._objects: dict[Key, Object] = {}
        self._broken_since: float | None = clock()
        """When the watch broke, or since when the first list is awaited; None: the watch works."""
        self._listed = asyncio.Event()

    @property
    def is_listed(self) -> bool:
        """Return whether the first list has arrived."""
        return self._listed.is_set()

    async def wait_until_listed(self) -> None:
        """Wait for the first list."""
        await self._listed.wait()

    def check(self) -> None:
        """Raise ObservationError when the copy may be stale: an object that it lacks is unknown, not gone."""
        if not self._listed.is_set():
            raise ObservationError(f"{self._path}: not listed yet; the operator's log says why if it takes long")
        if self._broken_since is not None and self._clock() - self._broken_since > STALE_AFTER:
            seconds = self._clock() - self._broken_since
            raise ObservationError(f"{self._path}: not watched for {seconds:.0f} s; the operator's log says why")

    async def run(self) -> None:
        """List, then watch, until cancelled; list again when the watch cannot be resumed."""
        failures = 0
        while True:
            try:
                version = await self._list()
                failures = 0
                while True:
                    version = await self._watch(version)
                    await asyncio.sleep(REWATCH_AFTER)
            except ApiError as error:
                if self._broken_since is None:
                    self._broken_since = self._clock()
                if not error.is_expired:
                    failures += 1
                    delay = BACKOFF.full_delay(failures)
                    log.warning("%s; trying again in %.1f s", error, delay)
                    await asyncio.sleep(delay)

    async def _list(self) -> str:
        items, version = await self._api.list(self._path, labelSelector=self._selector)
        found = {_key(item): _without_field_owners(item) for item in items}
        before, self._objects = self._objects, found
        self._broken_since = None
        self._listed.set()
        for key in before.keys() - found.keys():
            self._on_delete(before[key])
        for key, item in found.items():
            if before.get(key, {}).get("metadata", {}).get("resourceVersion") != item["metadata"]["resourceVersion"]:
                self._on_change(item)
        return version

    async def _watch(self, version: str) -> str:
        async for kind, item in self._api.watch(self._path, version, labelSelector=self._selector):
            version = item["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self._objects.pop(_key(item), None)
                self._on_delete(item)
            elif kind != "BOOKMARK":
                self._objects[_key(item)] = _without_field_owners(item)
                self._on_change(item)
        return version


def _without_field_owners(item: Object) -> Object:
    """Remove `managedFields`: half of an object, and not needed here."""
    item["metadata"].pop("managedFields", None)
    return item


def _key(item: Object) -> Key:
    metadata: dict[str, Any] = item["metadata"]
    return metadata["namespace"], metadata["name"]
