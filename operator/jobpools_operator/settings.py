"""The operator's settings. They come from environment variables, which the chart sets."""

import socket
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jobpools.core.configuration.resolution import Facts, resolve
from jobpools.core.configuration.settings_table import OPERATOR_SETTINGS

_DEFAULTS = {setting.name: setting.default for setting in OPERATOR_SETTINGS}


class OperatorSettings(BaseModel):
    """The settings of an operator process; the table `OPERATOR_SETTINGS` describes each of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    redis_url: str = _DEFAULTS["redis_url"]
    namespaces: tuple[str, ...] = _DEFAULTS["namespaces"]
    lease_name: str = _DEFAULTS["lease_name"]
    lease_namespace: str = _DEFAULTS["lease_namespace"]
    identity: str = Field(default_factory=socket.gethostname, min_length=1)
    probe_port: int = Field(default=_DEFAULTS["probe_port"], ge=0, le=65535)
    log: Literal["text", "json"] = _DEFAULTS["log"]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "OperatorSettings":
        """Return the settings that these variables give. Raises SettingsError, which lists all that are invalid."""
        return resolve(Facts({}, environ, table=OPERATOR_SETTINGS), cls).settings
