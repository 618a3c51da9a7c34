"""The statuses of all objects: what was reported last, what the API server has, and when the next write is due.

Only this module decides when a status is worth a write; `kube/status_writer.py` writes it.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobpools.control.workqueue import DelayQueue
from jobpools.core.pools.rounding import round_status
from jobpools_operator.kinds import Kind, ObjectId

Status = dict[str, Any]

COUNTS_INTERVAL = 2.0
"""Minimum seconds between two writes of an object's status when only figures in COUNT_FIELDS changed."""
DEPTH_INTERVAL = 15.0
"""Minimum seconds between two writes of an object's status when only depth, age or rates changed."""
RETRY_AFTER = 5.0
"""Seconds until a status that could not be written is tried again."""
NO_WRITE = math.inf
"""The interval of a change that is not worth a write."""
COUNT_FIELDS = (
    "replicas", "readyReplicas", "busy", "selector", "observedGeneration", "active", "fired", "missed", "lastJob",
)  # fmt: skip
"""Fields of a status that are written within COUNTS_INTERVAL: counts, and fields that change as rarely."""

log = logging.getLogger("jobpools.operator")


def write_interval(old: Status, new: Status) -> float:
    """Return the minimum seconds between the write of `old` and that of `new`.

    Conditions are written at once, counts within seconds, depth and rates rarely and only when they reach another step.
    """
    if old == new:
        return NO_WRITE
    coarse_old, coarse_new = round_status(old), round_status(new)
    if coarse_old == coarse_new:
        return NO_WRITE
    if coarse_old["conditions"] != coarse_new["conditions"]:
        return 0.0
    if any(coarse_old.get(name) != coarse_new.get(name) for name in COUNT_FIELDS):
        return COUNTS_INTERVAL
    return COUNTS_INTERVAL if bool(old.get("queued")) != bool(new.get("queued")) else DEPTH_INTERVAL


@dataclass(slots=True)
class _Record:
    """The statuses of one object."""

    reported: Status | None = None
    """What the last pass reported; before the first pass, what the API server had."""
    written: Status | None = None
    """The status that the API server has, as last read or written; None: unknown."""
    written_at: float = -math.inf
    """When it was written; minus infinity: it was only read, so that the next status may be written at once."""
    pending: Status | None = None
    """The next status to write, if any."""
    writing: Status | None = None
    """The status of the write that is under way, if any."""
    newer: Status | None = None
    """The status that was put while a write is under way; it is compared with what that write leaves."""
    retry_at: float | None = None
    """When to write again: the last write failed, but the API server may have it; None: it did not fail."""


@dataclass(frozen=True, slots=True)
class Write:
    """A status to write now."""

    id: ObjectId
    record: _Record
    status: Status
    body: Status
    """The status as a JSON merge patch: figures that are no longer known are removed."""


class Statuses:
    """The statuses of all objects. While a status waits to be written, a newer one of its object replaces it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin without any status. `clock`: monotonic seconds."""
        self._clock = clock
        self._records: dict[ObjectId, _Record] = {}
        self._due: DelayQueue[ObjectId] = DelayQueue(clock)

    def is_known(self, object_id: ObjectId) -> bool:
        """Return whether it is known which status the API server has."""
        record = self._records.get(object_id)
        return record is not None and record.written is not None

    def observe(self, object_id: ObjectId, status: Status) -> None:
        """Note the status that the API server has. An equal one is not written again."""
        record = self._record(object_id)
        record.reported = record.written = status
        record.written_at = -math.inf

    def report(self, object_id: ObjectId, status: Status) -> None:
        """Note the status that a pass reported, and write it when it is due."""
        self._record(object_id).reported = status
        self.put(object_id, status)

    def reported(self, object_id: ObjectId) -> Status | None:
        """Return what the last pass reported; before the first pass, what the API server had."""
        record = self._records.get(object_id)
        return None if record is None else record.reported

    def of_kind(self, kind: Kind) -> "ReportedStatuses":
        """Return the reported statuses of this kind, by `namespace/name`."""
        return ReportedStatuses(self, kind)

    def put(self, object_id: ObjectId, status: Status) -> None:
        """Write this status when it is due. Passes do not read it: it is not noted as reported."""
        record = self._record(object_id)
        if record.writing is not None:
            # Not compared with `written`: the write under way is about to change that.
            record.newer = status
            return
        interval = 0.0 if record.retry_at is not None else write_interval(record.written or {}, status)
        if interval == NO_WRITE:
            record.pending = None
            self._due.discard(object_id)
        else:
            record.pending = status
            at = max(record.written_at + interval, record.retry_at or 0.0, 0.0)
            self._due.put(object_id, at)

    def forget(self, object_id: ObjectId) -> None:
        """Drop everything that is known of a deleted object."""
        self._records.pop(object_id, None)
        self._due.discard(object_id)

    async def next_due(self) -> ObjectId:
        """Wait until a status is due; return its object."""
        (object_id,) = await self._due.next_due(1)
        return object_id

    def begin_write(self, object_id: ObjectId) -> Write | None:
        """Return the object's latest status, to be written now; None: nothing is left to write."""
        record = self._records.get(object_id)
        if record is None or record.pending is None:
            return None  # since it became due, the object was forgotten, or its status became the written one again
        self._due.discard(object_id)
        status, record.pending = record.pending, None
        record.writing = status
        unknown = dict.fromkeys((record.written or {}).keys() - status.keys())
        return Write(object_id, record, status, status | unknown)

    def end_write(self, write: Write) -> None:
        """Note that the status was written."""
        record = write.record
        record.retry_at, record.written, record.written_at = None, write.status, self._clock()
        self._put_next(write, record.newer)

    def fail_write(self, write: Write, *, is_missing: bool) -> None:
        """Note that the status could not be written. `is_missing`: the object does not exist."""
        record = write.record
        if is_missing:
            record.written = record.writing = record.newer = None
            record.written_at = -math.inf
            return
        record.retry_at = self._clock() + RETRY_AFTER
        self._put_next(write, record.newer or write.status)

    def _put_next(self, write: Write, status: Status | None) -> None:
        """End the write, and put the status that follows it."""
        write.record.writing = write.record.newer = None
        if status is not None and self._records.get(write.id) is write.record:  # otherwise it was forgotten meanwhile
            self.put(write.id, status)

    def end_term(self) -> None:
        """Drop what was not written: the next leader writes its own statuses.

        A status that is put from here on waits for this operator's next term.
        """
        self._due.clear()
        for record in self._records.values():
            if record.writing is not None:
                # Crash window: a write that was cancelled may have arrived. The next term writes its first status.
                record.retry_at = 0.0
            record.pending = record.writing = record.newer = None

    def _record(self, object_id: ObjectId) -> _Record:
        return self._records.setdefault(object_id, _Record())

    def ids(self) -> Iterator[ObjectId]:
        """Return the ids of all objects of which something is known."""
        return iter(self._records)


class ReportedStatuses(Mapping[str, Status]):
    """The statuses of one kind that passes reported last, by `namespace/name`. A view of `Statuses`."""

    def __init__(self, statuses: Statuses, kind: Kind) -> None:
        self._statuses, self._kind = statuses, kind

    def __getitem__(self, key: str) -> Status:
        status = self._statuses.reported(ObjectId(self._kind, key))
        if status is None:
            raise KeyError(key)
        return status

    def __iter__(self) -> Iterator[str]:
        return (each.key for each in self._statuses.ids() if each.kind is self._kind)

    def __len__(self) -> int:
        return sum(1 for _ in self)
