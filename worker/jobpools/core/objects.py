"""Parts that both kinds of objects share: the API group, metadata, and the choice of a Redis."""

from pydantic import Field, model_validator

from jobpools.core.schema import Model
from jobpools.core.text.names import NAME_PATTERN

GROUP = "jobpools.dev"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
NAME_LIMIT = 47
"""Maximum characters of a name: pods are named after the pool, and their suffix takes 16 of the 63 characters."""


class SecretKeyRef(Model):
    """One key of a Secret in the object's own namespace."""

    name: str = Field(min_length=1)
    """Name of the Secret."""
    key: str = Field(min_length=1)
    """Key of the Secret whose value is the URL."""


class RedisRef(Model):
    """A Redis or Valkey, given by exactly one of `url` and `secretKeyRef`."""

    url: str | None = Field(default=None, min_length=1)
    """URL: `redis://`, `rediss://` (TLS), `redis+sentinel://` or `redis+cluster://`."""
    secret_key_ref: SecretKeyRef | None = None
    """Secret that holds the URL."""

    @model_validator(mode="after")
    def _check_one(self) -> "RedisRef":
        if (self.url is None) == (self.secret_key_ref is None):
            raise ValueError("set exactly one of url and secretKeyRef")
        return self


class Meta(Model):
    """Identity of an object: its name, namespace, uid and the generation of its spec."""

    name: str = Field(pattern=NAME_PATTERN, max_length=NAME_LIMIT)
    namespace: str = Field(default="default", pattern=NAME_PATTERN, max_length=63)
    uid: str = ""
    generation: int = 0

    @property
    def key(self) -> str:
        """Key of the object in Redis, in logs and in metrics: `namespace/name`."""
        return f"{self.namespace}/{self.name}"
