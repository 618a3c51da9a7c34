"""Threads for plain functions. A thread cannot be stopped, so one that outlives its attempt is left behind."""

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from types import CoroutineType
from typing import Any

from jobpools.runtime import forking
from jobpools.runtime.current_attempt import current_attempt
from jobpools.runtime.left_behind import LeftBehind
from jobpools.runtime.vitals import Vitals

Call = Callable[[], Any]
_NEVER_AWAITED = "it returned a coroutine, which never ran; a decorator between @app.job and `async def` must be async"


class _Call:
    """One call that waits for a thread or runs in one."""

    __slots__ = ("abandoned", "call", "ended", "future", "job", "row", "started")

    def __init__(self, call: Call, future: "asyncio.Future[Any]", job: str, row: int) -> None:
        self.call = call
        self.job = job
        self.row = row
        """The attempt's row in the worker's vitals; 0: it has none."""
        self.future = future
        self.started = False
        self.ended = False
        self.abandoned = False


class Threads:
    """A pool of at most `size` threads; those that were left behind are not counted.

    `concurrent.futures` joins its threads when the interpreter ends, so a thread that hangs would keep the process from
    ending. These threads are daemons. They are started when they are first needed.
    """

    def __init__(self, size: int, left_behind: LeftBehind | None = None, vitals: Vitals | None = None) -> None:
        self._size = size
        self._jobs_left_behind = LeftBehind() if left_behind is None else left_behind
        self._vitals = Vitals() if vitals is None else vitals
        self._lock = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._threads = 0
        self._idle = 0
        self._left_behind = 0

    def resize(self, size: int) -> None:
        """Change the maximum number of threads; those beyond it finish their calls."""
        with self._lock:
            self._size = size

    @property
    def left_behind(self) -> int:
        """Number of threads that still run for settled attempts."""
        return self._left_behind

    async def run(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], job: str = ""
    ) -> Any:
        """Run a function in a thread, with this task's context variables, and return its result. `job` is an id.

        If the task is cancelled, a call that has not started is dropped; one that runs is left behind.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        attempt = current_attempt.get()
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        queued = _Call(call, future, job, 0 if attempt is None else attempt.row)
        self._submit(queued)
        try:
            result, error = await future
        except asyncio.CancelledError:
            self._abandon(queued)
            raise
        if error is not None:
            raise error
        return result

    def _submit(self, queued: _Call) -> None:
        with self._lock:
            self._waiting.append(queued)
            if self._idle >= len(self._waiting) or self._threads - self._left_behind >= self._size:
                self._lock.notify()
                return
            self._threads += 1
        threading.Thread(target=self._work, name="jobpools-handler", daemon=True).start()

    def _abandon(self, queued: _Call) -> None:
        with self._lock:
            queued.abandoned = True
            if not queued.started:
                self._waiting.remove(queued)
            elif not queued.ended:
                self._left_behind += 1
                self._jobs_left_behind.add(queued.job)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                while not self._waiting:
                    self._lock.wait()
                self._idle -= 1
                queued = self._waiting.popleft()
                queued.started = True
            self._vitals.record_thread_start(queued.row, threading.get_ident())
            self._call(queued)
            self._vitals.record_thread_end(queued.row, threading.get_ident())
            with self._lock:
                queued.ended = True
                if queued.abandoned:
                    # When this thread was left behind, another one may have replaced it.
                    self._left_behind -= 1
                    self._jobs_left_behind.remove(queued.job)
                    if self._threads - self._left_behind > self._size:
                        self._threads -= 1
                        return

    @staticmethod
    def _call(queued: _Call) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = queued.call()
            if issubclass(type(result), CoroutineType):  # isinstance would run the result's own code
                result.close()
                error = TypeError(_NEVER_AWAITED)
        except BaseException as raised:  # noqa: BLE001  # the task that waits for it handles it
            error = raised
        if forking.is_child:
            forking.leave(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing awaits the result
            queued.future.get_loop().call_soon_threadsafe(_hand_over, queued.future, result, error)


def _hand_over(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    """Return result and error to the waiting task. A future refuses StopIteration and others as its exception."""
    if not future.done():
        future.set_result((result, error))
