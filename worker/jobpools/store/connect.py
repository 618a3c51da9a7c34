"""Connections to Redis by URL, whose errors are StoreErrors."""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from jobpools.errors import ConfigurationError, StoreDataError, StoreError
from jobpools.store import abandoned, keys, scripts
from jobpools.store.packing import AT_HAND, Express, packed
from jobpools.store.translation import ELSEWHERE, FOREIGN, code_of, safe_url, translate, translated

CONNECT_TIMEOUT = 2.0
"""Maximum seconds to connect."""
ANSWER_TIMEOUT = 5.0
"""Maximum seconds for the answer to a non-blocking command, after which the connection counts as broken."""
AT_ONCE = 60
"""Maximum number of commands in flight; further ones wait."""
POOL_SIZE = AT_ONCE + AT_HAND + 4
"""Maximum number of connections of one client, which refuses more; the last few are for subscriptions."""


def _options(timeout: float | None) -> dict[str, Any]:
    # No retry inside the client: the caller must know that a step was sent and not answered.
    return {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": timeout,
        "socket_keepalive": True,
        "protocol": 2,
    }


def _split(url: str) -> tuple[str, Any]:
    """Return `standalone`, `sentinel` or `cluster`, and the URL's parts. Raises ConfigurationError."""
    parts = urlsplit(url)
    known = {
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
    if parts.scheme not in known:
        raise ConfigurationError(
            f"{safe_url(url)}: not a Redis URL: write redis://host:6379/0, rediss:// (TLS), redis+sentinel:// or redis+cluster://"
        )
    return known[parts.scheme], parts


def _plain(url: str) -> str:
    scheme, rest = url.split("://", 1)
    return f"{scheme.partition('+')[0].replace('valkey', 'redis')}://{rest}"


def _open(url: str, module: Any, retry: Any, timeout: float | None) -> Any:
    kind, parts = _split(url)
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
            # The part that cannot be read may belong to the password.
            why = "are its port a number and its password percent-encoded?" if safe_url(url) != url else str(error)
            raise ConfigurationError(f"{safe_url(url)}: not a Redis URL: {why}") from error
    if module is redis.asyncio:
        client.connection_pool.connection_class = packed(client.connection_pool.connection_class)
    return client


def _packed_nodes(client: Any) -> Any:
    """Pack the connections of each node; the first node's exist already, and only discover the other nodes."""
    made = client.connection_kwargs
    made["connection_class"] = packed(made.get("connection_class", redis.asyncio.Connection))
    return client


def _sentinel(module: Any, parts: Any, options: dict[str, Any]) -> Any:
    """`redis+sentinel://user:password@host:26379,host2:26379/0?master=mymaster`."""
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


def _sentinels(client: Any) -> list[Any]:
    """Return the clients of the sentinels, which the client itself does not close."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [] if manager is None else list(manager.sentinels)


class Connection:
    """One Redis endpoint for asyncio code. Every error is a StoreError."""

    def __init__(self, url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> None:
        """Prepare a connection; nothing is opened yet. Raises ConfigurationError for an invalid URL."""
        self.url = url
        self.client: Any = _open(url, redis.asyncio, AsyncRetry, timeout)
        self.cluster = _split(url)[0] == "cluster"
        self._turns = asyncio.Semaphore(AT_ONCE)
        # In a cluster the client must find the node first.
        self._at_hand = None if self.cluster else Express(self.client.connection_pool)
        self._express = self.client.execute_command if self._at_hand is None else self._at_hand.send

    async def _refused(self, error: Exception) -> StoreError:
        """Translate an error; after one of a former primary, the next command makes a new connection."""
        if self._at_hand is not None and code_of(error) in ELSEWHERE:
            with contextlib.suppress(*FOREIGN):
                await self._at_hand.drop()
                await self.client.connection_pool.disconnect(inuse_connections=False)
        return translate(error, self.url)

    async def _send(self, *command: Any) -> Any:
        async with self._turns:
            return await self.client.execute_command(*command)

    async def execute(self, *command: Any) -> Any:
        """Run one command and return its reply. Raises StoreError."""
        try:
            return await self._send(*command)
        except FOREIGN as error:
            raise await self._refused(error) from error

    async def execute_raw(self, *command: Any) -> Any:
        """Run one command of the hot path; the client does not convert its reply (to a dict, a bool)."""
        try:
            return await self._execute_raw(*command)
        except FOREIGN as error:
            raise await self._refused(error) from error

    async def _execute_raw(self, *command: Any) -> Any:
        async with self._turns:
            return await self._express(*command)

    async def call(self, name: str, queue: str, arguments: Sequence[Any]) -> Any:
        """Run one script on one queue's keys. Raises StoreError."""
        script = scripts.get(name)
        return await self.call_keys(script, keys.for_script(queue, script.keys), arguments)

    async def call_keys(self, script: scripts.Script, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run one script on these keys. Raises StoreError."""
        command = script.command(names, arguments)
        try:
            try:
                return await self._execute_raw(*command)
            except NoScriptError:
                return await self._execute_raw(*script.with_source(command))
        except FOREIGN as error:
            found = await self._refused(error)
            if isinstance(found, StoreDataError):
                kinds = [await self.execute("TYPE", name) for name in names]
                found = StoreDataError(keys.type_problem(names, kinds) or str(found))
            raise found from error

    async def gather(self, commands: Sequence[tuple[Any, ...]], scripts_read: Sequence[str] = ()) -> list[Any]:
        """Run several commands in one round trip (in a cluster, one for each node).

        `scripts_read` names the read-only scripts that they call. If the server does not know one, the scripts are
        loaded and all commands are sent again.
        """
        try:
            try:
                return await self._pipeline(commands)
            except NoScriptError:
                if not scripts_read:
                    raise
                await self.load(*scripts_read)
                return await self._pipeline(commands)
        except FOREIGN as error:
            raise await self._refused(error) from error

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        pipeline = self.client.pipeline() if self.cluster else self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        async with self._turns:
            return list(await pipeline.execute())

    async def load(self, *names: str) -> None:
        """Make scripts known to the server (in a cluster, to each), for pipelines, which cannot fall back."""
        for name in names:
            await self.execute("SCRIPT LOAD", scripts.get(name).source)

    async def scan(self, pattern: str) -> list[str]:
        """Return all keys that match a pattern, sorted; in a cluster, of every node."""
        try:
            return sorted({key.decode() async for key in self.client.scan_iter(match=pattern, count=1000)})
        except FOREIGN as error:
            raise translate(error, self.url) from error

    def subscriber(self) -> "Subscriber":
        """Return a subscription to be opened. In a cluster any node will do: a message reaches all of them."""
        return Subscriber(self)

    async def aclose(self) -> None:
        """Close every socket."""
        with contextlib.suppress(*FOREIGN):
            for client in (self.client, *_sentinels(self.client)):
                await client.aclose()


class Subscriber:
    """One subscription, open for the duration of its `async with`.

    It is not an asynchronous generator: a loop that ends closes all of those at the same time, in no defined order.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._alone: Any = None
        self._channel: Any = None

    async def __aenter__(self) -> Any:
        connection = self._connection
        if connection.cluster:
            of: Any = redis.asyncio.Redis  # Any: its from_url leaves the options untyped
            self._alone = of.from_url(_plain(connection.url), **_options(None))
            pool: Any = self._alone.connection_pool
            pool.connection_class = packed(pool.connection_class)
        self._channel = (self._alone or connection.client).pubsub()
        return self._channel

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(*FOREIGN):
            await self._channel.aclose()
            if self._alone is not None:
                await self._alone.aclose()


class SyncConnection:
    """One Redis endpoint for threads and code without an event loop. Every error is a StoreError."""

    def __init__(self, url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> None:
        """Prepare a connection; nothing is opened yet. Raises ConfigurationError for an invalid URL."""
        self.url = url
        self._timeout = timeout
        self._unlock()
        # A cluster's client discovers the nodes at once, so it is made when it is first needed.
        self._client: Any = None if _split(url)[0] == "cluster" else _open(url, redis, Retry, timeout)
        abandoned.watch_forks(self)

    def _unlock(self) -> None:
        self._opening = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def after_fork(self) -> None:
        """Reset in a child process: the sockets are the parent's, whose threads may have held the locks."""
        client, self._client = self._client, None
        self._unlock()
        abandoned.abandon_sync(client)

    @property
    def client(self) -> Any:
        """The client, which threads may share."""
        with self._opening:
            if self._client is None:
                self._client = _open(self.url, redis, Retry, self._timeout)
            return self._client

    def _send(self, *command: Any) -> Any:
        with self._turns:
            return self.client.execute_command(*command)

    def _refused(self, error: Exception) -> StoreError:
        """Translate an error; after one of a former primary, the next command makes a new connection."""
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None and code_of(error) in ELSEWHERE:
            pool.disconnect(inuse_connections=False)
        return translate(error, self.url)

    def execute(self, *command: Any) -> Any:
        """Run one command and return its reply. Raises StoreError."""
        try:
            return self._send(*command)
        except FOREIGN as error:
            raise self._refused(error) from error

    def call(self, name: str, queue: str, arguments: Sequence[Any]) -> Any:
        """Run one script on one queue's keys. Raises StoreError."""
        script = scripts.get(name)
        names = keys.for_script(queue, script.keys)
        command = script.command(names, arguments)
        try:
            try:
                return self._send(*command)
            except NoScriptError:
                return self._send(*script.with_source(command))
        except FOREIGN as error:
            found = self._refused(error)
            if isinstance(found, StoreDataError):
                kinds = [self.execute("TYPE", name) for name in names]
                found = StoreDataError(keys.type_problem(names, kinds) or str(found))
            raise found from error

    def close(self) -> None:
        """Close every socket."""
        with contextlib.suppress(*FOREIGN):
            if self._client is not None:
                for client in (self._client, *_sentinels(self._client)):
                    client.close()


def connect(url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> Connection:
    """Return a connection; `timeout`: maximum seconds for an answer, None for commands that block."""
    return Connection(url, timeout=timeout)


def connect_sync(url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> SyncConnection:
    """Return a connection for blocking code; `timeout` as for `connect`."""
    return SyncConnection(url, timeout=timeout)


__all__ = ["FOREIGN", "Connection", "SyncConnection", "connect", "connect_sync", "safe_url", "translate", "translated"]
