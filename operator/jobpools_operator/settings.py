"""What the operator is told by its environment: the only place that knows the names of the variables."""

import socket
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobpools.errors import ConfigurationError
from jobpools.settings import DEFAULT_REDIS_URL, REDIS_URL

_VARIABLES = {
    "redis_url": REDIS_URL,
    "namespaces": "JOBPOOLS_NAMESPACES",
    "lease_name": "JOBPOOLS_LEASE_NAME",
    "lease_namespace": "JOBPOOLS_LEASE_NAMESPACE",
    "identity": "JOBPOOLS_IDENTITY",
    "probe_port": "JOBPOOLS_PROBE_PORT",
    "log": "JOBPOOLS_LOG",
}


class OperatorSettings(BaseModel):
    """All that an operator process needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    redis_url: str = DEFAULT_REDIS_URL
    """The Redis of every pool and schedule without a `spec.redis` of its own."""
    namespaces: tuple[str, ...] = ()
    """Which namespaces to look after (in the variable: separated by commas); none: all of the cluster."""
    lease_name: str = "jobpools-operator"
    """The Lease that the leader holds."""
    lease_namespace: str = "default"
    """Where that Lease is."""
    identity: str = Field(default_factory=socket.gethostname, min_length=1)
    """Who this process is in the Lease: the pod's name."""
    probe_port: int = Field(default=8080, ge=0, le=65535)
    """Where /livez, /readyz and /metrics are served; 0: nowhere."""
    log: Literal["text", "json"] = "text"
    """The form of the log on stderr."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "OperatorSettings":
        """Raises ConfigurationError with the variable's name and what is wrong with it."""
        values: dict[str, Any] = {
            field: environ[variable] for field, variable in _VARIABLES.items() if environ.get(variable)
        }
        if "namespaces" in values:
            values["namespaces"] = tuple(filter(None, (each.strip() for each in values["namespaces"].split(","))))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            variable = _VARIABLES.get(str(first["loc"][0]), "settings")
            raise ConfigurationError(f"{variable}: {first['msg']}, not {first['input']!r}") from error
