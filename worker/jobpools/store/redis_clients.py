"""Clients of Redis by URL: standalone, Sentinel or Cluster; asyncio or blocking."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
import redis.asyncio
from redis.backoff import NoBackoff

from jobpools.errors import ConfigurationError
from jobpools.store.packing import IDLE_LIMIT, packed
from jobpools.store.translation import safe_url, translated

CONNECT_TIMEOUT = 2.0
"""Maximum seconds to connect."""
ANSWER_TIMEOUT = 5.0
"""Maximum seconds for the answer to a non-blocking command, after which the connection counts as broken."""
MAX_IN_FLIGHT = 60
"""Maximum number of commands in flight; further ones wait."""
POOL_SIZE = MAX_IN_FLIGHT + IDLE_LIMIT + 4
"""Maximum number of connections of one client, which refuses more; the last few are for subscriptions."""


_KINDS = {
    "redis": "standalone",
    "rediss": "standalone",
    "unix": "standalone",
    "valkey": "standalone",
    "valkeys": "standalone",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
}
"""By scheme: how the server runs."""


def _options(timeout: float | None) -> dict[str, Any]:
    return {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": timeout,
        "socket_keepalive": True,
        "protocol": 2,
    }


def _split(url: str) -> tuple[str, Any]:
    """Return `standalone`, `sentinel` or `cluster`, and the URL's parts. Raises ConfigurationError."""
    parts = urlsplit(url)
    if parts.scheme not in _KINDS:
        raise ConfigurationError(
            f"{safe_url(url)}: not a Redis URL; use redis://host:6379/0, rediss:// (TLS), redis+sentinel:// or redis+cluster://"
        )
    return _KINDS[parts.scheme], parts


def _plain(url: str) -> str:
    """Return the URL in a scheme that the client knows."""
    scheme, rest = url.split("://", 1)
    return f"{scheme.partition('+')[0].replace('valkey', 'redis')}://{rest}"


def is_cluster(url: str) -> bool:
    """Return whether the URL names a Redis Cluster. Raises ConfigurationError."""
    return _split(url)[0] == "cluster"


def open_client(url: str, module: Any, retry: Any, timeout: float | None) -> Any:
    """Return a client; one of a cluster discovers the nodes at once, the others connect when they are used.

    Args:
        url: where the server is.
        module: `redis.asyncio` or `redis`.
        retry: the class `Retry` of that module's clients.
        timeout: maximum seconds for an answer; None: without limit.

    Raises:
        ConfigurationError: the URL is not valid.
        StoreError: the cluster cannot be reached.
    """
    kind, parts = _split(url)
    # No retry inside the client: the caller must know that a step was sent and not answered.
    options = _options(timeout) | {"retry": retry(NoBackoff(), 0)}
    if parts.scheme == "unix":
        options.pop("socket_keepalive")
    with translated(url):
        try:
            if kind == "cluster":
                client = module.RedisCluster.from_url(_plain(url), **options)
                return _packed_nodes(client) if module is redis.asyncio else client
            if kind == "sentinel":
                client = _sentinel(module, parts, options)
            else:
                client = module.Redis.from_url(_plain(url), max_connections=POOL_SIZE, **options)
        except ValueError as error:
            # With a password the error is left out: the part that cannot be read may belong to it.
            why = "" if safe_url(url) != url else f" ({error})"
            raise ConfigurationError(
                f"{safe_url(url)}: not a Redis URL{why}; the port must be a number and the password percent-encoded"
            ) from error
    if module is redis.asyncio:
        client.connection_pool.connection_class = packed(client.connection_pool.connection_class)
    return client


def _packed_nodes(client: Any) -> Any:
    """Pack the connections of all nodes. Those of the first node exist already: they only discover the other nodes."""
    options = client.connection_kwargs
    options["connection_class"] = packed(options.get("connection_class", redis.asyncio.Connection))
    return client


def _sentinel(module: Any, parts: Any, options: dict[str, Any]) -> Any:
    """Return a client of the primary that sentinels name.

    The URL has the form `redis+sentinel://user:password@host:26379,host2:26379/0?master=mymaster`.
    """
    hosts = [host.rpartition(":") for host in parts.netloc.rpartition("@")[2].split(",")]
    nodes = [(name or port, int(port) if name else 26379) for name, _, port in hosts]
    master = parse_qs(parts.query).get("master", ["mymaster"])[0]
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    options |= {"username": user, "password": password, "db": int(parts.path.strip("/") or 0)}
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    asking = {name: options[name] for name in ("socket_connect_timeout", "retry")} | {"socket_timeout": CONNECT_TIMEOUT}
    sentinel = module.sentinel.Sentinel(nodes, sentinel_kwargs=asking, **options)
    return sentinel.master_for(master)


def sentinel_clients(client: Any) -> list[Any]:
    """Return the clients of the sentinels, which the client itself does not close."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [] if manager is None else list(manager.sentinels)


def open_node(url: str) -> Any:
    """Return an asyncio client of the one node that a cluster's URL names, without a read timeout."""
    redis_class: Any = redis.asyncio.Redis  # Any: its from_url leaves the options untyped
    client = redis_class.from_url(_plain(url), **_options(None))
    client.connection_pool.connection_class = packed(client.connection_pool.connection_class)
    return client
