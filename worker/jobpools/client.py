"""Enqueue jobs in one Redis, with or without the code of their handlers."""

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec

from jobpools.connections import Connections
from jobpools.core.jobs import json_values
from jobpools.core.jobs.policies import QueueLimits
from jobpools.core.text.error_text import error_message
from jobpools.enqueue_hooks import EnqueueHooks
from jobpools.errors import ArgumentsError, ConfigurationError, PayloadTooLargeError
from jobpools.handle import JobHandle
from jobpools.loop_thread import LoopThread
from jobpools.options import Options
from jobpools.sending import FullQueueLog, send, send_sync
from jobpools.settings import DEFAULT_BLOCK_TIMEOUT, DEFAULT_MAX_PAYLOAD
from jobpools.store import abandoned, draws
from jobpools.store.connection import Connection
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope, encode_envelope
from jobpools.store.queue_policies import set_limits
from jobpools.store.sync_connection import SyncConnection, connect_sync
from jobpools.waiting import Waiters

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Call(Sending, Generic[R_co], frozen=True, eq=False, gc=False):
    """A job that is validated and encoded, but not enqueued."""

    decode: Callable[[bytes], Any] | None = None
    """Converts the result's JSON to the handler's result type; None: plain JSON values."""


class Client:
    """Enqueues jobs in one Redis. It connects when it is first used, once per event loop and once for sync code.

    Args:
        url: URL of Redis or Valkey, as in `App`.
        max_payload: Maximum bytes of an encoded job. Default: 1 MiB.
        block_timeout: Maximum seconds to wait for room in a full queue. Default: 30.
        limits: Limits of queues, by name, which are written to Redis before the first job is enqueued. Default: none.
        hooks: The hooks of an app's middleware around enqueueing. Default: none.
    """

    def __init__(
        self,
        url: str,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        *,
        block_timeout: float = DEFAULT_BLOCK_TIMEOUT,
        limits: Mapping[str, QueueLimits] = MappingProxyType({}),
        hooks: EnqueueHooks | None = None,
    ) -> None:
        self.max_payload = max_payload
        """Maximum bytes of an encoded job."""
        self.block_timeout = block_timeout
        """Maximum seconds to wait for room in a full queue."""
        self._lines = FullQueueLog()
        self._hooks = EnqueueHooks() if hooks is None else hooks
        self._unwritten = dict(limits)
        """Limits that this process has not written to Redis."""
        self._connections = Connections(url)
        self._sync: SyncConnection | None = None
        self._sync_lock = threading.Lock()
        self._thread = LoopThread()
        weakref.finalize(self, self._thread.close)
        abandoned.watch_forks(self)

    @property
    def url(self) -> str:
        """Return the URL of the server; a new URL applies to connections that are opened later."""
        return self._connections.url

    @url.setter
    def url(self, url: str) -> None:
        self._connections.url = url

    def connection(self) -> Connection:
        """Return the running event loop's connection. It is closed with the loop, or by `aclose`."""
        return self._connections.of_running_loop().connection

    def waiters(self) -> Waiters:
        """Return the running event loop's waiters for the ends of jobs."""
        return self._connections.of_running_loop().waiters

    def sync_connection(self) -> SyncConnection:
        """Return the connection of sync code, which threads share."""
        if self._sync is None:
            with self._sync_lock:
                self._sync = self._sync or connect_sync(self.url)
        return self._sync

    def run_sync(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the client's own thread for sync code, and return its result."""
        return self._thread.run(make)

    def after_fork(self) -> None:
        """Replace the lock in a forked child process: a thread of the parent may hold it."""
        self._sync_lock = threading.Lock()

    def call(self, name: str, args: bytes, options: Options, decode: Callable[[bytes], Any] | None = None) -> Call[Any]:
        """Return a job with these arguments, as JSON.

        Raises:
            ArgumentsError: The name or a tag is not UTF-8.
            PayloadTooLargeError: The encoded job is larger than `max_payload`.
            ConfigurationError: The retry policy has a function.
        """
        if options.retry is not None and options.retry.function is not None:
            raise ConfigurationError(
                f"{name}: a retry function cannot be sent with a job; give it to @app.job(retry=…)"
            )
        now = time.time()
        if options.id is None:
            job_id, enqueued = draws.job_id(now), None
        else:
            job_id, enqueued = options.id, now
        envelope = Envelope(
            ENVELOPE_VERSION, job_id, name, options.queue or "default", msgspec.Raw(args), options.priority,
            options.timeout, options.retry, options.result_ttl, options.max_crashes, options.tags, enqueued,
            options.metadata,
        )  # fmt: skip
        return Call(envelope, self._encoded(envelope), options.at, options.delay, options.expires or 0.0, decode)

    def _encoded(self, envelope: Envelope) -> bytes:
        try:
            payload = encode_envelope(envelope)
        except UnicodeEncodeError as error:
            raise ArgumentsError(
                f"{envelope.name!r}: the job's name or a tag is not UTF-8: {error}; use text without surrogates"
            ) from error
        if len(payload) > self.max_payload:
            raise PayloadTooLargeError(
                f"{envelope.name}: the encoded job takes {len(payload)} bytes, more than {self.max_payload}; send a "
                f"reference to the data instead, or raise JOBPOOLS_MAX_PAYLOAD"
            )
        return payload

    def call_json(self, name: str, args: Mapping[str, Any], options: Options) -> Call[Any]:
        """Return a job for a handler that is unknown here. Raises ArgumentsError if the arguments are not JSON."""
        if not name.strip():
            raise ArgumentsError("enqueue: the job's name is empty; give the name of its handler")
        try:
            raw = json_values.encode(dict(args))
        except Exception as error:  # a serializer of a user's class may raise any exception
            raise ArgumentsError(f"{name}: the arguments are not JSON: {error_message(error)}") from error
        return self.call(name, raw, options)

    async def enqueue(self, call: Call[R]) -> JobHandle[R]:
        """Enqueue one job. After a StoreError it is unknown whether it was enqueued; a retry with its id is safe."""
        return (await self.enqueue_many([call]))[0]

    def enqueue_sync(self, call: Call[R]) -> JobHandle[R]:
        """Enqueue one job from code without an event loop; threads may share the client."""
        return self.enqueue_many_sync([call])[0]

    async def enqueue_many(self, calls: Sequence[Call[R]]) -> list[JobHandle[R]]:
        """Enqueue jobs, up to 500 of a queue in one command. A full queue accepts the jobs that fit."""
        if self._unwritten:
            await self._write_limits()
        if self._hooks.before:
            calls = await self._hooks.run_before(calls, self._encoded)
        handles = self._handles(calls, await send(self.connection(), calls, self.block_timeout, self._lines))
        if self._hooks.after:
            await self._hooks.run_after(calls, handles)
        return handles

    def enqueue_many_sync(self, calls: Sequence[Call[R]]) -> list[JobHandle[R]]:
        """Enqueue jobs from code without an event loop; threads may share the client."""
        if self._unwritten:
            self.run_sync(self._write_limits)
        if self._hooks.before:
            calls = self._hooks.run_before_sync(calls, self._encoded, self.run_sync)
        handles = self._handles(calls, send_sync(self.sync_connection(), calls, self.block_timeout, self._lines))
        if self._hooks.after:
            self._hooks.run_after_sync(calls, handles, self.run_sync)
        return handles

    async def _write_limits(self) -> None:
        for queue, limits in list(self._unwritten.items()):
            await set_limits(self.connection(), queue, limits)
            self._unwritten.pop(queue, None)

    def _handles(self, calls: Sequence[Call[R]], accepted: Sequence[bool]) -> list[JobHandle[R]]:
        return [
            JobHandle(self, call.envelope.id, call.envelope.queue, new, call.decode)
            for call, new in zip(calls, accepted, strict=True)
        ]

    async def aclose(self) -> None:
        """Close the connections of this event loop and of sync code."""
        if self._thread.is_running:
            await asyncio.to_thread(self._thread.close)
        self.close()
        await self._connections.aclose()

    def close(self) -> None:
        """Close the connections of sync code; an event loop's are closed with the loop, or by `aclose`."""
        self._thread.close()
        if self._sync is not None:
            self._sync.close()
            self._sync = None
