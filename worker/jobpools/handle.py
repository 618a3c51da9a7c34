"""Handles of enqueued jobs: their state, cancellation and result, for asyncio and for sync code."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

import msgspec

from jobpools.core.jobs import json_values
from jobpools.core.jobs.job import DeadReason, JobState
from jobpools.core.text.durations import MAX_DURATION, format_duration, parse_duration
from jobpools.core.text.error_text import error_message
from jobpools.core.text.plurals import count_of
from jobpools.errors import (
    ConfigurationError,
    JobCancelledError,
    JobDeadError,
    JobNotFoundError,
    ResultTimeoutError,
    StoreDataError,
)
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job, read_result
from jobpools.store.records import ResultRecord
from jobpools.waiting import Waiters

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
"""A job's result type. Covariant: handles with different result types fit in one list of `JobHandle[object]`."""
Span = str | float | timedelta
"""A duration: seconds, `"1h30m"` or a timedelta."""


class Endpoint(Protocol):
    """The part of a client that a handle uses."""

    @abstractmethod
    def connection(self) -> Connection:
        """Return the running event loop's connection."""

    @abstractmethod
    def waiters(self) -> Waiters:
        """Return the running event loop's waiters for the ends of jobs."""

    @abstractmethod
    def run_sync(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine for sync code and return its result."""


class JobHandle(msgspec.Struct, Generic[R_co], frozen=True, eq=False, gc=False):
    """An enqueued job: its state, its cancellation and its result.

    Example:
        >>> job = await order_confirmation.enqueue(to="ada@example.com", order=7)
        >>> await job.result(timeout="10s")
    """

    client: Endpoint
    """The client that enqueued the job."""
    id: str
    """The job's id."""
    queue: str
    """The job's queue."""
    new: bool = True
    """False if a job with this id was known already, so that nothing was written."""
    decode: Callable[[bytes], Any] | None = None
    """Converts the result's JSON to the handler's result type; None: plain JSON values."""

    async def state(self) -> JobState:
        """Return the job's current state.

        Raises:
            JobNotFoundError: The job does not exist, or its result has expired.
            StoreError: Redis refused the command or is unreachable.
        """
        return (await self._view()).state

    async def cancel(self) -> JobState:
        """Cancel the job: remove it from its queue, or ask its worker to stop it.

        Returns:
            The state afterwards: `cancelled`, or `running` if its worker will stop it within a few seconds. A job that
            has ended keeps its state.

        Raises:
            JobNotFoundError: The job does not exist, or its result has expired.
            StoreError: Redis refused the command or is unreachable.
        """
        state = await cancel_job(self.client.connection(), self.queue, self.id)
        if state is None:
            raise self._not_found()
        return state

    async def result(self, timeout: Span | None = None) -> R_co:  # noqa: ASYNC109  # the error message names the timeout
        """Wait until the job has ended and return what its handler returned.

        The server notifies all waiting callers when the job ends; no caller polls. If the server becomes
        unreachable during the wait, the wait continues.

        Args:
            timeout: Maximum time to wait: seconds, text such as `"90s"` or `"1h30m"`, or a timedelta. None (default)
                waits without limit; 0 or less reads the state once.

        Raises:
            JobDeadError: The job is in the dead-letter queue; it has the last error's type, message and traceback.
            JobCancelledError: The job was cancelled.
            JobNotFoundError: The job does not exist, its result has expired, or it completed with `result_ttl` 0.
            ResultTimeoutError: The job did not end within the timeout. It continues to run.
            StoreError: Redis refused the command or is unreachable.
            ConfigurationError: The timeout is not a duration.

        Example:
            >>> job = await order_confirmation.enqueue(to="ada@example.com", order=7)
            >>> await job.result(timeout="10s")
            'sent'
        """
        limit = None if timeout is None else timeout_seconds("result", timeout)
        deadline = None if limit is None else time.monotonic() + limit
        while True:
            in_time = await self._wait_for_end(deadline)
            record = await read_result(self.client.connection(), self.queue, self.id)
            if record is not None:
                return self._result_of(record)
            # Without a record the job is dead, its end is being written, or (after a replay) it runs again: wait again.
            await self._check_unfinished(limit, in_time=in_time)

    async def _check_unfinished(self, limit: float | None, *, in_time: bool) -> None:
        """Raise JobDeadError if the job is dead, and ResultTimeoutError if it did not end within `limit` seconds."""
        view = await self._view()
        if view.state is JobState.DEAD:
            raise _dead_error(view)
        if not in_time and view.state not in (JobState.COMPLETED, JobState.CANCELLED):
            waited = format_duration(limit or 0.0)
            raise ResultTimeoutError(
                f"job {self.id}: had not ended after {waited}: it is {view.state}; wait longer, or cancel it"
            )

    async def _wait_for_end(self, deadline: float | None) -> bool:
        """Wait until the job has ended, and return whether it did before the deadline (monotonic seconds)."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        try:
            async with asyncio.timeout(left):
                await self.client.waiters().ended(self.queue, self.id)
        except TimeoutError:
            return False
        return True

    def state_sync(self) -> JobState:
        """Return the state, from code without an event loop; in the thread of an event loop it blocks that loop."""
        return self.client.run_sync(self.state)

    def cancel_sync(self) -> JobState:
        """Cancel the job, from code without an event loop; in the thread of an event loop it blocks that loop."""
        return self.client.run_sync(self.cancel)

    def result_sync(self, timeout: Span | None = None) -> R_co:
        """Wait for the result from code without an event loop; arguments and errors are those of `result`.

        Several threads may wait at the same time. In the thread of an event loop it blocks that loop: a job that runs
        on that loop then never ends.
        """
        return self.client.run_sync(lambda: self.result(timeout))

    async def _view(self) -> JobView:
        view = await read_job(self.client.connection(), self.queue, self.id)
        if view is None:
            raise self._not_found()
        return view

    def _not_found(self) -> JobNotFoundError:
        return JobNotFoundError(
            f"job {self.id}: not in queue {self.queue}: it never existed, or its result has expired; check id and queue"
        )

    def _result_of(self, record: ResultRecord) -> R_co:
        if record.state == JobState.CANCELLED:
            raise JobCancelledError(f"job {self.id} was cancelled")
        raw = bytes(record.result)
        if self.decode:
            return cast("R_co", self.decode(raw))
        try:
            return cast("R_co", json_values.decode(raw))
        except ValueError as error:
            raise StoreDataError(f"job {self.id}: the result cannot be read: {error_message(error)}") from error

    def __repr__(self) -> str:
        return f"<JobHandle {self.id} queue={self.queue}>"


def timeout_seconds(call: str, timeout: Span) -> float:
    """Return a timeout in seconds. A negative number, such as a remaining time, is 0; infinity is MAX_DURATION."""
    try:
        return parse_duration(max(0.0, min(timeout, MAX_DURATION)) if isinstance(timeout, (int, float)) else timeout)
    except ValueError as error:
        raise ConfigurationError(f"{call}: timeout: {error}") from error


def _dead_error(view: JobView) -> JobDeadError:
    history = view.history
    last = history.entries[-1] if history.entries else None
    return JobDeadError(
        _death_message(view),
        history.reason or "",
        error_type="" if last is None else last.error,
        error_message="" if last is None else last.message,
        remote_traceback="" if last is None else last.traceback,
        attempts=history.attempts,
        crashes=history.crashes,
    )


def _death_message(view: JobView) -> str:
    history = view.history
    counts = [count_of(history.attempts, "attempt")] if history.attempts or not history.crashes else []
    if history.crashes:
        counts.append(count_of(history.crashes, "crash", "crashes"))
    text = f"job {view.id} ({view.name}) is dead after {' and '.join(counts)}"
    if history.reason in (DeadReason.OVERFLOW, DeadReason.EXPIRED):  # no attempt is the cause
        return f"job {view.id} ({view.name}) is dead: {history.note}"
    if not history.entries:
        return f"job {view.id} ({view.name}) is dead: {history.note}" if history.note else text
    last = history.entries[-1]
    return f"{text}: {last.error or last.outcome}: {last.message}"
