"""Groups of exceptions that `Retry.on` may name, as qualified names, so that no library is imported.

A name stands for its subclasses too. The names are those that the classes themselves state (`__module__` and
`__qualname__`), which differ from the public ones in some libraries: `aiohttp.ClientConnectionError` is
`aiohttp.client_exceptions.ClientConnectionError`.
"""

from collections.abc import Mapping
from typing import Final

NETWORK: Final[frozenset[str]] = frozenset(
    {
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "http.client.IncompleteRead",
        "httpx.TransportError",
        "requests.exceptions.ChunkedEncodingError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.RetryError",
        "requests.exceptions.Timeout",
        "socket.gaierror",
        "socket.herror",
        "ssl.SSLError",
        "urllib3.exceptions.MaxRetryError",
        "urllib3.exceptions.ProtocolError",
        "urllib3.exceptions.ProxyError",
        "urllib3.exceptions.SSLError",
        "urllib3.exceptions.TimeoutError",
    }
)
"""A connection that could not be opened, broke or was too slow. An HTTP status such as 503 is not among them."""
DATABASE: Final[frozenset[str]] = frozenset(
    {
        "asyncpg.exceptions.InsufficientResourcesError",
        "asyncpg.exceptions.LockNotAvailableError",
        "asyncpg.exceptions.OperatorInterventionError",
        "asyncpg.exceptions.PostgresConnectionError",
        "asyncpg.exceptions.TransactionRollbackError",
        "asyncpg.exceptions._base.InterfaceError",
        "builtins.ConnectionError",  # asyncpg raises it when the server refuses the connection
        "django.db.utils.InterfaceError",
        "django.db.utils.OperationalError",
        "psycopg.InterfaceError",
        "psycopg.OperationalError",
        "psycopg2.InterfaceError",
        "psycopg2.OperationalError",
        "pymongo.errors.ConnectionFailure",
        "pymongo.errors.ExecutionTimeout",
        "pymysql.err.InterfaceError",
        "pymysql.err.OperationalError",
        "redis.exceptions.ClusterDownError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.ReadOnlyError",
        "redis.exceptions.TimeoutError",
        "redis.exceptions.TryAgainError",
        "sqlalchemy.exc.DisconnectionError",
        "sqlalchemy.exc.InterfaceError",
        "sqlalchemy.exc.OperationalError",
        "sqlalchemy.exc.TimeoutError",
        "sqlite3.OperationalError",
    }
)
"""A database that is unreachable, overloaded or locked, a lost connection, and a transaction that must be repeated."""
ERROR_GROUPS: Final[Mapping[str, frozenset[str]]] = {"network": NETWORK, "database": DATABASE}
"""The names of each group."""
_NONE: Final[frozenset[str]] = frozenset()


def with_groups(listed: tuple[str, ...]) -> frozenset[str]:
    """Return the names of classes that are listed, with those of the groups that are listed."""
    return frozenset(listed).union(*(ERROR_GROUPS.get(name, _NONE) for name in listed))
