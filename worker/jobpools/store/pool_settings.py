"""The settings of a pool's workers in Redis: those that a running worker can change."""

from collections.abc import Mapping

import msgspec

from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.connection import Connection

DAY = 86_400_000
"""Milliseconds after the last heartbeat of the pool, or the last write, for which the settings are kept."""


async def write_settings(connection: Connection, pool: str, version: str, variables: Mapping[str, str]) -> None:
    """Write the settings, as variables of an environment; each heartbeat returns their version. Raises StoreError."""
    fields = ("version", version, "variables", msgspec.json.encode(dict(variables)))
    await connection.gather([("HSET", keys.settings(pool), *fields), ("PEXPIRE", keys.settings(pool), DAY)])


async def read_settings(connection: Connection, pool: str) -> tuple[str, dict[str, str]]:
    """Return the version and the variables; both are empty if none are written. Raises StoreError."""
    version, variables = await connection.execute("HMGET", keys.settings(pool), "version", "variables")
    if version is None or variables is None:
        return "", {}
    try:
        return version.decode(), msgspec.json.decode(variables, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise StoreDataError(f"{keys.settings(pool)}: not the settings of a pool: {error}") from error
