"""The long-running tasks of a worker."""

import asyncio

from jobpools.runtime.background_tasks import BackgroundTasks


async def test_a_task_that_ignores_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def lose_first_cancellation() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    tasks = BackgroundTasks()
    part = tasks.start("lose_first_cancellation", lose_first_cancellation())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert (part.cancelled(), lost) == (True, 1)
