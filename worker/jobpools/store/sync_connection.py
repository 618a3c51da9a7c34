"""Connections for threads and code without an event loop, whose errors are StoreErrors."""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError
from redis.retry import Retry

from jobpools.errors import StoreDataError, StoreError
from jobpools.store import abandoned, keys, scripts
from jobpools.store.redis_clients import ANSWER_TIMEOUT, MAX_IN_FLIGHT, is_cluster, open_client, sentinel_clients
from jobpools.store.translation import CLIENT_ERRORS, DEMOTED, code_of, translate


class SyncConnection:
    """One Redis endpoint for threads and code without an event loop. Every error is a StoreError."""

    def __init__(self, url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> None:
        """Prepare a connection; nothing is opened yet. Raises ConfigurationError for an invalid URL."""
        self.url = url
        self._timeout = timeout
        self._create_locks()
        # A cluster's client discovers the nodes at once, so it is made when it is first needed.
        self._client: Any = None if is_cluster(url) else open_client(url, redis, Retry, timeout)
        abandoned.watch_forks(self)

    def _create_locks(self) -> None:
        self._opening = threading.Lock()
        self._in_flight = threading.Semaphore(MAX_IN_FLIGHT)

    def after_fork(self) -> None:
        """Reset in a child process: the sockets are the parent's, whose threads may have held the locks."""
        client, self._client = self._client, None
        self._create_locks()
        abandoned.abandon_sync(client)

    @property
    def client(self) -> Any:
        """The client, which threads may share."""
        with self._opening:
            if self._client is None:
                self._client = open_client(self.url, redis, Retry, self._timeout)
            return self._client

    def _send(self, *command: Any) -> Any:
        with self._in_flight:
            return self.client.execute_command(*command)

    def _translate(self, error: Exception) -> StoreError:
        """Translate an error. After an error of a former primary, the next command opens a new connection."""
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None and code_of(error) in DEMOTED:
            pool.disconnect(inuse_connections=False)
        return translate(error, self.url)

    def execute(self, *command: Any) -> Any:
        """Run one command and return its reply. Raises StoreError."""
        try:
            return self._send(*command)
        except CLIENT_ERRORS as error:
            raise self._translate(error) from error

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
        except CLIENT_ERRORS as error:
            found = self._translate(error)
            if isinstance(found, StoreDataError):
                touched = keys.reachable(names)
                kinds = [self.execute("TYPE", name) for name in touched]
                found = StoreDataError(keys.type_problem(touched, kinds) or str(found))
            raise found from error

    def close(self) -> None:
        """Close every socket."""
        with contextlib.suppress(*CLIENT_ERRORS):
            if self._client is not None:
                for client in (self._client, *sentinel_clients(self._client)):
                    client.close()


def connect_sync(url: str, *, timeout: float | None = ANSWER_TIMEOUT) -> SyncConnection:
    """Return a connection for blocking code; `timeout` as for `connect`."""
    return SyncConnection(url, timeout=timeout)
