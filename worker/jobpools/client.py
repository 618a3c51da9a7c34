"""Sending jobs and following them: what a web process uses, and all of it that needs no handler's code."""

import asyncio
import inspect
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, cast
from weakref import WeakKeyDictionary

import msgspec

from jobpools.core import json_values
from jobpools.core.descriptions import words
from jobpools.core.job import JobState, Priority
from jobpools.core.retry import Retry
from jobpools.core.spelling import meant
from jobpools.core.units import LONGEST, QUEUE_LIMIT, QUEUE_PATTERN, format_duration, parse_duration
from jobpools.errors import (
    ArgumentsError,
    ConfigurationError,
    JobCancelledError,
    JobDeadError,
    JobNotFoundError,
    PayloadTooLargeError,
    ResultTimeoutError,
    StoreDataError,
)
from jobpools.settings import DEFAULT_MAX_PAYLOAD
from jobpools.store import connect, draws, reads, writes
from jobpools.store.codec import VERSION, Envelope, ResultRecord, check_id, encode

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
"""What a job returns: a list of jobs with different results is one of jobs that return an object."""
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25
"""Seconds between two looks for a result: growing, so that a long job is not asked for a thousand times."""
LOOKS_PER_END = 4
"""Looks for a result until one for another end, or none."""
_QUEUE = re.compile(QUEUE_PATTERN)


Span = str | float | timedelta
"""A duration: seconds, `"1h30m"` or a timedelta."""


class HandlerValues(TypedDict, total=False):
    """What both `@app.job(…)` and `options(…)` may say."""

    queue: str
    priority: Priority | Literal["high", "normal", "low"]
    tags: Sequence[str]
    timeout: Span
    """The longest an attempt may run."""
    retry: Retry
    """What happens after a failed attempt."""
    result_ttl: Span
    """How long the job and its result stay readable after it completed; 0: not at all."""
    max_crashes: int
    """How many times the job may take its worker down before it is dead."""


class OptionValues(HandlerValues, total=False):
    """What `options(…)` may say."""

    delay: Span
    """Not before this much later."""
    at: datetime
    """Not before this moment; it must have a time zone."""
    id: str
    """The job's own id: a second job of this id is not accepted while the first is known."""


@dataclass(frozen=True, slots=True)
class Options:
    """The checked form of OptionValues; None leaves it to the handler, and then to the pool."""

    queue: str | None = None
    priority: str = "normal"
    delay: float = 0.0
    at: float | None = None
    id: str | None = None
    tags: tuple[str, ...] = ()
    timeout: float | None = None
    retry: Retry | None = None
    result_ttl: float | None = None
    max_crashes: int | None = None

    @classmethod
    def make(cls, call: str = "", /, **given: Unpack[OptionValues]) -> "Options":
        """Raises ConfigurationError for a name or a value that is none; None counts as not said.

        `call` is who was given them, as the error names it.
        """
        values = checked(call, given, _CHECKS)
        if values.keys() >= {"at", "delay"}:
            raise ConfigurationError(f"{call}{': ' * bool(call)}give at or delay, not both")
        return cls(**values)


def checked(call: str, given: Mapping[str, Any], checks: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The checked form of the options that are not None. Raises ConfigurationError for a name or a value that is none.

    `call` is who was given them, as the error names it; a check raises ValueError or TypeError.
    """
    place = f"{call}: " if call else ""
    values: dict[str, Any] = {}
    for name, value in given.items():
        check = checks.get(name)
        if check is None:
            raise ConfigurationError(f"{place}{name}: no such option{meant(name, checks)}")
        try:
            if value is not None:
                values[name] = check(value)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{place}{name}: {error}") from error
    return values


def check_queue(name: str) -> str:
    """The name itself. Raises ValueError when a queue cannot be called so: a brace would split its keys."""
    if not isinstance(name, str) or len(name) > QUEUE_LIMIT or not _QUEUE.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a queue: 1 to {QUEUE_LIMIT} letters, digits, and -_. between them")
    return name


def _priority(given: str) -> str:
    if given not in tuple(Priority):
        raise ValueError(f"{given!r} is none: write high, normal or low")
    return str(Priority(given))


def _moment(at: datetime) -> float:
    if not isinstance(at, datetime):
        raise TypeError(f"{at!r} is no moment: write datetime.now(UTC) + timedelta(hours=1)")
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone: give it one, as in datetime.now(UTC)")
    return at.timestamp()


def _tags(given: Sequence[str]) -> tuple[str, ...]:
    found = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(each, str) for each in found) or (given and not found):
        raise ValueError(f"{given!r} is no list of strings")
    return found


def _retry(given: Retry) -> Retry:
    if not isinstance(given, Retry):
        raise TypeError(f"{given!r} is no Retry: write Retry(max_attempts=5)")
    if inspect.iscoroutinefunction(given.function):
        raise ValueError(f"its function {given.function.__name__} is async, and nobody awaits it: write a plain one")
    return given


def at_least_one(given: int) -> int:
    """The number itself. Raises ValueError when it is none from 1 on."""
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ValueError(f"{given!r} is no number from 1 on")
    return given


def _timeout(given: Span) -> float:
    if not (seconds := parse_duration(given)):
        raise ValueError("0 leaves a job no time at all")
    return seconds


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "queue": check_queue,
    "priority": _priority,
    "tags": _tags,
    "timeout": _timeout,
    "retry": _retry,
    "result_ttl": parse_duration,
    "max_crashes": at_least_one,
    "delay": parse_duration,
    "at": _moment,
    "id": check_id,
}
"""What each option must be, and its checked form."""


class Call(writes.Sending, Generic[R_co], frozen=True, eq=False, gc=False):
    """A job that is checked and encoded, and not sent yet."""

    decode: Callable[[bytes], Any] | None = None
    """Makes the handler's result type of its JSON; None: plain JSON values."""


class JobHandle(msgspec.Struct, Generic[R_co], frozen=True, eq=False, gc=False):
    """A job that was sent: where it is, what came out of it."""

    client: "Client"
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


class Client:
    """Sends jobs to one Redis. It connects when it first has to, once for each event loop and once for sync code."""

    def __init__(self, url: str, max_payload: int = DEFAULT_MAX_PAYLOAD) -> None:
        self.url = url
        self.max_payload = max_payload
        """Bytes of the largest encoded job."""
        self._connections: WeakKeyDictionary[asyncio.AbstractEventLoop, connect.Connection] = WeakKeyDictionary()
        self._sync: connect.SyncConnection | None = None

    def connection(self) -> connect.Connection:
        """The running event loop's connection."""
        loop = asyncio.get_running_loop()
        found = self._connections.get(loop)
        if found is None:
            found = self._connections[loop] = connect.connect(self.url)
        return found

    def call(self, name: str, args: bytes, options: Options, decode: Callable[[bytes], Any] | None = None) -> Call[Any]:
        """Make a job of its arguments' JSON. Raises ArgumentsError, PayloadTooLargeError and ConfigurationError."""
        if options.retry is not None and options.retry.function is not None:
            raise ConfigurationError(
                f"{name}: a retry function is code and cannot travel: give it to @app.job(retry=…)"
            )
        now = time.time()
        if options.id is None:
            job_id, enqueued = draws.job_id(now), None
        else:
            job_id, enqueued = options.id, now
        envelope = Envelope(
            VERSION, job_id, name, options.queue or "default", msgspec.Raw(args), options.priority, options.timeout,
            options.retry, options.result_ttl, options.max_crashes, options.tags, enqueued,
        )  # fmt: skip
        try:
            payload = encode(envelope)
        except UnicodeEncodeError as error:
            raise ArgumentsError(f"{name!r}: the job's name or a tag is no UTF-8: {error}") from error
        if len(payload) > self.max_payload:
            raise PayloadTooLargeError(
                f"{name}: the encoded job takes {len(payload)} bytes, more than {self.max_payload}: send a reference "
                f"to the data instead, or raise JOBPOOLS_MAX_PAYLOAD"
            )
        return Call(envelope, payload, options.at, options.delay, decode)

    def call_json(self, name: str, args: Mapping[str, Any], options: Options) -> Call[Any]:
        """Make a job whose handler is not known here. Raises ArgumentsError when the arguments are not JSON."""
        if not name.strip():
            raise ArgumentsError("a job needs a name")
        try:
            raw = json_values.encode(dict(args))
        except Exception as error:  # a serializer of the user's class may raise anything
            raise ArgumentsError(f"{name}: the arguments are not JSON: {words(error)}") from error
        return self.call(name, raw, options)

    async def enqueue(self, call: Call[R]) -> JobHandle[R]:
        """Send one job. Raises StoreError: then it is not known whether it arrived; its id makes another try safe."""
        return (await self.enqueue_many([call]))[0]

    def enqueue_sync(self, call: Call[R]) -> JobHandle[R]:
        """The same for code without an event loop; threads may share it."""
        if self._sync is None:
            self._sync = connect.connect_sync(self.url)
        new = writes.enqueue_sync(self._sync, [call])[0]
        return JobHandle(self, call.envelope.id, call.envelope.queue, new, call.decode)

    async def enqueue_many(self, calls: Sequence[Call[R]]) -> list[JobHandle[R]]:
        """Send jobs, up to 500 a round trip; a round trip's jobs are accepted together."""
        accepted = await writes.enqueue(self.connection(), calls)
        return [
            JobHandle(self, call.envelope.id, call.envelope.queue, new, call.decode)
            for call, new in zip(calls, accepted, strict=True)
        ]

    async def aclose(self) -> None:
        """Close the connections of this event loop and of sync code."""
        if self._sync is not None:
            self._sync.close()
            self._sync = None
        found = self._connections.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.aclose()
