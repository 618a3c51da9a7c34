"""All processes of `python -m tests.chaos`, and the faults that strike them."""

import asyncio
import random
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from jobpools.runtime import processes
from tests.chaos.programs import Program
from tests.chaos.workload import APP
from tests.support.proxy import Faults, Proxy, running_proxy
from tests.support.servers import Server, running, valkey_binary
from tests.support.workers import WorkerProcess

SETTINGS = {"CONCURRENCY": "8", "GRACE": "0.3s"}
LEASES = ("1s", "5s")
"""Leases of the workers, in turn: the first often expires; with the second, a dead worker's supervisor settles."""
NO_REWRITE = ("--auto-aof-rewrite-percentage", "0")
READ_ONLY = b"READONLY You can't write against a read only replica."
EXIT_TIMEOUT = 30.0
"""Maximum seconds for a worker to end after SIGTERM."""


class Fleet:
    """All processes that the run starts. Each worker and program has a proxy of its own to the server."""

    def __init__(self, folder: Path, workers: int) -> None:
        """Start nothing; `with` starts the server, the proxies and the workers, and ends everything."""
        self.folder = folder
        self.data = folder / "data"
        self.notes_file = folder / "notes"
        self.sent_file = folder / "sent"
        self.ended_file = folder / "ended"
        """Names of the workers that have ended."""
        self.kills = 0
        """Number of SIGKILLs sent to workers, programs and the server while they ran."""
        self.others: dict[str, int] = {}
        """Number of other faults, by kind."""
        self.server: Server
        self.proxies: list[Proxy] = []
        """One for each worker, and the last two for the producer and the controller."""
        self.workers: list[WorkerProcess] = []
        self.producer = Program(folder, "producer")
        self.controller = Program(folder, "controller")
        self._number, self._started = workers, 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.data.mkdir()
        with ExitStack() as stack:
            self.server = stack.enter_context(running(valkey_binary(), self.data, NO_REWRITE))
            self.proxies += [stack.enter_context(running_proxy(self.server.port)) for _ in range(self._number + 2)]
            stack.callback(self._kill_all)
            self.workers += [self._start_worker(place) for place in range(self._number)]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _kill_all(self) -> None:
        for each in self.workers:
            each.kill_tree()
        self.producer.kill()
        self.controller.kill()

    # Processes

    def _start_worker(self, place: int) -> WorkerProcess:
        self._started += 1
        environment = {"NOTES": str(self.notes_file), "LEASE": LEASES[place % len(LEASES)]} | SETTINGS
        return WorkerProcess(self.folder, f"w{self._started}", self.proxies[place].url, APP, **environment)

    def replace_ended(self) -> None:
        """Start a worker in the place of each that has ended, as Kubernetes does."""
        for place, worker in enumerate(self.workers):
            if worker.process.poll() is not None:
                with self.ended_file.open("a") as file:
                    file.write(f"{worker.name}\n")
                self.workers[place] = self._start_worker(place)

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
            await asyncio.sleep(draw.random() * 4)
        finally:
            worker.resume()
        return f"{worker.name}: stopped and continued"

    async def kill_server(self, draw: random.Random) -> str:
        self.server.kill()
        self.kills += 1
        await asyncio.sleep(draw.random() / 2)
        await asyncio.to_thread(self.server.start)
        return "server killed and started"

    async def disturb_network(self, draw: random.Random) -> str:
        """Cut or slow the network of one process, or of all, for up to 2.5 s."""
        name, faults = draw.choice(
            [
                ("hangs", Faults(hangs=True)),
                ("delivers late", Faults(delivers_late=True)),
                ("loses replies", Faults(cuts_reply=True)),
                ("is reset", Faults(resets=True)),
                ("resets every other connection", Faults(resets_every_other=True)),
                ("is slow", Faults(seconds=draw.random() / 2)),
                ("leads to a replica", Faults(reply=READ_ONLY, passes=(b"PING", b"CLIENT"))),
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
        return await self._kill_program(self.producer, draw)

    async def kill_controller(self, draw: random.Random) -> str:
        return await self._kill_program(self.controller, draw)

    async def _kill_program(self, program: Program, draw: random.Random) -> str:
        """Kill a program and start it again."""
        if not program.is_running:
            return f"{program.name} had ended"
        program.kill()
        self.kills += 1
        await asyncio.sleep(draw.random() / 2)
        program.start()
        return f"{program.name} killed and started"

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
