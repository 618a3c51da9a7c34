"""Logs events and records them at the API server, within the limit of writes."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable

from jobpools.core.events import Event
from jobpools.core.objects import API_VERSION, Meta
from jobpools.core.text.timestamps import timestamp
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.kube.client import CORE_API, Api, ApiError, Object, path_of
from jobpools_operator.kube.rate_limit import TokenBucket

MAX_WAITING = 1000
"""Maximum number of events that wait to be recorded; the oldest are dropped."""
REPEAT_AFTER = 60.0
"""Seconds for which an event with the same reason is not repeated for the same object."""
INTERVAL = 0.5
"""Seconds between two checks for events to record."""
MESSAGE_LIMIT = 1024
"""Maximum characters of a message; the API server refuses longer ones."""

log = logging.getLogger("jobpools.operator")


class EventRecorder:
    """Logs events and records them at the API server."""

    def __init__(self, api: Api, identity: str, bucket: TokenBucket, clock: Callable[[], float]) -> None:
        """Begin without events. `identity`: this process, as the Lease names it. `clock`: monotonic seconds."""
        self._api, self._identity, self._bucket, self._clock = api, identity, bucket, clock
        self._waiting: deque[Object] = deque(maxlen=MAX_WAITING)
        self._recorded_at: dict[tuple[ObjectId, str], float] = {}
        """By object and reason: when an event was last recorded."""
        self._clean_at = clock()
        """When old items of `_recorded_at` are dropped next. That reads all items, so it is not done at each event."""

    def record(self, kind: Kind, meta: Meta, event: Event) -> None:
        """Log the event and record it later, unless the object had one with this reason within REPEAT_AFTER."""
        now, key = self._clock(), (ObjectId.of(kind, meta), event.reason)
        if now >= self._clean_at:
            self._recorded_at = {each: at for each, at in self._recorded_at.items() if now - at < REPEAT_AFTER}
            self._clean_at = now + REPEAT_AFTER
        if now - self._recorded_at.get(key, -math.inf) >= REPEAT_AFTER:
            self._recorded_at[key] = now
            level = logging.WARNING if event.warning else logging.INFO
            log.log(level, "%s %s: %s", meta.key, event.reason, event.message)
            self._waiting.append(self._body(kind, meta, event))

    async def run(self) -> None:
        """Record waiting events, until cancelled. An event that cannot be recorded is dropped: it was logged."""
        while True:
            while self._waiting:
                body = self._waiting.popleft()
                await asyncio.sleep(self._bucket.take())
                try:
                    await self._api.create(path_of(CORE_API, body["metadata"]["namespace"], "events"), body)
                except ApiError as error:
                    if not (
                        error.is_missing or error.is_namespace_terminating
                    ):  # the namespace is gone, or being deleted
                        log.warning("an event could not be recorded: %s", error)
            await asyncio.sleep(INTERVAL)

    def _body(self, kind: Kind, meta: Meta, event: Event) -> Object:
        now = timestamp(time.time())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta.name}.", "namespace": meta.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": str(kind),
                "name": meta.name,
                "namespace": meta.namespace,
                "uid": meta.uid,
            },
            "reason": event.reason,
            "message": event.message[:MESSAGE_LIMIT],
            "type": "Warning" if event.warning else "Normal",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "jobpools-operator", "host": self._identity},
            "reportingComponent": "jobpools.dev/operator",
            "reportingInstance": self._identity,
        }
