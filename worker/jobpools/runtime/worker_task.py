"""Tasks that the code of jobs cannot cancel."""

import asyncio
import logging
from typing import Any, TypeVar

from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import current_attempt

T = TypeVar("T")

log = logging.getLogger("jobpools.worker")


class WorkerTask(asyncio.Task[T]):
    """A task of the worker, or of one attempt (`owner`): the code of other jobs cannot cancel it.

    A handler may cancel `asyncio.all_tasks()`, as programs do when they end: those of the worker are among them.
    """

    __slots__ = ("owner",)
    owner: Attempt
    """Not set for a task of the worker itself."""

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the task, unless the caller is the code of a job that the task does not belong to."""
        caller = current_attempt.get()
        if caller is None or caller is getattr(self, "owner", None):
            return super().cancel(msg)
        log.warning("%s: it may not cancel a task of the worker or of another job", caller)
        return False
