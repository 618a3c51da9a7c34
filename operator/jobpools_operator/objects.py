"""The registry: one record for each WorkerPool and CronJobSpec that the API server has."""

from collections.abc import Iterator
from dataclasses import dataclass

from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.specs import Schedule
from jobpools_operator.endpoint import Endpoint
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.statuses import Status

Managed = Pool | Schedule
"""An object with its spec, which is valid."""


def kind_of(managed: Managed) -> Kind:
    """Return the object's kind."""
    return Kind.POOL if isinstance(managed, Pool) else Kind.SCHEDULE


@dataclass(slots=True)
class Record:
    """Everything that the operator knows about one object."""

    meta: Meta
    managed: Managed | None = None
    """The object with its spec; None: its spec is invalid."""
    rejection: Status | None = None
    """The status that says why the spec is invalid; None: it is valid."""
    endpoint: Endpoint | None = None
    """The endpoint that has its jobs; None: not known yet, the spec is invalid, or this operator does not lead."""


class Registry:
    """All objects, by id."""

    def __init__(self) -> None:
        self._records: dict[ObjectId, Record] = {}

    def get(self, object_id: ObjectId) -> Record | None:
        """Return the object's record; None: the object does not exist."""
        return self._records.get(object_id)

    def add(self, object_id: ObjectId, meta: Meta) -> Record:
        """Return the object's record, a new one if there is none."""
        return self._records.setdefault(object_id, Record(meta))

    def remove(self, object_id: ObjectId) -> Record | None:
        """Remove and return the object's record, if there is one."""
        return self._records.pop(object_id, None)

    def items(self) -> Iterator[tuple[ObjectId, Record]]:
        """Return all records, as they are now: the registry may change during the iteration."""
        return iter(list(self._records.items()))

    def values(self) -> Iterator[Record]:
        """Return all records, as they are now."""
        return iter(list(self._records.values()))

    def count_valid(self, kind: Kind) -> int:
        """Return the number of objects of this kind whose spec is valid."""
        return sum(1 for each, record in self._records.items() if each.kind is kind and record.managed is not None)

    def count_invalid(self) -> int:
        """Return the number of objects whose spec is invalid."""
        return sum(1 for record in self._records.values() if record.managed is None)
