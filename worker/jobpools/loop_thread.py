"""An event loop in a thread of its own, for sync code that has to wait."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from jobpools.store import abandoned

T = TypeVar("T")
STOP_TIMEOUT = 2.0
"""Maximum seconds to wait until the thread has closed its connections."""


class LoopThread:
    """Runs coroutines for other threads, also for those that run an event loop themselves.

    The thread starts with the first coroutine and is a daemon. A forked child process starts its own.
    """

    def __init__(self) -> None:
        self._begin()
        abandoned.tell_of_forks(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread has been started."""
        return self._thread is not None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one coroutine and return its result; the calling thread blocks. An interrupt cancels it."""
        with self._lock:
            loop = self._loop or self._start()
            future = asyncio.run_coroutine_threadsafe(make(), loop)
        try:
            return future.result()
        finally:
            future.cancel()  # of no consequence once it is done

    def _start(self) -> asyncio.AbstractEventLoop:
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="jobpools", daemon=True)
        self._thread.start()
        return ready.result()

    async def _serve(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        ready.set_result(self._loop)
        await self._stop.wait()

    def close(self) -> None:
        """End the thread with all that it runs, and close its connections. It starts again when it is needed."""
        with self._lock:
            thread, loop, stop = self._thread, self._loop, self._stop
            self._thread = self._loop = self._stop = None
        if thread is not None and loop is not None and stop is not None and thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
            if thread is not threading.current_thread():
                thread.join(STOP_TIMEOUT)

    def after_fork(self) -> None:
        """Begin anew in a child process, which has no such thread."""
        self._begin()
