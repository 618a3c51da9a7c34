"""Threads for plain functions. A thread cannot be stopped from outside, so one that outlives its job is left behind."""

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
_NOBODY_AWAITS = (
    "it returned a coroutine and ran none of it: a decorator between @app.job and `async def` must be async"
)


class _Ticket:
    """One call on its way through a thread."""

    __slots__ = ("abandoned", "call", "ended", "future", "job", "row", "started")

    def __init__(self, call: Call, future: "asyncio.Future[Any]", job: str, row: int) -> None:
        self.call = call
        self.job = job
        self.row = row
        """The attempt's place in the worker's vitals; 0: it has none."""
        self.future = future
        self.started = False
        self.ended = False
        self.abandoned = False


class Threads:
    """A pool of at most `size` threads, besides those that were left behind.

    `concurrent.futures` joins its threads when the interpreter ends: one that hangs would keep the worker from going.
    These are daemons. They are started when first needed.
    """

    def __init__(self, size: int, left_behind: LeftBehind | None = None, vitals: Vitals | None = None) -> None:
        self._size = size
        self._runs_on = LeftBehind() if left_behind is None else left_behind
        self._vitals = Vitals() if vitals is None else vitals
        self._lock = threading.Condition()
        self._waiting: deque[_Ticket] = deque()
        self._threads = 0
        self._idle = 0
        self._left_behind = 0

    @property
    def left_behind(self) -> int:
        """Threads whose job was settled without them and that still run."""
        return self._left_behind

    async def run(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], job: str = ""
    ) -> Any:
        """Run it in a thread, with this task's context variables, and return what it returns. `job`: whose code it is.

        When the task is cancelled, a call that no thread has begun is dropped; one that runs is left behind.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        attempt = current_attempt.get()
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        ticket = _Ticket(call, future, job, 0 if attempt is None else attempt.row)
        self._submit(ticket)
        try:
            result, error = await future
        except asyncio.CancelledError:
            self._abandon(ticket)
            raise
        if error is not None:
            raise error
        return result

    def _submit(self, ticket: _Ticket) -> None:
        with self._lock:
            self._waiting.append(ticket)
            if self._idle >= len(self._waiting) or self._threads - self._left_behind >= self._size:
                self._lock.notify()
                return
            self._threads += 1
        threading.Thread(target=self._work, name="jobpools-handler", daemon=True).start()

    def _abandon(self, ticket: _Ticket) -> None:
        with self._lock:
            ticket.abandoned = True
            if not ticket.started:
                self._waiting.remove(ticket)
            elif not ticket.ended:
                self._left_behind += 1
                self._runs_on.add(ticket.job)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                while not self._waiting:
                    self._lock.wait()
                self._idle -= 1
                ticket = self._waiting.popleft()
                ticket.started = True
            self._vitals.thread_begins(ticket.row, threading.get_ident())
            self._call(ticket)
            self._vitals.thread_ends(ticket.row, threading.get_ident())
            with self._lock:
                ticket.ended = True
                if ticket.abandoned:
                    # Another thread took its place when it was left behind.
                    self._left_behind -= 1
                    self._runs_on.remove(ticket.job)
                    if self._threads - self._left_behind > self._size:
                        self._threads -= 1
                        return

    @staticmethod
    def _call(ticket: _Ticket) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = ticket.call()
            if issubclass(type(result), CoroutineType):  # isinstance would run the result's own code
                result.close()
                error = TypeError(_NOBODY_AWAITS)
        except BaseException as raised:  # noqa: BLE001  # the task that waits for it decides
            error = raised
        if forking.is_child:
            forking.leave(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            ticket.future.get_loop().call_soon_threadsafe(_hand_over, ticket.future, result, error)


def _hand_over(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    """Give both to the task that waits: as the future's exception, an error would have to be one that futures take."""
    if not future.done():
        future.set_result((result, error))
