"""Wait for jobs to end, without polling: all callers of an event loop share one subscription."""

import asyncio
import contextlib
from collections.abc import Iterable

from jobpools.core.backoff import Backoff
from jobpools.errors import StoreError, StoreUnavailableError
from jobpools.store import draws, endings
from jobpools.store.connection import Connection, connect

REGISTRATION_INTERVAL = 10.0
"""Seconds between two registrations of all waiting callers. A registration also finds ends whose message was lost."""
BACKOFF = Backoff(initial=0.05, maximum=2.0, jitter=0.5)
"""Delays between two tries to reach an unreachable server."""

Key = tuple[str, str]
"""Queue and job id."""


class Waiters:
    """The callers of one event loop that wait for jobs to end. While no caller waits, no task runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = endings.new_channel()
        self._waiting: dict[Key, set[asyncio.Future[None]]] = {}
        self._registered: set[Key] = set()
        """Keys of `_waiting` that Redis has accepted at least once. An outage does not fail their callers."""
        self._unsent: set[Key] = set()
        """Keys of `_waiting` that the next registration sends."""
        self._pause_end: asyncio.Future[None] | None = None
        """Set when a new caller waits, which ends the current pause; None: there is no pause."""
        self._task: asyncio.Task[None] | None = None
        self._task_lock = asyncio.Lock()
        self._subscriber: Connection | None = None
        """Connection of the subscription, which has no read timeout."""
        self._subscription: endings.Subscription | None = None

    async def ended(self, queue: str, job_id: str) -> None:
        """Return when the job has ended, or is not known. During an outage it continues to wait.

        Raises:
            StoreError: The first request failed.
        """
        key, future = (queue, job_id), asyncio.get_running_loop().create_future()
        if key not in self._waiting:
            self._waiting[key] = set()
            self._unsent.add(key)
        self._waiting[key].add(future)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="jobpools results")
            self._task.add_done_callback(self._on_task_done)
        elif self._pause_end is not None and not self._pause_end.done():
            self._pause_end.set_result(None)
        try:
            await future
        finally:
            self._remove(key, future)
            if not self._waiting:
                await self._stop_task()

    def _remove(self, key: Key, future: asyncio.Future[None]) -> None:
        futures = self._waiting.get(key, set())
        futures.discard(future)
        if not futures:
            self._waiting.pop(key, None)
            self._registered.discard(key)
            self._unsent.discard(key)

    async def _stop_task(self) -> None:
        """Cancel the task. A loop may end at any time while no caller waits, and must not find a pending task."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        async with self._task_lock:  # the previous task may still be ending
            failures = 0
            while True:
                try:
                    await self._find_ended()
                    await self._subscribe()
                    failures = 0
                    await self._register_and_listen()
                except StoreError as error:
                    await self._unsubscribe()
                    self._fail(error)
                failures += 1
                await self._pause(BACKOFF.delay(failures, draws.fraction()))
                self._unsent = set(self._waiting)

    async def _find_ended(self) -> None:
        """Find the jobs that have ended already, before the first subscription is made."""
        if self._subscription is None:
            await self._register(set(self._unsent), "")

    async def _register_and_listen(self) -> None:
        """Register callers and receive ends until the subscription breaks. Raises StoreError during an outage."""
        listener, clock = asyncio.create_task(self._listen()), asyncio.get_running_loop().time
        next_registration = clock() + REGISTRATION_INTERVAL
        try:
            while not listener.done():
                if clock() >= next_registration:
                    self._unsent, next_registration = set(self._waiting), clock() + REGISTRATION_INTERVAL
                unsent, self._unsent = self._unsent, set()
                await self._register(unsent, self._channel)
                if not self._unsent:
                    await self._pause(next_registration - clock(), listener)
        finally:
            listener.cancel()
            await asyncio.wait([listener])
        await self._unsubscribe()

    async def _pause(self, seconds: float, listener: asyncio.Task[None] | None = None) -> None:
        """Wait for some seconds, or until a new caller waits or the subscription breaks."""
        self._pause_end = asyncio.get_running_loop().create_future()
        await asyncio.wait(
            [self._pause_end, *([listener] if listener else [])], timeout=seconds, return_when="FIRST_COMPLETED"
        )
        self._pause_end = None

    async def _register(self, keys: Iterable[Key], channel: str) -> None:
        """Register the keys with Redis, and end the waits for jobs that have ended."""
        queues: dict[str, list[str]] = {}
        for queue, job_id in keys:
            queues.setdefault(queue, []).append(job_id)
        for queue, ids in queues.items():
            ended = await endings.register(self._connection, queue, channel, ids)
            self._registered.update((queue, job_id) for job_id in ids if (queue, job_id) in self._waiting)
            self._end_waits(queue, ended)

    async def _listen(self) -> None:
        """End the waits for jobs whose end is published, until the subscription breaks."""
        with contextlib.suppress(StoreError):  # the next registration finds ends whose message was lost
            while self._subscription is not None:
                self._end_waits(*await self._subscription.receive())

    def _end_waits(self, queue: str, ids: Iterable[str]) -> None:
        for job_id in ids:
            for future in self._waiting.get((queue, job_id), ()):
                if not future.done():
                    future.set_result(None)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        """Fail all waiting callers with the error that ended the task; otherwise they would wait forever."""
        if self._task is task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Fail the waiting callers. If the server is unreachable, fail only those that were never registered."""
        for key, futures in self._waiting.items():
            if key not in self._registered or not isinstance(error, StoreUnavailableError):
                for future in futures:
                    if not future.done():
                        future.set_exception(error)

    async def _subscribe(self) -> None:
        if self._subscription is not None or not self._waiting:
            return
        if self._subscriber is None:
            self._subscriber = connect(self._connection.url, timeout=None)
        subscription = endings.Subscription(self._subscriber, self._channel)
        await subscription.open()
        self._subscription = subscription

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()

    async def aclose(self) -> None:
        """Close the subscription. Callers that still wait receive a StoreError."""
        await self._stop_task()
        self._fail(StoreError("the client was closed while this call waited for a job to end"))
        await self._unsubscribe()
        if self._subscriber is not None:
            await self._subscriber.aclose()
            self._subscriber = None
