"""One round of each measurement: a new process, on a server that holds only what the round needs."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from jobpools import Call
from jobpools.client import Client
from jobpools.runtime import processes
from jobpools.store import keys
from tests.bench import floor
from tests.bench.jobs import QUEUE, app, arguments, timed, timestamped
from tests.support.servers import Server

DEADLINE = 60.0
"""Maximum seconds of one round."""
PACE = 0.01
"""Seconds between two jobs for an idle worker, which is idle again after less."""
IDLE = 5.0
"""Seconds for which the commands of an idle worker are counted."""
SENT = ("evalsha", "eval", "blpop")
"""Commands that worker and floor send while they work; data commands are called inside of the scripts."""


def started(subject: str, what: str, server: Server, number: int) -> subprocess.Popen[str]:
    """Start `python -m tests.bench.floor drain URL 10`, which prints lines of JSON."""
    command = [sys.executable, "-m", f"tests.bench.{subject}", what, server.url, str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> Any:
    """Return the last line of the process, as soon as it has ended."""
    try:
        text, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    if process.returncode:
        raise SystemExit(f"bench: {process.args!r} ended with exit code {process.returncode}")
    return json.loads(text)


def calls_of(info: dict[str, Any]) -> dict[str, int]:
    """Return the number of calls by command, from the reply to INFO."""
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in info.items() if "cmdstat_" in name}


def empty(server: Server) -> None:
    app.use(Client(server.url))
    with server.client() as client:
        client.flushall()
        client.hset(keys.of_queue(QUEUE, "policy"), "max_depth", 0)


async def send(calls: Sequence[Call[None]]) -> None:
    async with app:
        await app.enqueue_many(calls)


def drain(server: Server, slots: int, calls: Sequence[Call[None]], subject: str) -> dict[str, float]:
    """Return the jobs per second from the first start to the last, and the CPU, commands and bytes of each job."""
    empty(server)
    asyncio.run(send(calls))
    with server.client() as client:
        client.config_resetstat()
        before = client.info()
        found = answer(started(subject, "drain", server, slots))
        after = client.info("all")
    jobs = len(calls)
    called = calls_of(after)
    cpu = sum(after[f"used_cpu_{kind}"] - before[f"used_cpu_{kind}"] for kind in ("user", "sys"))
    return {
        "rate": jobs / found["seconds"],
        "cpu": found["cpu"] / jobs * 1e6,
        "server cpu": cpu / jobs * 1e6,
        "sent": sum(called.get(name, 0) for name in SENT) / jobs,
        "called": sum(called.values()) / jobs,
        "bytes": (after["total_net_input_bytes"] + after["total_net_output_bytes"]) / jobs,
    }


def pick_up(server: Server, jobs: int, subject: str) -> list[float]:
    """Return the milliseconds from the sender's call to the job's start in an idle worker, the shortest first."""
    empty(server)
    process = started(subject, "pick_up", server, jobs)
    assert process.stdout is not None
    process.stdout.readline()
    called = asyncio.run(_one_by_one(server.url, jobs, subject))
    began = answer(process)
    return sorted((then - now) * 1000 for now, then in zip(called, began, strict=True))


async def _one_by_one(url: str, jobs: int, subject: str) -> list[float]:
    called = []
    connection = await floor.connect(url)
    async with app:
        for n in range(jobs):
            await asyncio.sleep(PACE)
            called.append(time.monotonic())
            if subject == "floor":
                job = msgspec.json.encode(floor.Envelope(f"job-{n}", "timed", arguments(n)))
                await floor.call(connection, "RPUSH", floor.READY, job)
            else:
                await timed.enqueue(**arguments(n))
    await connection.disconnect()
    return called


def sending(server: Server, what: str, jobs: int, subject: str) -> float:
    """Return the jobs per second that one process sends."""
    empty(server)
    seconds: float = answer(started(subject, what, server, jobs))
    return jobs / seconds


def lateness(server: Server, what: str, jobs: int) -> list[float]:
    """Return how late each job starts, in seconds. `what`: `delayed` or `ticks`."""
    empty(server)
    found: list[float] = answer(started("accuracy", what, server, jobs))
    return found


def pending(server: Server, calls: Sequence[Call[None]]) -> float:
    """Return the bytes of the server's memory for each job that waits."""
    empty(server)
    with server.client() as client:
        before = client.info("memory")["used_memory"]
        asyncio.run(send(calls))
        used = client.info("memory")["used_memory"]
    return float(used - before) / len(calls)


def idle(server: Server, bytecode: str) -> dict[str, float]:
    """Return the seconds from the start of `jobpools worker` to its first job, and the costs of the idle worker.

    `bytecode` is the folder of Python's bytecode, which an image contains and a checkout may not.
    """
    empty(server)
    asyncio.run(send([timestamped.call(**arguments(0))]))
    command = [str(Path(sys.executable).with_name("jobpools")), "worker"]
    env = os.environ | {"JOBPOOLS_APP": "tests.bench.jobs:app", "JOBPOOLS_REDIS_URL": server.url}
    env |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
    now = time.monotonic()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            began = float(process.stdout.readline())
            time.sleep(1)  # by then it has settled the job and is idle
            with server.client() as client:
                client.config_resetstat()
                time.sleep(IDLE)
                sent = sum(client.info("commandstats").get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in SENT)
            held = sum(map(proportional, [process.pid, *processes.descendants(process.pid)]))
        finally:
            process.terminate()
    return {"start": began - now, "commands": sent / IDLE, "MB": held / 1e6}


def proportional(pid: int) -> int:
    """Return the bytes of a process's memory; a page that n processes share counts as the n-th part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
