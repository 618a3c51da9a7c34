"""Connections for asyncio code, whose errors are StoreErrors."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.exceptions import NoScriptError

from jobpools.errors import StoreDataError, StoreError
from jobpools.store import keys, scripts
from jobpools.store.packing import DirectSender
from jobpools.store.redis_clients import (
    ANSWER_TIMEOUT,
    MAX_IN_FLIGHT,
    is_cluster,
    open_client,
    open_node,
    sentinel_clients,
)
from jobpools.store.translation import CLIENT_ERRORS, DEMOTED, code_of, translate


class Connection:
    """One Redis endpoint for asyncio code. Every error is a StoreError."""

    def __init__(self, url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> None:
        """Prepare a connection; nothing is opened yet. Raises ConfigurationError for an invalid URL."""
        self.url = url
        self.client: Any = open_client(url, redis.asyncio, Retry, timeout)
        self.cluster = is_cluster(url)
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        # In a cluster the client must find the node first.
        self._sender = None if self.cluster else DirectSender(self.client.connection_pool)
        self._send_direct = self.client.execute_command if self._sender is None else self._sender.send

    async def _translate(self, error: Exception) -> StoreError:
        """Translate an error. After an error of a former primary, the next command opens a new connection."""
        if self._sender is not None and code_of(error) in DEMOTED:
            with contextlib.suppress(*CLIENT_ERRORS):
                await self._sender.drop()
                await self.client.connection_pool.disconnect(inuse_connections=False)
        return translate(error, self.url)

    async def _send(self, *command: Any) -> Any:
        async with self._in_flight:
            return await self.client.execute_command(*command)

    async def execute(self, *command: Any) -> Any:
        """Run one command and return its reply. Raises StoreError."""
        try:
            return await self._send(*command)
        except CLIENT_ERRORS as error:
            raise await self._translate(error) from error

    async def execute_raw(self, *command: Any) -> Any:
        """Run one command of the hot path; the client does not convert its reply (to a dict, a bool)."""
        try:
            return await self._execute_raw(*command)
        except CLIENT_ERRORS as error:
            raise await self._translate(error) from error

    async def _execute_raw(self, *command: Any) -> Any:
        async with self._in_flight:
            return await self._send_direct(*command)

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
        except CLIENT_ERRORS as error:
            found = await self._translate(error)
            if isinstance(found, StoreDataError):
                touched = keys.reachable(names)
                kinds = [await self.execute("TYPE", name) for name in touched]
                found = StoreDataError(keys.type_problem(touched, kinds) or str(found))
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
        except CLIENT_ERRORS as error:
            raise await self._translate(error) from error

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        pipeline = self.client.pipeline() if self.cluster else self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        async with self._in_flight:
            return list(await pipeline.execute())

    async def load(self, *names: str) -> None:
        """Make scripts known to the server (in a cluster, to each), for pipelines, which cannot fall back."""
        for name in names:
            await self.execute("SCRIPT LOAD", scripts.get(name).source)

    async def scan(self, pattern: str) -> list[str]:
        """Return all keys that match a pattern, sorted; in a cluster, of every node."""
        try:
            return sorted({key.decode() async for key in self.client.scan_iter(match=pattern, count=1000)})
        except CLIENT_ERRORS as error:
            raise translate(error, self.url) from error

    def subscriber(self) -> "Subscriber":
        """Return a subscription to be opened. In a cluster any node will do: a message reaches all of them."""
        return Subscriber(self)

    async def aclose(self) -> None:
        """Close every socket."""
        with contextlib.suppress(*CLIENT_ERRORS):
            for client in (self.client, *sentinel_clients(self.client)):
                await client.aclose()


class Subscriber:
    """One subscription, open for the duration of its `async with`.

    It is not an asynchronous generator: a loop that ends closes all of those at the same time, in no defined order.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._node: Any = None
        self._channel: Any = None

    async def __aenter__(self) -> Any:
        connection = self._connection
        if connection.cluster:
            self._node = open_node(connection.url)
        self._channel = (self._node or connection.client).pubsub()
        return self._channel

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(*CLIENT_ERRORS):
            await self._channel.aclose()
            if self._node is not None:
                await self._node.aclose()


def connect(url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> Connection:
    """Return a connection; `timeout`: maximum seconds for an answer, None for commands that block."""
    return Connection(url, timeout=timeout)
