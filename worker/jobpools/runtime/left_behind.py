"""Code that still runs for attempts that have ended.

Python can stop neither a thread nor a coroutine that ignores its cancellation.
The next attempt of such a job does not start in this process until that code has ended.
"""

import asyncio
import concurrent.futures
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from jobpools.runtime import forking
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import current_attempt

NOTE = (
    "its code still runs in this worker, because Python cannot stop it; no other attempt starts here until it returns"
)


class LeftBehind:
    """Counts, by job, the threads and coroutines that still run for attempts that have ended. It is thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        """References that keep the garbage collector from collecting tasks that are no longer awaited."""

    def add(self, job: str) -> None:
        """Count one more thread or coroutine that still runs for this job."""
        with self._lock:
            self._jobs[job] += 1

    def remove(self, job: str) -> None:
        """Count one thread or coroutine less: it has ended."""
        with self._lock:
            self._jobs[job] -= 1
            if self._jobs[job] <= 0:
                del self._jobs[job]

    def add_task(self, task: asyncio.Task[None] | None, job: str) -> None:
        """Count a cancelled task that is no longer awaited, until it ends. A task that has ended is not counted."""
        if task is None or task.done():
            return
        self.add(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _task: self.remove(job))

    @property
    def tasks(self) -> int:
        """Number of coroutines that were cancelled, have not ended, and are no longer awaited."""
        return len(self._tasks)

    def __contains__(self, job: str) -> bool:
        """Return whether code of an earlier attempt of this job still runs here."""
        return job in self._jobs

    def __bool__(self) -> bool:
        """Return whether any such code runs."""
        return bool(self._jobs)

    @property
    def count(self) -> int:
        """Number of threads and coroutines that still run."""
        with self._lock:
            return self._jobs.total()


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the function; end a process that it forked, so that its copy of the thread takes no more calls."""
    error: BaseException | None = None
    try:
        return function(*args, **kwargs)
    except BaseException as raised:
        error = raised
        raise
    finally:
        if forking.is_child:
            forking.leave(error)


class Executor(concurrent.futures.ThreadPoolExecutor):
    """The event loop's executor (`asyncio.to_thread`), which knows the attempt that each call belongs to."""

    def __init__(self, left_behind: LeftBehind) -> None:
        super().__init__(thread_name_prefix="jobpools-executor")
        self._left_behind = left_behind
        self._calls: dict[concurrent.futures.Future[Any], Attempt] = {}

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Submit a call, as `asyncio.to_thread` and `run_in_executor` do."""
        future = super().submit(_call, function, *args, **kwargs)
        attempt = current_attempt.get()
        if attempt is not None:
            self._calls[future] = attempt
            future.add_done_callback(lambda done: self._calls.pop(done, None))
        return future

    def ended(self, attempt: Attempt) -> None:
        """Count the calls that still run for an attempt that ended without completing."""
        for future, caller in list(self._calls.items()):
            if caller is attempt and not future.cancel():
                job = attempt.envelope.id
                self._left_behind.add(job)
                future.add_done_callback(partial(self._remove, job))

    def _remove(self, job: str, _done: concurrent.futures.Future[Any]) -> None:
        self._left_behind.remove(job)

    def drained(self, seconds: float) -> bool:
        """Wait until no call of a job runs; return False if one still runs after so many seconds."""
        return not concurrent.futures.wait(list(self._calls), seconds).not_done
