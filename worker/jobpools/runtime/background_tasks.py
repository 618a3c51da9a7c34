"""The long-running tasks of a worker, one for each part that works in a loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from jobpools.runtime.worker_task import WorkerTask

CANCEL_INTERVAL = 0.5
"""Seconds after which a task that has not ended is cancelled again."""


class BackgroundTasks:
    """Tasks that run until they are cancelled. One that ends by itself has a bug."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task on the running event loop."""
        task = WorkerTask(work, loop=asyncio.get_running_loop(), name=name)
        self._tasks.append(task)
        return task

    async def watch(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        """Wait until `stop` is set or a task ends; return the tasks that have ended."""
        stopped = WorkerTask(stop.wait())
        await asyncio.wait([stopped, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        return [task for task in self._tasks if task.done()]

    async def cancel(self) -> None:
        """Cancel all tasks, repeatedly, until they have ended.

        Before Python 3.12, `asyncio.wait_for` in a client library can lose a cancellation.
        """
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=CANCEL_INTERVAL)
