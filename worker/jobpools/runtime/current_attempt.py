"""The attempt whose code is running: known in its task, tasks that it starts, its callbacks and `asyncio.to_thread`."""

import asyncio
import contextvars
from typing import Any, cast

from jobpools.observability.job_fields import logged_attempt
from jobpools.runtime.attempt import Attempt

current_attempt = cast("contextvars.ContextVar[Attempt | None]", logged_attempt)
"""Set once for each attempt. Tasks, callbacks and `asyncio.to_thread` copy the context, and with it this value."""

RUN_HANDLE = asyncio.Handle._run.__code__  # noqa: SLF001  # asyncio has no public way
"""The code of the frame in which the event loop runs a task's step or a callback; its `self` is the handle."""


def attempt_of(handle: Any) -> Attempt | None:
    """Return the attempt that a handle of the event loop belongs to; None: it belongs to no job."""
    found: Attempt | None = handle._context.get(current_attempt)  # noqa: SLF001  # as above
    return found
