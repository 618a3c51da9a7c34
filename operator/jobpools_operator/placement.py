"""Decides which Redis endpoint has an object's jobs: looks up its URL, then decides whether the object moves there."""

from dataclasses import dataclass
from typing import Protocol

from jobpools.core.objects import RedisRef, SecretKeyRef

RETRY_AFTER = 5.0
"""Seconds until an object whose Secret could not be read is placed again."""
CHECK_SECRET_AFTER = 300.0
"""Seconds after which a Secret that holds a URL is read again: the maximum until a new password is in use."""


class SecretReader(Protocol):
    """Reads one key of a Secret."""

    async def value(self, namespace: str, ref: SecretKeyRef) -> str:
        """Return the key's text. Raises ObservationError when it cannot be read."""
        ...


class RedisUrls:
    """The URL of each object's Redis."""

    def __init__(self, secrets: SecretReader, default: str) -> None:
        """Look URLs up with `secrets`. `default`: the URL for objects without a `spec.redis`, which the chart sets."""
        self._secrets, self._default = secrets, default

    async def of(self, namespace: str, redis: RedisRef | None) -> str:
        """Return the URL. Raises ObservationError when it is in a Secret that cannot be read."""
        if redis is not None and redis.secret_key_ref is not None:
            return await self._secrets.value(namespace, redis.secret_key_ref)
        return (redis.url if redis is not None else None) or self._default


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of looking up an object's URL."""

    url: str | None
    """None: it is not known."""
    problem: str = ""
    """Why the URL is not known."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A decision about an object's endpoint."""

    url: str | None = None
    """The endpoint that the object belongs on; None: leave the object where it is."""
    problem: str = ""
    """Why the object cannot be placed, for its status."""
    check_after: float | None = None
    """Seconds until the URL is looked up again; None: only when the object changes."""


def decide_placement(lookup: Lookup, *, is_placed: bool, reads_secret: bool) -> Placement:
    """Decide what to do about an object's endpoint.

    Args:
        lookup: The result of the latest lookup.
        is_placed: The object is on an endpoint already.
        reads_secret: The URL is in a Secret, which may change while the object does not.
    """
    if lookup.url is not None:
        return Placement(lookup.url, check_after=CHECK_SECRET_AFTER if reads_secret else None)
    # The URL is unknown, which does not mean that it changed: a placed object stays on its endpoint.
    return Placement(problem="" if is_placed else lookup.problem, check_after=RETRY_AFTER)
