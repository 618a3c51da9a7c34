"""The results of many jobs, in the order in which the jobs end."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import Any, Literal, TypeVar, overload

from jobpools.core.text.durations import format_duration
from jobpools.errors import JobCancelledError, JobDeadError, JobError, JobNotFoundError, ResultTimeoutError
from jobpools.handle import JobHandle, Span, timeout_seconds

R = TypeVar("R")
Ended = asyncio.Queue["asyncio.Task[Any]"]
"""Tasks that wait for one job each, in the order in which the jobs end."""


@overload
def results(
    jobs: Iterable[JobHandle[R]], timeout: Span | None = None, *, return_exceptions: Literal[False] = False
) -> AsyncGenerator[tuple[JobHandle[R], R]]: ...
@overload
def results(
    jobs: Iterable[JobHandle[R]], timeout: Span | None = None, *, return_exceptions: bool
) -> AsyncGenerator[tuple[JobHandle[R], R | JobError]]: ...
async def results(
    jobs: Iterable[JobHandle[Any]],
    timeout: Span | None = None,  # noqa: ASYNC109  # the error message names the timeout
    *,
    return_exceptions: bool = False,
) -> AsyncGenerator[tuple[JobHandle[Any], Any]]:
    """Yield each job and its result, as the jobs end. The server notifies the caller; nothing polls.

    Args:
        jobs: Handles of jobs, of any queues.
        timeout: Maximum time to wait for all of them, in the forms of `JobHandle.result`. Default: no limit.
        return_exceptions: Whether to yield the JobDeadError, JobCancelledError or JobNotFoundError of a job as its
            result. Default: the first one is raised and ends the iteration.

    Raises:
        JobError: A job has no result, as `JobHandle.result` says, unless `return_exceptions` is true.
        ResultTimeoutError: Not all jobs ended within the timeout. They continue to run.
        StoreError: Redis refused the command or is unreachable.

    Example:
        >>> jobs = await app.enqueue_many(resize.call(photo) for photo in photos)
        >>> async for job, size in results(jobs, timeout="1m"):
        ...     print(job.id, size)
    """
    limit = None if timeout is None else timeout_seconds("results", timeout)
    deadline = None if not limit else time.monotonic() + limit
    ended: Ended = asyncio.Queue()
    # With a limit of 0 each state is read once; otherwise one deadline holds for all.
    tasks = {asyncio.create_task(job.result(0 if limit == 0 else None)): job for job in jobs}
    for task in tasks:
        task.add_done_callback(ended.put_nowait)
    try:
        for left in range(len(tasks), 0, -1):
            found = await _next(ended, deadline)
            if found is None:
                waited = format_duration(limit or 0.0)
                raise ResultTimeoutError(f"results: {left} of {len(tasks)} jobs had not ended after {waited}")
            try:
                value = found.result()
            except (JobDeadError, JobCancelledError, JobNotFoundError) as error:
                if not return_exceptions:
                    raise
                value = error
            yield tasks[found], value
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next(ended: Ended, deadline: float | None) -> "asyncio.Task[Any] | None":
    """Return the next task that ends; None: none did before the deadline (monotonic seconds)."""
    try:
        async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
            return await ended.get()
    except TimeoutError:
        return None


@overload
def results_sync(
    jobs: Iterable[JobHandle[R]], timeout: Span | None = None, *, return_exceptions: Literal[False] = False
) -> Generator[tuple[JobHandle[R], R]]: ...
@overload
def results_sync(
    jobs: Iterable[JobHandle[R]], timeout: Span | None = None, *, return_exceptions: bool
) -> Generator[tuple[JobHandle[R], R | JobError]]: ...
def results_sync(
    jobs: Iterable[JobHandle[Any]], timeout: Span | None = None, *, return_exceptions: bool = False
) -> Generator[tuple[JobHandle[Any], Any]]:
    """Yield each job and its result from code without an event loop; arguments and errors are those of `results`.

    The waiting runs in the client's own thread, as that of `JobHandle.result_sync`. In the thread of an event loop it
    blocks that loop: a job that runs on that loop then never ends.

    Example:
        >>> jobs = app.enqueue_many_sync(resize.call(photo) for photo in photos)
        >>> for job, size in results_sync(jobs, timeout="1m"):
        ...     print(job.id, size)
    """
    handles = list(jobs)
    if not handles:
        return
    waiting = results(handles, timeout, return_exceptions=return_exceptions)
    client = handles[0].client
    try:
        while (found := client.run_sync(lambda: _advance(waiting))) is not None:
            yield found
    finally:
        client.run_sync(waiting.aclose)


async def _advance(waiting: AsyncGenerator[tuple[JobHandle[Any], Any]]) -> tuple[JobHandle[Any], Any] | None:
    """Return the next job and its result; None: there are no more."""
    return await anext(waiting, None)
