"""Workers, a producer and a server that faults strike at random: all processes of `python -m tests.chaos`."""

import asyncio
import random
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from jobpools.runtime import processes
from tests.chaos.producer import Order
from tests.support.proxy import Faults, Proxy, running_proxy
from tests.support.servers import Server, running, valkey_binary
from tests.support.workers import ROOT, WorkerProcess

APP = "tests.chaos.workload:app"
SETTINGS = {"LEASE": "1s", "CONCURRENCY": "8", "GRACE": "0.3s"}
NO_REWRITE = ("--auto-aof-rewrite-percentage", "0")
EXIT_TIMEOUT = 30.0
"""Maximum seconds for a worker to end after SIGTERM."""


class Fleet:
    """All processes that the run starts. Each worker and the producer has a proxy of its own to the server."""

    def __init__(self, folder: Path, workers: int) -> None:
        """Start nothing; `with` starts the server, the proxies and the workers, and ends everything."""
        self.folder = folder
        self.data = folder / "data"
        self.notes_file = folder / "notes"
        self.sent_file = folder / "sent"
        self.kills = 0
        """Number of SIGKILLs sent to workers, server and producer while they ran."""
        self.others: dict[str, int] = {}
        """Number of other faults, by kind."""
        self.server: Server
        self.proxies: list[Proxy] = []
        """One for each worker, and the last one for the producer."""
        self.workers: list[WorkerProcess] = []
        self._producer: subprocess.Popen[bytes] | None = None
        self._order: Order | None = None
        self._number, self._started = workers, 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.data.mkdir()
        with ExitStack() as stack:
            self.server = stack.enter_context(running(valkey_binary(), self.data, NO_REWRITE))
            self.proxies += [stack.enter_context(running_proxy(self.server.port)) for _ in range(self._number + 1)]
            stack.callback(self._kill_all)
            self.workers += [self._start_worker(place) for place in range(self._number)]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _kill_all(self) -> None:
        for each in self.workers:
            each.kill_tree()
        self._end_producer()

    # Processes

    def _start_worker(self, place: int) -> WorkerProcess:
        self._started += 1
        environment = {"NOTES": str(self.notes_file)} | SETTINGS
        return WorkerProcess(self.folder, f"w{self._started}", self.proxies[place].url, APP, **environment)

    def replace_ended(self) -> None:
        """Start a worker in the place of each that has ended, as Kubernetes does."""
        for place, worker in enumerate(self.workers):
            if worker.process.poll() is not None:
                self.workers[place] = self._start_worker(place)

    def start_producer(self, order: Order) -> None:
        """Start the producer, or start it again."""
        self._order = order
        command = [sys.executable, "-m", "tests.chaos.producer", order.as_argument()]
        with (self.folder / "producer.log").open("ab") as log:
            self._producer = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def producer_exit(self) -> int | None:
        """Return the exit code of the producer; None: it runs."""
        return None if self._producer is None else self._producer.poll()

    def _end_producer(self) -> None:
        if self._producer is not None:
            self._producer.kill()
            self._producer.wait()

    async def stop_workers(self) -> list[str]:
        """End all workers with SIGTERM, and return the names of those that had to be killed."""
        for each in self.workers:
            each.send(signal.SIGTERM)
        ended = await asyncio.gather(*[asyncio.to_thread(_ended, each) for each in self.workers])
        return [each.name for each, in_time in zip(self.workers, ended, strict=True) if not in_time]

    # Faults: each is over when its coroutine has returned. `replace_ended` alone starts workers: two that replace the
    # same worker would lose one from `workers`.

    async def kill_worker(self, place: int, draw: random.Random) -> str:
        """Kill the supervisor, the process that runs the jobs, or both at the same moment."""
        worker = self.workers[place]
        tree = worker.tree()
        which = draw.choice(["supervisor", "worker", "both"])
        targets = {"supervisor": tree[:1], "worker": tree[1:2] or tree, "both": tree}[which]
        if worker.process.poll() is None:
            processes.send(targets, signal.SIGKILL)
            self.kills += 1
        await asyncio.to_thread(_ended, worker)
        return f"{worker.name}: {which} killed"

    async def end_worker(self, place: int, _: random.Random) -> str:
        """Stop a worker with SIGTERM, as a deploy does."""
        worker = self.workers[place]
        worker.send(signal.SIGTERM)
        self._count("SIGTERMs")
        await asyncio.to_thread(_ended, worker)
        return f"{worker.name}: SIGTERM"

    async def pause_worker(self, place: int, draw: random.Random) -> str:
        """Stop a whole worker with SIGSTOP, often for longer than its lease, and continue it."""
        worker = self.workers[place]
        if worker.process.poll() is not None:
            return f"{worker.name} had ended"
        worker.pause()
        self._count("SIGSTOPs")
        try:
            await asyncio.sleep(draw.random() * 2.5)
        finally:
            worker.resume()
        return f"{worker.name}: stopped and continued"

    async def kill_server(self, draw: random.Random) -> str:
        self.server.kill()
        self.kills += 1
        await asyncio.sleep(draw.random() / 2)
        await asyncio.to_thread(self.server.start)
        return "server killed and started"

    async def pause_server(self, draw: random.Random) -> str:
        self.server.pause()
        self._count("SIGSTOPs")
        try:
            await asyncio.sleep(draw.random() * 1.5)
        finally:
            self.server.resume()
        return "server stopped and continued"

    async def disturb_network(self, draw: random.Random) -> str:
        """Cut or slow the network of one process, or of all, for up to 2.5 s."""
        name, faults = draw.choice(
            [
                ("hangs", Faults(hangs=True)),
                ("loses replies", Faults(cuts_reply=True)),
                ("is reset", Faults(resets=True)),
                ("resets every other connection", Faults(resets_every_other=True)),
                ("is slow", Faults(seconds=draw.random() / 2)),
            ]
        )
        struck = self.proxies if draw.random() < 0.2 else [draw.choice(self.proxies)]
        for each in struck:
            each.faults = faults
        self._count("network faults")
        try:
            await asyncio.sleep(draw.random() * 2.5)
        finally:
            for each in struck:
                each.faults = Faults()
        return f"network of {len(struck)} {name}"

    async def kill_producer(self, draw: random.Random) -> str:
        """Kill the producer and start it again."""
        if self._producer is None or self._order is None or self._producer.poll() is not None:
            return "producer had ended"
        self._end_producer()
        self.kills += 1
        await asyncio.sleep(draw.random() / 2)
        self.start_producer(self._order)
        return "producer killed and started"

    def _count(self, what: str) -> None:
        self.others[what] = self.others.get(what, 0) + 1


def _ended(worker: WorkerProcess) -> bool:
    """Wait until a worker has ended, and return whether it did in time; if not, it is killed."""
    try:
        worker.wait(EXIT_TIMEOUT)
    except subprocess.TimeoutExpired:
        worker.kill_tree()
        return False
    return True
