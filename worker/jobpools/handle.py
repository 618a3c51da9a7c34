"""A job that was sent: follow it, cancel it, wait for its result, from asyncio and from sync code."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

import msgspec

from jobpools.core import json_values
from jobpools.core.descriptions import words
from jobpools.core.job import JobState
from jobpools.core.units import LONGEST, format_duration, parse_duration
from jobpools.errors import (
    ConfigurationError,
    JobCancelledError,
    JobDeadError,
    JobNotFoundError,
    ResultTimeoutError,
    StoreDataError,
)
from jobpools.store import reads, writes
from jobpools.store.codec import ResultRecord
from jobpools.store.connect import Connection

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
"""What a job returns: a list of jobs with different results is one of jobs that return an object."""
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25
"""Seconds between two looks for a result: growing, so that a long job is not asked for a thousand times."""
LOOKS_PER_END = 4
"""Looks for a result until one for another end, or none."""
Span = str | float | timedelta
"""A duration: seconds, `"1h30m"` or a timedelta."""


class Endpoint(Protocol):
    """What a handle needs of the client that sent its job."""

    def connection(self) -> Connection:
        """Return the running event loop's connection."""

    def run_sync(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine for sync code and return its result."""


class JobHandle(msgspec.Struct, Generic[R_co], frozen=True, eq=False, gc=False):
    """A job that was sent: where it is, what came out of it."""

    client: Endpoint
    """What sent it, or would have."""
    id: str
    queue: str
    new: bool = True
    """False when a job of this id was there already, and nothing was written."""
    decode: Callable[[bytes], Any] | None = None
    """As the call's."""

    async def state(self) -> JobState:
        """Where the job is now. Raises JobNotFoundError."""
        return (await self._view()).state

    async def cancel(self) -> JobState:
        """Take it out of its queue, or tell its worker to stop it; returns the state it is in then.

        A running job is stopped within a few seconds (`running` is returned). One that has ended stays as it is.
        Raises JobNotFoundError.
        """
        state = await writes.cancel(self.client.connection(), self.queue, self.id)
        if state is None:
            raise JobNotFoundError(f"no job {self.id} in queue {self.queue}")
        return state

    async def result(self, timeout: Span | None = None) -> R_co:  # noqa: ASYNC109  # the caller's wish, told in the error
        """Wait until the job has ended and return what its handler returned.

        `timeout` is a duration (`10`, `"2m"`); None waits for ever, and one that is over already looks once. Raises
        JobDeadError, JobCancelledError, JobNotFoundError, ResultTimeoutError, StoreError, and ConfigurationError for a
        timeout that is no duration.
        """
        connection, started = self.client.connection(), time.monotonic()
        patience = None if timeout is None else _patience(timeout)
        pause, looks = FIRST_PAUSE, 0
        while True:
            record = await reads.result(connection, self.queue, self.id)
            if record is not None:
                return self._value(record)
            left = None if patience is None else started + patience - time.monotonic()
            late = left is not None and left <= 0
            # The results alone do not tell of a dead job; what does is asked for more rarely.
            if late or (looks % LOOKS_PER_END == 0 and await reads.over(connection, self.queue, self.id)):
                view = await self._view()
                if view.state in (JobState.COMPLETED, JobState.CANCELLED):
                    continue  # it ended between the two looks
                if view.state is JobState.DEAD:
                    raise JobDeadError(_obituary(view))
                if late:
                    waited = format_duration(patience or 0.0)
                    raise ResultTimeoutError(f"job {self.id} had not ended after {waited}: it is {view.state}")
            looks += 1
            await asyncio.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def state_sync(self) -> JobState:
        """`state` for code without an event loop. Called in a running event loop's thread it blocks that loop."""
        return self.client.run_sync(self.state)

    def cancel_sync(self) -> JobState:
        """`cancel` for code without an event loop. Called in a running event loop's thread it blocks that loop."""
        return self.client.run_sync(self.cancel)

    def result_sync(self, timeout: Span | None = None) -> R_co:
        """`result` for code without an event loop; threads may wait at the same time.

        Called in a running event loop's thread it blocks that loop: a job that needs the loop to run never ends then.
        """
        return self.client.run_sync(lambda: self.result(timeout))

    async def _view(self) -> reads.JobView:
        view = await reads.job(self.client.connection(), self.queue, self.id)
        if view is None:
            raise JobNotFoundError(f"no job {self.id} in queue {self.queue}: it never was, or its result's TTL is over")
        return view

    def _value(self, record: ResultRecord) -> R_co:
        if record.state == JobState.CANCELLED:
            raise JobCancelledError(f"job {self.id} was cancelled")
        raw = bytes(record.result)
        if self.decode:
            return cast("R_co", self.decode(raw))
        try:
            return cast("R_co", json_values.decode(raw))
        except ValueError as error:
            raise StoreDataError(f"job {self.id}: the result cannot be read: {words(error)}") from error

    def __repr__(self) -> str:
        return f"<JobHandle {self.id} queue={self.queue}>"


def _patience(timeout: Span) -> float:
    """Seconds. What is left of a caller's deadline may be below zero, and for ever may be infinity."""
    try:
        return parse_duration(max(0.0, min(timeout, LONGEST)) if isinstance(timeout, (int, float)) else timeout)
    except ValueError as error:
        raise ConfigurationError(f"result: timeout: {error}") from error


def _obituary(view: reads.JobView) -> str:
    history = view.history
    tries = f"{history.attempts} attempts" if history.attempts != 1 else "1 attempt"
    if history.crashes:
        tries += f" and {history.crashes} crashes"
    if not history.entries:
        return f"job {view.id} ({view.name}) is dead after {tries}"
    last = history.entries[-1]
    return f"job {view.id} ({view.name}) is dead after {tries}: {last.error or last.outcome}: {last.message}"
