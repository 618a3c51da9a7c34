"""The start time, memory and idle commands of a worker: printed, and checked against limits for a loaded machine."""

import os
import statistics
import time
from pathlib import Path

from jobpools import App
from jobpools.store.connection import Connection
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess, running_workers

APP = "tests.runtime.jobs:app"


MAX_START = 1.0
"""Maximum seconds from the start of a worker to the end of its first job."""
MAX_MEMORY = 52.0
"""Maximum MiB of all processes of an idle worker."""


def memory(process: int, what: str) -> float:
    """Return memory in MiB: `Rss`, or `Pss`, which counts a page that n processes share as an n-th for each."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def cpu_seconds(process: int) -> float:
    """Return the user and system CPU seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(text: str) -> None:
    print(f"\n{text}")  # noqa: T201  # a figure for people


async def test_a_worker_starts_its_first_job_within_a_second(valkey_url: str, tmp_path: Path) -> None:
    """The start includes Python, the app and its imports. The goal on an idle machine is 0.25 s.

    On a busy machine only the worker's CPU time is meaningful.
    """
    took, used = [], []
    async with App("sender", redis=valkey_url) as sender:
        for n in range(5):
            job = await sender.enqueue("nap", {"seconds": 0}, queue="default")
            begun = time.monotonic()
            worker = WorkerProcess(tmp_path, f"w{n}", valkey_url, APP, PROBE_PORT="0")
            try:
                await job.result(timeout=20)
                took.append(time.monotonic() - begun)
                used.append(sum(map(cpu_seconds, worker.tree())))
            finally:
                worker.kill()
    middle = statistics.median(took)
    report(f"worker start to first job: best {min(took):.2f} s, median {middle:.2f} s; CPU {min(used):.2f} s")
    assert min(used) < MAX_START
    if os.getloadavg()[0] < (os.cpu_count() or 1):
        assert min(took) < MAX_START


async def test_an_idle_worker_takes_little_memory_and_sends_few_commands(
    valkey_url: str, tmp_path: Path, store: Connection
) -> None:
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(tmp_path, valkey_url, APP, "a") as (a,):
            job = await sender.enqueue("nap", {"seconds": 0}, queue="default")
            await job.result(timeout=10)
            eventually("it is idle", lambda: a.metric("jobpools_busy") == 0)
            tree = a.tree()
            size = sum(memory(each, "Pss") for each in tree)
            resident = [memory(each, "Rss") for each in tree]
            before, begun = await commands(store), time.monotonic()
            # Some commands are sent every 3 to 10 s: a short interval could contain one too many of each.
            eventually("the interval in which commands are counted", lambda: time.monotonic() - begun > 20)
            sent = await commands(store) - before
            a_second = sent / (time.monotonic() - begun)
    each = " + ".join(f"{one:.1f}" for one in resident)
    report(f"an idle worker: {size:.1f} MiB (resident: {each}), {a_second:.2f} commands a second ({sent} in 20 s)")
    assert size < MAX_MEMORY
    assert a_second < 1


async def commands(store: Connection) -> int:
    """Return how many commands clients have sent, without those of this test and those inside scripts."""
    stats = await store.execute("INFO", "commandstats")
    count = 0
    for name, values in stats.items():
        if name.removeprefix("cmdstat_") in ("evalsha", "eval", "blpop", "ping", "info"):
            count += values["calls"]
    return count
