"""Reads the Secret that a `spec.redis` names. Secrets are read by name, and never listed or watched."""

import base64
import binascii
from collections.abc import Callable

from jobpools.core.objects import SecretKeyRef
from jobpools.errors import ObservationError
from jobpools_operator.kube.client import CORE_API, Api, ApiError, Object, path_of

CACHE_SECONDS = 240.0
"""Seconds for which a value is used without another read."""
RETRY_AFTER = 2.0
"""Seconds until a Secret that could not be read is read again. Until then all its pools get the same error."""


class CachedSecrets:
    """Reads values of Secrets, with a cache."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        """Begin with an empty cache. `clock`: monotonic seconds."""
        self._api, self._clock = api, clock
        self._found: dict[tuple[str, str, str], tuple[float, str]] = {}
        """By namespace, name and key: when the value was read, and the value."""
        self._failed: dict[str, tuple[float, ApiError]] = {}
        """By path: when the latest read failed, and why."""

    async def value(self, namespace: str, ref: SecretKeyRef) -> str:
        """Return the key's text. Raises ObservationError, whose message shows nothing of the Secret's contents."""
        key = (namespace, ref.name, ref.key)
        at, text = self._found.get(key, (0.0, ""))
        if text and self._clock() - at < CACHE_SECONDS:
            return text
        found = await self._get(path_of(CORE_API, namespace, "secrets", ref.name))
        try:
            text = base64.b64decode(found.get("data", {})[ref.key]).decode().strip()
        except KeyError:
            raise ObservationError(
                f"Secret {namespace}/{ref.name}: key {ref.key} does not exist; add it or correct secretKeyRef.key"
            ) from None
        except (binascii.Error, UnicodeDecodeError):
            raise ObservationError(
                f"Secret {namespace}/{ref.name}: key {ref.key} is not UTF-8 text; store a Redis URL in it"
            ) from None
        self._found[key] = (self._clock(), text)
        return text

    async def _get(self, path: str) -> Object:
        at, error = self._failed.get(path, (float("-inf"), None))
        if error is not None and self._clock() - at < RETRY_AFTER:
            raise error.copy()
        self._failed.pop(path, None)
        try:
            return await self._api.get(path)
        except ApiError as failure:
            self._failed[path] = (self._clock(), failure)
            raise
