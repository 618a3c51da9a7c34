"""Wait for the ends of jobs: one subscription for all callers of an event loop, and no polling."""

import asyncio
import contextlib
from collections.abc import Iterable

from jobpools.core.backoff import Backoff
from jobpools.errors import StoreError, StoreUnavailableError
from jobpools.store import draws, endings
from jobpools.store.connect import Connection, connect

REGISTERED_EVERY = 10.0
"""Seconds after which all waiting callers register again, which finds ends whose message was lost."""
BACKOFF = Backoff(initial=0.05, maximum=2.0, jitter=0.5)
"""Delays between two attempts to reach an unreachable server."""

Key = tuple[str, str]
"""Queue and job id."""


class Waiters:
    """The callers that wait in one event loop. No task runs while no caller waits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = endings.new_channel()
        self._waiting: dict[Key, set[asyncio.Future[None]]] = {}
        self._registered: set[Key] = set()
        """Those of `_waiting` whose first registration was answered; an outage does not end them."""
        self._fresh: set[Key] = set()
        """Those to register next."""
        self._nudge: asyncio.Future[None] | None = None
        """Ends the pause between two registrations."""
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._subscriber: Connection | None = None
        """The subscription's own connection, which has no read timeout."""
        self._subscription: endings.Subscription | None = None

    async def ended(self, queue: str, job_id: str) -> None:
        """Return when the job has ended, or is not known.

        Raises StoreError when the first request fails. During a later outage it continues to wait.
        """
        key, future = (queue, job_id), asyncio.get_running_loop().create_future()
        if key not in self._waiting:
            self._waiting[key] = set()
            self._fresh.add(key)
        self._waiting[key].add(future)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="jobpools results")
            self._task.add_done_callback(self._done)
        elif self._nudge is not None and not self._nudge.done():
            self._nudge.set_result(None)
        try:
            await future
        finally:
            self._leave(key, future)
            if not self._waiting:
                await self._rest()

    def _leave(self, key: Key, future: asyncio.Future[None]) -> None:
        futures = self._waiting.get(key, set())
        futures.discard(future)
        if not futures:
            self._waiting.pop(key, None)
            self._registered.discard(key)
            self._fresh.discard(key)

    async def _rest(self) -> None:
        """Cancel the task when no caller waits: the loop may end at any time and must not find a pending task."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        async with self._turn:  # the previous task may still be ending
            failures = 0
            while True:
                try:
                    await self._register_once()
                    await self._subscribe()
                    failures = 0
                    await self._attend()
                except StoreError as error:
                    await self._unsubscribe()
                    self._fail(error)
                failures += 1
                await self._pause(BACKOFF.delay(failures, draws.fraction()))
                self._fresh = set(self._waiting)

    async def _register_once(self) -> None:
        """Ask once which of the jobs have ended already, before a subscription is made."""
        if self._subscription is None:
            await self._register(set(self._fresh), "")

    async def _attend(self) -> None:
        """Register and listen until the subscription breaks. Raises StoreError when the server is unreachable."""
        hearing, clock = asyncio.create_task(self._hear()), asyncio.get_running_loop().time
        again = clock() + REGISTERED_EVERY
        try:
            while not hearing.done():
                if clock() >= again:
                    self._fresh, again = set(self._waiting), clock() + REGISTERED_EVERY
                fresh, self._fresh = self._fresh, set()
                await self._register(fresh, self._channel)
                if not self._fresh:
                    await self._pause(again - clock(), hearing)
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])
        await self._unsubscribe()

    async def _pause(self, seconds: float, hearing: asyncio.Task[None] | None = None) -> None:
        """Wait until the time is over, a new caller waits, or the subscription breaks."""
        self._nudge = asyncio.get_running_loop().create_future()
        await asyncio.wait(
            [self._nudge, *([hearing] if hearing else [])], timeout=seconds, return_when="FIRST_COMPLETED"
        )
        self._nudge = None

    async def _register(self, asked: Iterable[Key], channel: str) -> None:
        queues: dict[str, list[str]] = {}
        for queue, job_id in asked:
            queues.setdefault(queue, []).append(job_id)
        for queue, ids in queues.items():
            ended = await endings.register(self._connection, queue, channel, ids)
            self._registered.update((queue, job_id) for job_id in ids if (queue, job_id) in self._waiting)
            self._end_waits(queue, ended)

    async def _hear(self) -> None:
        with contextlib.suppress(StoreError):  # messages lost meanwhile are found by registering again
            while self._subscription is not None:
                self._end_waits(*await self._subscription.heard())

    def _end_waits(self, queue: str, ids: Iterable[str]) -> None:
        for job_id in ids:
            for future in self._waiting.get((queue, job_id), ()):
                if not future.done():
                    future.set_result(None)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Fail all waiting callers with the error that ended the task: they would wait forever."""
        if self._task is task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Fail the waiting callers. If the server is unreachable, only those whose registration got no reply."""
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
        await self._rest()
        self._fail(StoreError("the client was closed while this waited for a job to end"))
        await self._unsubscribe()
        if self._subscriber is not None:
            await self._subscriber.aclose()
            self._subscriber = None
