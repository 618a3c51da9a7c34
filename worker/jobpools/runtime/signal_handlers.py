"""Assign what a job's signal handler raises (for example for an alarm) to the job that installed it.

Python runs a signal handler at the current line of the main thread: in the event loop, in the worker's own code, or in
another job. An exception of the handler would break that code.
"""

import asyncio
import contextvars
import functools
import signal
from collections.abc import Callable
from typing import Any

from jobpools.runtime import forking
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import current_attempt


def prepare(loop: asyncio.AbstractEventLoop, blame: Callable[[Attempt, BaseException], None]) -> Callable[[], None]:
    """Make `signal.signal` remember the attempt that called it; return a function that undoes this.

    While code of the handler's own attempt runs, the exception is raised there. While other code runs, `blame` is
    called.
    """
    plain = signal.signal

    @functools.wraps(plain)
    def remembering(number: int, handler: Any) -> Any:
        attempt = current_attempt.get()
        if attempt is None or not callable(handler):
            return plain(number, handler)

        @functools.wraps(handler)
        def guarded(*args: Any) -> Any:
            try:
                return handler(*args)
            except BaseException as error:
                if current_attempt.get() is attempt or forking.is_child:
                    raise
                # Not raised here: the interrupted code belongs to another job or to the worker.
                loop.call_soon_threadsafe(blame, attempt, error, context=contextvars.Context())

        return plain(number, guarded)

    def undo() -> None:
        signal.signal = plain

    signal.signal = remembering  # type: ignore[assignment]  # of any handler
    return undo
