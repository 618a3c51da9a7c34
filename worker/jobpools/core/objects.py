"""What both kinds of objects share: the API group, metadata, and the choice of a Redis."""

from pydantic import Field, model_validator

from jobpools.core.schema import Model
from jobpools.core.text.names import NAME_PATTERN

GROUP = "jobpools.dev"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
NAME_LIMIT = 47
"""Pods derive their names from the pool's; a Deployment's pod suffix takes 16 of the 63 characters."""


class SecretKeyRef(Model):
    """One key of a Secret in the object's own namespace."""

    name: str = Field(min_length=1)
    """The Secret's name."""
    key: str = Field(min_length=1)
    """The key whose value is the URL."""


class RedisRef(Model):
    """Which Redis or Valkey; exactly one of the two."""

    url: str | None = Field(default=None, min_length=1)
    """redis://, rediss:// (TLS), redis+sentinel:// or redis+cluster://."""
    secret_key_ref: SecretKeyRef | None = None
    """A Secret that holds the URL."""

    @model_validator(mode="after")
    def _one(self) -> "RedisRef":
        if (self.url is None) == (self.secret_key_ref is None):
            raise ValueError("give exactly one of url and secretKeyRef")
        return self


class Meta(Model):
    """Whose spec it is."""

    name: str = Field(pattern=NAME_PATTERN, max_length=NAME_LIMIT)
    namespace: str = Field(default="default", pattern=NAME_PATTERN, max_length=63)
    uid: str = ""
    generation: int = 0

    @property
    def key(self) -> str:
        """`namespace/name`: how a pool is called in Redis, in logs and in metrics."""
        return f"{self.namespace}/{self.name}"
