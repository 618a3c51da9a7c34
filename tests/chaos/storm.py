"""The course of one run: jobs are sent while faults strike, then everything is repaired and the queue drains."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobpools.errors import StoreError
from jobpools.store import ledger, queue_policies
from jobpools.store.connection import Connection, connect
from tests.chaos.fleet import Fleet
from tests.chaos.producer import Order, read_sent
from tests.chaos.workload import QUEUE

DRAIN_TIMEOUT = 180.0
"""Maximum seconds, after the faults, until all jobs are sent and have ended."""
STANDSTILL = 60.0
"""Seconds without a new end after which the drain is given up: a job whose retry or lease is due would have run."""
POLL_INTERVAL = 0.2
RESUME_TRIES = 100
Fault = Callable[[random.Random], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run."""

    jobs: int
    seconds: float
    seed: int
    workers: int
    cancel_share: float


@dataclass(slots=True)
class Progress:
    """How far a run is, for the line that a terminal shows."""

    options: Options
    begin: float
    """By the monotonic clock."""
    sent: int = 0
    ended: int = 0
    kills: int = 0
    latest: str = ""
    """The latest fault."""

    def __str__(self) -> str:
        seconds = time.monotonic() - self.begin
        counts = f"{self.sent} of {self.options.jobs} sent, {self.ended} ended, {self.kills} kills"
        return f"chaos: {seconds:3.0f} s: {counts}; {self.latest}"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is known at the end besides the records."""

    totals: ledger.Ledger
    stuck_workers: list[str]
    """Workers that did not end after SIGTERM."""
    producer_problem: str
    """Why the producer did not send all jobs; empty: it did."""


async def run(fleet: Fleet, options: Options, report: Callable[[Progress], None]) -> Aftermath:
    """Run the jobs and the faults, and return when the queue is empty, or does not change any more."""
    progress = Progress(options, time.monotonic())
    begin, sending = time.time(), options.seconds * 0.9
    order = Order(
        url=fleet.proxies[-2].url,
        sent_file=str(fleet.sent_file),
        seed=options.seed,
        jobs=options.jobs,
        cancel_share=options.cancel_share,
        begin=begin,
        end=begin + sending,
        deadline=begin + options.seconds + DRAIN_TIMEOUT,
    )
    fleet.producer.start(order.as_argument())
    fleet.controller.start(fleet.proxies[-1].url, str(fleet.ended_file), str(begin + options.seconds))
    connection = connect(fleet.server.url)
    reporting = asyncio.create_task(_report(fleet, connection, progress, report))
    try:
        await _strike(fleet, options, progress)
        progress.latest = "no more faults; the queue drains"
        await _drain(fleet, options, progress)
        progress.latest = "workers stop"
        fleet.controller.kill()
        stuck = await fleet.stop_workers()
        # What counts is what a server reads back from its disk.
        await fleet.kill_server(random.Random(options.seed))  # noqa: S311  # repeatable
        return Aftermath(await _totals(connection), stuck, _producer_problem(fleet, options))
    finally:
        reporting.cancel()
        with suppress(asyncio.CancelledError):
            await reporting
        await connection.aclose()


async def _strike(fleet: Fleet, options: Options, progress: Progress) -> None:
    """Let each kind of fault strike at random instants of its own, at the same time as the others."""
    until = time.monotonic() + options.seconds
    plans: list[tuple[str, float, Fault]] = [
        ("server", 6.0, fleet.kill_server),
        ("network", 2.0, fleet.disturb_network),
        ("policy", 10.0, partial(_pause_queue, fleet)),
        ("producer", 7.0, fleet.kill_producer),
        ("controller", 7.0, fleet.kill_controller),
    ]
    async with asyncio.TaskGroup() as group:
        for name, mean, fault in plans:
            draw = random.Random(f"{options.seed}-{name}")  # noqa: S311  # repeatable
            group.create_task(_repeat(draw, mean, until, fault, progress))
        for place in range(len(fleet.workers)):
            draw = random.Random(f"{options.seed}-worker-{place}")  # noqa: S311  # repeatable
            group.create_task(_repeat(draw, 1.5 * len(fleet.workers), until, _worker_fault(fleet, place), progress))
        group.create_task(_replace_ended(fleet, until))


async def _pause_queue(fleet: Fleet, draw: random.Random) -> str:
    """Pause the queue and resume it, whatever happens to the server meanwhile."""
    connection = connect(fleet.server.url)
    try:
        with suppress(StoreError):
            await queue_policies.pause(connection, QUEUE, by="chaos", reason="a test")
        await asyncio.sleep(draw.random())
        for _ in range(RESUME_TRIES):
            with suppress(StoreError):
                await queue_policies.resume(connection, QUEUE)
                return "queue paused and resumed"
            await asyncio.sleep(POLL_INTERVAL)
        raise TimeoutError("the queue could not be resumed")
    finally:
        await connection.aclose()


def _worker_fault(fleet: Fleet, place: int) -> Fault:
    async def strike(draw: random.Random) -> str:
        fault = draw.choices([fleet.kill_worker, fleet.end_worker, fleet.pause_worker], [3, 1, 2])[0]
        return await fault(place, draw)

    return strike


async def _repeat(draw: random.Random, mean: float, until: float, fault: Fault, progress: Progress) -> None:
    """Strike after random times of this mean, in seconds, until the time is over."""
    while time.monotonic() + (pause := draw.expovariate(1 / mean)) < until:
        await asyncio.sleep(pause)
        progress.latest = await fault(draw)


async def _replace_ended(fleet: Fleet, until: float) -> None:
    while time.monotonic() < until:
        fleet.replace_ended()
        await asyncio.sleep(0.1)


async def _drain(fleet: Fleet, options: Options, progress: Progress) -> None:
    """Wait until all jobs are sent and have ended; give up after a time, or when nothing changes."""
    until = time.monotonic() + DRAIN_TIMEOUT
    changed, before = time.monotonic(), (-1, -1)
    while time.monotonic() < min(until, changed + STANDSTILL):
        fleet.replace_ended()
        now = (progress.sent, progress.ended)
        if now == (options.jobs, options.jobs):
            return
        if now != before:
            changed, before = time.monotonic(), now
        await asyncio.sleep(POLL_INTERVAL)


async def _report(fleet: Fleet, connection: Connection, progress: Progress, report: Callable[[Progress], None]) -> None:
    """Keep the progress up to date, and report it, until the task is cancelled."""
    while True:
        with suppress(StoreError):
            totals = (await ledger.read(connection, [QUEUE]))[QUEUE]
            progress.ended = totals.completed + totals.cancelled + totals.dead
        progress.sent, progress.kills = read_sent(Path(fleet.sent_file)), fleet.kills
        report(progress)
        await asyncio.sleep(POLL_INTERVAL)


async def _totals(connection: Connection) -> ledger.Ledger:
    for _ in range(50):
        with suppress(StoreError):
            return (await ledger.read(connection, [QUEUE]))[QUEUE]
        await asyncio.sleep(POLL_INTERVAL)
    return (await ledger.read(connection, [QUEUE]))[QUEUE]


def _producer_problem(fleet: Fleet, options: Options) -> str:
    code, sent = fleet.producer.exit_code, read_sent(fleet.sent_file)
    if code == 0 and sent == options.jobs:
        return ""
    lines = fleet.producer.log.read_text().splitlines()
    return f"exit code {code}, {sent} of {options.jobs} sent; {lines[-1] if lines else 'nothing in its log'}"
