"""Who tells people through Kubernetes: status on change only, events once, and never more than a budget of writes."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from jobpools.core.objects import API_VERSION, Meta
from jobpools.core.pools.plan import Event, Plan
from jobpools.core.pools.specs import Pool
from jobpools.core.pools.status import coarse
from jobpools_operator.kube.client import CORE, OURS, Api, ApiError, Object, path_of
from jobpools_operator.workqueue import Workqueue

REPORTER = "jobpools-status"
SOON, LATER = 2.0, 15.0
"""Seconds between two writes of a pool whose counts of workers changed; and of one whose depth or rates changed."""
RATE, BURST = 20.0, 30.0
"""Writes a second for all objects together, and how many at once."""
SOON_FIELDS = (
    "replicas", "readyReplicas", "busy", "selector", "observedGeneration", "active", "fired", "missed", "lastJob",
)  # fmt: skip
QUIET = 1e9
MOST_EVENTS = 1000
"""How many may wait; the oldest go unwritten."""
AGAIN_AFTER = 60.0
"""Seconds for which the same reason is not told again of the same object."""
EVENTS_EVERY = 0.5
AFTER_FAILURE = 5.0
"""Seconds until a status that could not be written is tried again."""

log = logging.getLogger("jobpools.operator")
Clock = Callable[[], float]


def urgency(old: Object, new: Object) -> float:
    """Seconds that must lie between the last write and this one; QUIET: nothing changed that is worth one.

    Conditions and whether anything is queued at all are told at once or soon; a count alone waits, and goes by steps.
    """
    if old == new:
        return QUIET
    rough_old, rough_new = coarse(old), coarse(new)
    if rough_old == rough_new:
        return QUIET
    if rough_old["conditions"] != rough_new["conditions"]:
        return 0.0
    if any(rough_old.get(name) != rough_new.get(name) for name in SOON_FIELDS):
        return SOON
    return SOON if bool(old.get("queued")) != bool(new.get("queued")) else LATER


class Bucket:
    """A token bucket."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._tokens, self._at = clock, BURST, clock()

    def wait(self) -> float:
        """Take a token; seconds until it counts."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / RATE)


class KubeReporter:
    """Writes status and events; the latest status of each object wins while it waits for its turn."""

    def __init__(self, api: Api, identity: str, clock: Clock) -> None:
        """`clock`: monotonic seconds."""
        self._api, self._identity, self._clock = api, identity, clock
        self._written: dict[str, tuple[float, Object]] = {}
        self._waiting: dict[str, tuple[str, Meta, Object]] = {}
        """By plural and key: where to write, and what."""
        self._newer: dict[str, tuple[str, Meta, Object] | None] = {}
        """By key whose write runs: the status that was put meanwhile, if any. It is judged by how that write ends."""
        self._due = Workqueue()
        """The same keys, and when to write each."""
        self._bucket = Bucket(clock)
        self._events: deque[Object] = deque(maxlen=MOST_EVENTS)
        self._not_before: dict[str, float] = {}
        self._told: dict[tuple[str, str, str], float] = {}
        self._told_until = clock()
        """When stale items of `_told` are next dropped: at each event that would cost as much as all of them."""
        self._more = asyncio.Event()
        self.writes = 0
        """Statuses written since the start."""

    def knows(self, plural: str, meta: Meta) -> bool:
        """This object's status is known, from reading or from writing it."""
        return f"{plural}/{meta.key}" in self._written

    def known(self, plural: str, meta: Meta, status: Object) -> None:
        """What the object says already: an unchanged status costs no write."""
        self._written[f"{plural}/{meta.key}"] = (-LATER, status)

    def forget(self, plural: str, meta: Meta) -> None:
        """The object is gone."""
        key = f"{plural}/{meta.key}"
        for table in (self._written, self._waiting, self._not_before, self._newer):
            table.pop(key, None)
        self._due.discard(key)

    async def report(self, pool: Pool, plan: Plan) -> None:
        """The port's one method; it only takes note, `run` writes."""
        self.put("workerpools", pool.meta, plan.status)
        for event in plan.events:
            self.event("WorkerPool", pool.meta, event)

    def put(self, plural: str, meta: Meta, status: Object) -> None:
        """Write this status when it is due."""
        key = f"{plural}/{meta.key}"
        if key in self._newer:
            # Not compared with the status before: that may be what the object says no more in a moment.
            self._newer[key] = (plural, meta, status)
            return
        at, old = self._written.get(key, (-QUIET, {}))
        # A write that failed may have arrived: what the object says is unknown.
        gap = 0.0 if key in self._not_before else urgency(old, status)
        if gap >= QUIET:
            self._waiting.pop(key, None)
            self._due.discard(key)
        else:
            self._waiting[key] = (plural, meta, status)
            self._due.put(key, max(at + gap, self._not_before.get(key, 0.0)))
            self._more.set()

    def event(self, kind: str, meta: Meta, event: Event) -> None:
        """Say it, in the log and as an Event; the same of the same object not again within AGAIN_AFTER."""
        now, key = self._clock(), (kind, meta.key, event.reason)
        if now >= self._told_until:
            self._told = {each: at for each, at in self._told.items() if now - at < AGAIN_AFTER}
            self._told_until = now + AGAIN_AFTER
        if now - self._told.get(key, -QUIET) >= AGAIN_AFTER:
            self._told[key] = now
            level = logging.WARNING if event.warning else logging.INFO
            log.log(level, "%s %s: %s", meta.key, event.reason, event.message)
            self._events.append(self._event(kind, meta, event))
            self._more.set()

    async def run(self) -> None:
        """Write what is due, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_events())
                group.create_task(self._run_statuses())
        finally:
            self._due.clear()
            # Crash window: a write that was cut off may have arrived. The next term writes its first status anyway.
            self._not_before |= dict.fromkeys(self._newer, 0.0)
            self._newer.clear()
            self._waiting.clear()  # the next leader says how it is; what we say before our next term is kept for it

    async def _run_statuses(self) -> None:
        while True:
            if keys := self._due.take(self._clock(), 1):
                await asyncio.sleep(self._bucket.wait())
                await self._write(*keys)
                continue
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(QUIET, self._due.next_at() - self._clock())):
                    await self._more.wait()

    async def _run_events(self) -> None:
        """One that cannot be written is only logged."""
        while True:
            while self._events:
                body = self._events.popleft()
                await asyncio.sleep(self._bucket.wait())
                try:
                    await self._api.create(path_of(CORE, body["metadata"]["namespace"], "events"), body)
                except ApiError as error:
                    if not (error.missing or error.leaving):  # the namespace is gone, or going
                        log.warning("event: %s", error)
            await asyncio.sleep(EVENTS_EVERY)

    async def _write(self, key: str) -> None:
        if key not in self._waiting:
            return  # forgotten while the bucket was empty
        self._due.discard(key)  # the status that was put meanwhile is the one that is written now
        plural, meta, status = self._waiting.pop(key)
        old = self._written.get(key, (0.0, {}))[1]
        gone = dict.fromkeys(old.keys() - status.keys())  # a figure that is not known any more is taken away
        path = path_of(OURS, meta.namespace, plural, meta.name, "status")
        self._newer[key] = None
        try:
            await self._api.merge(path, {"status": status | gone}, REPORTER)
        except ApiError as error:
            self._failed(key, (plural, meta, status), error)
            return
        self.writes += 1
        if key in self._newer:  # else the object was forgotten meanwhile
            self._not_before.pop(key, None)
            self._written[key] = (self._clock(), status)
            if newer := self._newer.pop(key):
                self.put(*newer)

    def _failed(self, key: str, tried: tuple[str, Meta, Object], error: ApiError) -> None:
        """Write the latest status again later, unless the object is gone."""
        if error.missing:
            self._newer.pop(key, None)
            self._written.pop(key, None)
            return
        log.warning("status: %s", error)
        if key in self._newer:
            self._not_before[key] = self._clock() + AFTER_FAILURE
            self.put(*(self._newer.pop(key) or tried))

    def _event(self, kind: str, meta: Meta, event: Event) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta.name}.", "namespace": meta.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": kind,
                "name": meta.name,
                "namespace": meta.namespace,
                "uid": meta.uid,
            },
            "reason": event.reason,
            "message": event.message[:1024],
            "type": "Warning" if event.warning else "Normal",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "jobpools-operator", "host": self._identity},
            "reportingComponent": "jobpools.dev/operator",
            "reportingInstance": self._identity,
        }
