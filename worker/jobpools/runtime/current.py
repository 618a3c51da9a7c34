"""The attempt whose code is running: known in its task, in tasks and threads it starts, and in its callbacks."""

import contextvars
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobpools.runtime.attempt import Run

attempt: contextvars.ContextVar["Run | None"] = contextvars.ContextVar("jobpools_attempt", default=None)
"""Set once for each attempt; whatever copies the context (tasks, callbacks, `asyncio.to_thread`) has it too."""
