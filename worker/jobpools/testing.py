"""Helpers for the tests of an application: run its enqueued jobs in the test's process.

job = await order_confirmation.enqueue(to="ada@example.com", order=order)
await run_until_idle(app)
assert await job.result() == "sent"
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from jobpools.app import App
from jobpools.context import Context
from jobpools.core.jobs.job import History, Outcome
from jobpools.core.jobs.policies import JobDefaults, QueueRef
from jobpools.core.text.names import QueueName
from jobpools.runtime.services import Services
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from jobpools.store.draws import fresh_id
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope

POOL = "default/testing"


async def run_until_idle(  # noqa: PLR0913  # every one of them has a default
    app: App,
    *,
    redis: str | None = None,
    queues: Sequence[str] = (),
    concurrency: int = 10,
    job: JobDefaults | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109  # it raises, and says which jobs are left
    horizon: float = 5.0,
) -> Worker:
    """Run a worker in this process until no job is queued, running, or due within the next `horizon` seconds.

    Args:
        app: The App whose handlers run the jobs.
        redis: URL of Redis or Valkey. Default: the App's.
        queues: Names of the queues to serve. Default: the queues of the App's handlers.
        concurrency: Maximum number of jobs that run at the same time. Default: 10.
        job: Defaults of jobs, as `spec.job` of a pool. Default: those of a pool.
        timeout: Maximum seconds to wait. Default: 30.
        horizon: Seconds within which a scheduled job is waited for. Default: 5.

    Returns:
        The worker, which has stopped; its `metrics` count what it did.

    Raises:
        TimeoutError: Jobs were left after `timeout` seconds; the message names them.
        RuntimeError: The worker failed; its log says why.

    Example:
        >>> job = await order_confirmation.enqueue(to="ada@example.com", order=7)
        >>> await run_until_idle(app)
        >>> assert await job.result() == "sent"
    """
    url = redis or app.client.url
    names = sorted(queues or {handler.queue for handler in app.handlers.values()})
    settings = WorkerSettings(
        redis_url=url,
        pool=POOL,
        worker="testing",
        queues=tuple(QueueRef(name=name) for name in names),
        concurrency=concurrency,
        job=job or JobDefaults(),
        grace=1.0,
        lease=2.0,  # a cancel reaches its job when the lease is renewed: within half a second
    )
    worker = Worker(app, settings)
    running = asyncio.create_task(worker.run())
    idle = asyncio.create_task(_wait_until_idle(worker, names, horizon))
    try:
        done, _ = await asyncio.wait([running, idle], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError(await _describe_unfinished(worker, names, timeout))
    finally:
        idle.cancel()
        worker.stop()
        code = await running
        with contextlib.suppress(asyncio.CancelledError):
            await idle
    if code:
        raise RuntimeError("run_until_idle: the worker failed; its log says why")
    return worker


async def _wait_until_idle(worker: Worker, names: Sequence[str], horizon: float) -> None:
    queues = {POOL: [QueueName(name) for name in names]}
    while True:
        facts = (await read_endpoint(worker.parts.connection, queues)).queues.values()
        busy = any(queue.demand or (queue.due_in is not None and queue.due_in < horizon) for queue in facts)
        if not busy and not worker.parts.slots.held and not any(consumer.outbox for consumer in worker.parts.consumers):
            return
        await asyncio.sleep(0.01)


async def _describe_unfinished(worker: Worker, names: Sequence[str], seconds: float) -> str:
    """Return the error message about the jobs that have not ended after so many seconds."""
    facts = await read_endpoint(worker.parts.connection, {POOL: [QueueName(name) for name in names]})
    queues = [
        f"{name}: {queue.queued} queued, {queue.due + queue.scheduled} scheduled, {queue.in_flight} running"
        for name, queue in facts.queues.items()
        if queue.demand or queue.scheduled
    ]
    running = sorted(map(str, worker.parts.slots.running))
    left = "; ".join(queues) + (f" ({', '.join(running[:5])})" if running else "")
    return f"run_until_idle: not idle after {seconds:g} s: {left}; raise timeout=, or fix the jobs"


def context(
    *,
    attempt: int = 1,
    max_attempts: int = 3,
    name: str = "test",
    queue: str = "default",
    tags: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Context:
    """Return a Context with which a test calls a handler as a plain function; it has no services.

    Args:
        attempt: Attempt number, starting at 1.
        max_attempts: Maximum number of attempts. Default: 3.
        name: Name of the handler.
        queue: Name of the queue.
        tags: The job's tags.
        metadata: The job's metadata. Default: none.
    """
    history = History(attempts=attempt - 1) if attempt > 1 else None
    meta = dict(metadata) if metadata else None
    envelope = Envelope(ENVELOPE_VERSION, fresh_id(), name, queue, msgspec.Raw(b"{}"), tags=tuple(tags), meta=meta)
    return Context(_Source(envelope, history, attempt, max_attempts), "testing.0", Services())


@dataclass
class _Source:
    """A substitute for an attempt in a worker, from which a Context reads its values."""

    envelope: Envelope
    history: History | None
    number: int
    max_attempts: int
    timeout: float = JobDefaults().timeout
    is_cancelled: bool = False
    stop_outcome: Outcome | None = None
    started_at: float = field(default_factory=time.monotonic)
    deadline: float = field(default_factory=lambda: time.monotonic() + JobDefaults().timeout)

    @property
    def logger(self) -> logging.Logger:
        return logging.getLogger(self.envelope.name)

    @property
    def log_fields(self) -> dict[str, str | int]:
        envelope = self.envelope
        return {"job_id": envelope.id, "job_name": envelope.name, "queue": envelope.queue, "attempt": self.number}


__all__ = ["context", "run_until_idle"]
