"""The jobs that are measured, the same for the worker and the floor: no-ops between two marks."""

import asyncio
import json
import sys
import time
from typing import Any

from jobpools import App, Call

QUEUE = "bench"
app = App("bench", queue=QUEUE)
drained = asyncio.Event()
_marks: list[tuple[float, float]] = []
"""(seconds of the machine's monotonic clock, seconds of this process's CPU) at the first job and at the last one."""
starts: list[float] = []
"""When each timed job began."""
late: list[float] = []
"""Seconds from the time at which each job was due until it began."""


@app.job
async def noop(n: int, to: str) -> None:  # all jobs have the same small payload
    pass


@app.job
async def mark(n: int, to: str) -> None:  # noqa: ARG001  # as above
    _marks.append((time.monotonic(), time.process_time()))
    if len(_marks) == 2:
        drained.set()


@app.job
async def timed(n: int, to: str) -> None:  # noqa: ARG001  # as above
    starts.append(time.monotonic())


@app.job
async def timestamped(n: int, to: str) -> None:  # noqa: ARG001  # as above
    report(time.monotonic())


@app.job
async def due_at(at: float) -> None:
    late.append(time.time() - at)


def arguments(n: int) -> dict[str, Any]:
    return {"n": n, "to": "customer@example.com"}


def calls(jobs: int) -> list[Call[None]]:
    """Return a queue of this many no-ops between the two marks."""
    return [mark.call(**arguments(0)), *[noop.call(**arguments(n)) for n in range(jobs)], mark.call(**arguments(jobs))]


def report(figures: object) -> None:
    """Print one line of JSON for the process that measures."""
    json.dump(figures, sys.stdout)
    print(flush=True)


def between_marks() -> dict[str, float]:
    """Return the seconds and the CPU seconds from the first mark to the last."""
    (began, cpu), (ended, cpu_then) = _marks
    return {"seconds": ended - began, "cpu": cpu_then - cpu}
