"""The URL in a Secret that a pool names: read by its name, never listed or watched."""

import base64
import binascii
from collections.abc import Callable

from jobpools.core.specs import SecretKeyRef
from jobpools.errors import ObservationError
from jobpools_operator.kube.client import CORE, Api, path_of

KEPT = 240.0
"""Seconds for which a value is not read again."""


class Secrets:
    """Values of Secrets, kept for a while."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._api, self._clock = api, clock
        self._found: dict[tuple[str, str, str], tuple[float, str]] = {}

    async def value(self, namespace: str, ref: SecretKeyRef) -> str:
        """The key's text. Raises ObservationError, without any of the Secret's contents."""
        place = (namespace, ref.name, ref.key)
        at, text = self._found.get(place, (0.0, ""))
        if text and self._clock() - at < KEPT:
            return text
        found = await self._api.get(path_of(CORE, namespace, "secrets", ref.name))
        try:
            text = base64.b64decode(found.get("data", {})[ref.key]).decode().strip()
        except KeyError:
            raise ObservationError(f"Secret {namespace}/{ref.name} has no key {ref.key}") from None
        except (binascii.Error, UnicodeDecodeError):
            raise ObservationError(f"Secret {namespace}/{ref.name}: {ref.key} is not text") from None
        self._found[place] = (self._clock(), text)
        return text
