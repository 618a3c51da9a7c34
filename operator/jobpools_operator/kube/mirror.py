"""A copy of the cluster's objects of one kind, kept by list and watch; what cannot be kept is said to be unknown."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from jobpools.errors import ObservationError
from jobpools_operator.kube.client import Api, ApiError, Object

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
BETWEEN = 0.1
"""Seconds between the server's end of a watch and the next one."""
STALE_AFTER = 30.0
"""Seconds without a working watch after which the copy is no longer taken for the truth."""

log = logging.getLogger("jobpools.operator")
Key = tuple[str, str]


class Mirror:
    """All objects of a path that a label selector finds, by (namespace, name)."""

    def __init__(  # what to watch, by which clock, and whom to tell
        self,
        api: Api,
        path: str,
        selector: str,
        clock: Callable[[], float],
        changed: Callable[[Object], None],
        deleted: Callable[[Object], None],
    ) -> None:
        """`clock`: monotonic seconds. `changed` and `deleted` are told of each object that came, changed, went."""
        self._api, self._path, self._selector, self._clock = api, path, selector, clock
        self._changed, self._deleted = changed, deleted
        self.objects: dict[Key, Object] = {}
        self._broken_since: float | None = clock()
        self._listed = asyncio.Event()

    @property
    def listed(self) -> bool:
        """The first list has come."""
        return self._listed.is_set()

    async def ready(self) -> None:
        """Wait for the first list."""
        await self._listed.wait()

    def check(self) -> None:
        """Raises ObservationError when the copy may be old: what it lacks is unknown, not gone."""
        if not self._listed.is_set():
            raise ObservationError(f"{self._path} has not been listed yet")
        if self._broken_since is not None and self._clock() - self._broken_since > STALE_AFTER:
            raise ObservationError(f"{self._path} could not be watched for {self._clock() - self._broken_since:.0f} s")

    async def run(self) -> None:
        """List, then watch, for ever; list anew when the watch cannot go on."""
        pause = FIRST_PAUSE
        while True:
            try:
                version = await self._list()
                pause = FIRST_PAUSE
                while True:
                    version = await self._watch(version)
                    await asyncio.sleep(BETWEEN)
            except ApiError as error:
                if self._broken_since is None:
                    self._broken_since = self._clock()
                if not error.expired:
                    log.warning("%s; again in %.1f s", error, pause)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)

    async def _list(self) -> str:
        items, version = await self._api.list(self._path, labelSelector=self._selector)
        found = {_key(item): _slim(item) for item in items}
        before, self.objects = self.objects, found
        self._broken_since = None
        self._listed.set()
        for key in before.keys() - found.keys():
            self._deleted(before[key])
        for key, item in found.items():
            if before.get(key, {}).get("metadata", {}).get("resourceVersion") != item["metadata"]["resourceVersion"]:
                self._changed(item)
        return version

    async def _watch(self, version: str) -> str:
        async for kind, item in self._api.watch(self._path, version, labelSelector=self._selector):
            version = item["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self.objects.pop(_key(item), None)
                self._deleted(item)
            elif kind != "BOOKMARK":
                self.objects[_key(item)] = _slim(item)
                self._changed(item)
        return version


def _slim(item: Object) -> Object:
    """Without the list of who wrote what, which is half of an object and read by nobody here."""
    item["metadata"].pop("managedFields", None)
    return item


def _key(item: Object) -> Key:
    metadata: dict[str, Any] = item["metadata"]
    return metadata["namespace"], metadata["name"]
