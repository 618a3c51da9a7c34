"""An event loop in a thread of its own, in which sync code runs coroutines."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

from jobpools.store import abandoned

T = TypeVar("T")
STOP_TIMEOUT = 2.0
"""Maximum seconds to wait until the thread has closed its connections."""


class LoopThread:
    """A thread that runs coroutines for other threads, including threads with a running event loop.

    The thread starts with the first coroutine and is a daemon. A forked child process starts its own.
    """

    def __init__(self) -> None:
        self._reset()
        abandoned.watch_forks(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread has been started."""
        return self._thread is not None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one coroutine and return its result. The caller blocks; its KeyboardInterrupt cancels the coroutine."""
        ended: Future[T] = Future()
        with self._lock:
            loop = self._loop or self._start()
            running = asyncio.run_coroutine_threadsafe(_transfer(make(), ended), loop)
        # A task that is cancelled before its first step (the thread was closed) never sets `ended`.
        running.add_done_callback(lambda _: ended.cancel())
        try:
            return ended.result()
        finally:
            running.cancel()  # has no effect on a task that is done

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
        """Stop the thread, cancel its coroutines and close its connections. The next `run` starts it again."""
        with self._lock:
            thread, loop, stop = self._thread, self._loop, self._stop
            self._thread = self._loop = self._stop = None
        if thread is not None and loop is not None and stop is not None and thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
            if thread is not threading.current_thread():
                thread.join(STOP_TIMEOUT)

    def after_fork(self) -> None:
        """Reset in a forked child process, which does not inherit the thread."""
        self._reset()


async def _transfer(work: Coroutine[Any, Any, T], ended: Future[T]) -> None:
    """Await `work`, and pass its result or exception to the thread that waits for `ended`.

    A task that raises SystemExit or KeyboardInterrupt would end the event loop and every other wait on it. User code
    may raise both, for example a validator of a result's type.
    """
    try:
        result = await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
        with contextlib.suppress(InvalidStateError):
            ended.set_exception(error)
    else:
        with contextlib.suppress(InvalidStateError):
            ended.set_result(result)
