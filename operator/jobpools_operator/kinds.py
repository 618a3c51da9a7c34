"""The two kinds of objects that the operator manages, and the identity of an object."""

from enum import StrEnum
from typing import NamedTuple

from jobpools.core.objects import Meta


class Kind(StrEnum):
    """A kind of object, by its name in Kubernetes."""

    POOL = "WorkerPool"
    SCHEDULE = "CronJobSpec"

    @property
    def plural(self) -> str:
        """The name in paths of the API server, such as `workerpools`."""
        return f"{self.value.lower()}s"


class ObjectId(NamedTuple):
    """The identity of an object: its kind and its `namespace/name`."""

    kind: Kind
    key: str

    @classmethod
    def of(cls, kind: Kind, meta: Meta) -> "ObjectId":
        """Return the id of the object with this metadata."""
        return cls(kind, meta.key)

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        """The object's name in its namespace."""
        return self.key.partition("/")[2]

    def __str__(self) -> str:
        """Return the identity as log lines show it, such as `WorkerPool shop/emails`."""
        return f"{self.kind} {self.key}"
