"""Signal handlers that jobs install, for an alarm say: what they raise concerns the job that installed them.

Python runs a signal handler wherever the main thread happens to be: in the event loop, in the worker's own code, or in
another job. An exception of it would break whatever it hits.
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
    """Make `signal.signal` remember which attempt it was called by; returns what undoes it.

    What a handler raises is raised in the code of its attempt, as anywhere; where other code runs, `blame` is called.
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
                # Not here: this is in the middle of anything.
                loop.call_soon_threadsafe(blame, attempt, error, context=contextvars.Context())

        return plain(number, guarded)

    def undo() -> None:
        signal.signal = plain

    signal.signal = remembering  # type: ignore[assignment]  # of any handler
    return undo
