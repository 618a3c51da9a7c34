"""The attempt whose code is running: known in its task, in tasks and threads it starts, and in its callbacks."""

import asyncio
import contextvars
import logging
from typing import Any, TypeVar

from jobpools.runtime.attempt import Attempt

T = TypeVar("T")
attempt: contextvars.ContextVar[Attempt | None] = contextvars.ContextVar("jobpools_attempt", default=None)
"""Set once for each attempt; whatever copies the context (tasks, callbacks, `asyncio.to_thread`) has it too."""

RUN_HANDLE = asyncio.Handle._run.__code__  # noqa: SLF001  # asyncio has no public way
"""The code of the frame in which the event loop runs a task's step or a callback; its `self` is the handle."""

log = logging.getLogger("jobpools.worker")


def attempt_of(handle: Any) -> Attempt | None:
    """Return the attempt that a handle of the event loop belongs to; None: it is no job's."""
    found: Attempt | None = handle._context.get(attempt)  # noqa: SLF001  # as above
    return found


class WorkerTask(asyncio.Task[T]):
    """A task of the worker, or of one attempt (`owner`): the code of other jobs cannot cancel it.

    A handler may cancel `asyncio.all_tasks()`, as programs do when they end: those of the worker are among them.
    """

    __slots__ = ("owner",)
    owner: Attempt
    """Not set: the worker itself."""

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the task, unless the code of a job asks for it that the task does not belong to."""
        caller = attempt.get()
        if caller is None or caller is getattr(self, "owner", None):
            return super().cancel(msg)
        log.warning("%s: it may not cancel a task of the worker or of another job", caller)
        return False
