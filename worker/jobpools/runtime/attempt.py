"""The values that pass between claim, execution and settlement: a handler's entry and one attempt in hand."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobpools.context import Context
from jobpools.core.jobs.job import History, OutcomeKind
from jobpools.core.jobs.retry import Retry
from jobpools.runtime.metrics import Tally
from jobpools.runtime.services import Services
from jobpools.store.codec import Envelope

if TYPE_CHECKING:
    from jobpools.runtime.lane import Lane


class Entry:
    """A handler as this worker runs it: what `@app.job` left open is filled in with the pool's defaults."""

    __slots__ = (
        "call",
        "decode",
        "encode_result",
        "max_crashes",
        "name",
        "number",
        "result_ttl",
        "retry",
        "tally",
        "timeout",
    )

    def __init__(self, name: str, tally: Tally) -> None:
        self.name = name
        self.tally = tally
        self.number = 0
        """Its place among the worker's handlers."""
        self.call: Callable[[Context, dict[str, Any]], Any]
        self.decode: Callable[[bytes], dict[str, Any]]
        self.encode_result: Callable[[Any], bytes]
        self.timeout: float
        self.retry: Retry
        self.result_ttl: float
        self.max_crashes: int


class Run:
    """One attempt in hand, from its claim to its settlement."""

    __slots__ = (
        "claimed", "deadline", "entry", "envelope", "history", "lane", "member", "row", "settled", "started", "task",
        "timeout", "verdict",
    )  # fmt: skip

    def __init__(self, lane: "Lane", member: str, envelope: Envelope, entry: Entry, history: History | None) -> None:
        self.lane = lane
        self.member = member
        self.envelope = envelope
        self.entry = entry
        self.history = history
        self.claimed = 0.0
        self.row = 0
        """Its place in the memory that the supervisor reads; 0: it has none."""
        self.started = 0.0
        """By the monotonic clock; 0: not yet."""
        self.deadline = 0.0
        """When it is told to stop, and once it was told, when its patience ends."""
        timeout = envelope.timeout
        self.timeout = entry.timeout if timeout is None else timeout
        self.verdict: OutcomeKind | None = None
        """Why it was told to stop; None: it ends by itself."""
        self.settled = False
        """How it ended is decided; what comes later does not count."""
        self.task: asyncio.Task[None] | None = None

    @property
    def max_crashes(self) -> int:
        """The most times it may take its worker down: the job's own limit, else the handler's."""
        limit = self.envelope.max_crashes
        return self.entry.max_crashes if limit is None else limit

    @property
    def worker(self) -> str:
        """Who runs it."""
        return self.lane.worker

    @property
    def services(self) -> Services:
        """What its worker opened."""
        return self.lane.services
