"""The operator's settings, read from environment variables. Only this module knows the variables' names."""

import socket
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobpools.core.text.validation import explain
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
    """The settings of an operator process."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    redis_url: str = DEFAULT_REDIS_URL
    """Redis of every pool and schedule without a `spec.redis`."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to manage, separated by commas in the variable; empty: all namespaces."""
    lease_name: str = "jobpools-operator"
    """Name of the Lease that the leader holds."""
    lease_namespace: str = "default"
    """Namespace of that Lease."""
    identity: str = Field(default_factory=socket.gethostname, min_length=1)
    """Name of this process in the Lease. Default: the host name, which is the pod's name."""
    probe_port: int = Field(default=8080, ge=0, le=65535)
    """Port of /livez, /readyz and /metrics; 0: they are not served."""
    log: Literal["text", "json"] = "text"
    """Format of the log on stderr."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "OperatorSettings":
        """Return the settings that these variables give. Raises ConfigurationError, which names the variable."""
        values: dict[str, Any] = {
            field: environ[variable] for field, variable in _VARIABLES.items() if environ.get(variable)
        }
        if "namespaces" in values:
            names = (each.strip() for each in environ[_VARIABLES["namespaces"]].split(","))
            values["namespaces"] = tuple(filter(None, names))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            variable = _VARIABLES.get(str(first["loc"][0]), "settings")
            raise ConfigurationError(f"{variable}: {explain(first)}") from error
