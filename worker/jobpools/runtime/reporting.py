"""What a worker tells of itself: its heartbeat in Redis, and the answers of its endpoints."""

import asyncio
import inspect
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobpools.core.pools.facts import Heartbeat
from jobpools.errors import ConfigurationError, StoreError, StoreUnavailableError
from jobpools.observability.http_messages import Response, encode
from jobpools.observability.http_server import HttpServer
from jobpools.observability.metrics_text import CONTENT_TYPE, gauge, render
from jobpools.runtime import link, probes
from jobpools.runtime.vitals import Seen
from jobpools.settings import READY_FD
from jobpools.store import reads, writes

if TYPE_CHECKING:
    from jobpools.runtime.worker import Worker

HEARTBEAT_INTERVAL = 5.0
"""Seconds between two heartbeats; a change of draining is told at once, other slots in use soon."""
SOON = 1.0
"""Seconds after a heartbeat until the next one where the number of slots in use has changed."""
CHECK_INTERVAL = 0.25
PUBLISH_INTERVAL = 0.1
"""Seconds between two times at which the supervisor is told how the worker is."""

log = logging.getLogger("jobpools.worker")


class Reporting:
    """Heartbeats, and endpoints where a port is given."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._http_server: HttpServer | None = None
        self._version = _version()
        self._told: set[str] = set()

    def start(self) -> None:
        """Open the endpoints. Raises ConfigurationError when the port is taken."""
        if port := self._worker.settings.probe_port:
            routes = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}
            try:
                self._http_server = HttpServer(port, routes)
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else str(error)
                raise ConfigurationError(f"--probe-port {port}: {why}: give another one, or 0 for none") from error
        self._connect()

    def _connect(self) -> None:
        """Have the supervisor answer on the port; without one, a thread does."""
        supervisor = link.of_this_process()
        self.publish()
        if supervisor is None:
            if self._http_server is not None:
                self._http_server.start()
            return
        supervisor.hello(self._hello(), None if self._http_server is None else self._http_server.socket)
        supervisor.serve(lambda: encode(self._metrics()))
        if self._http_server is not None:
            self._http_server.socket.close()
            self._http_server = None

    def _hello(self) -> dict[str, object]:
        """What the supervisor must know to act in this worker's place."""
        worker, settings = self._worker, self._worker.settings
        limits = {name: entry.max_crashes for name, entry in worker.entries.items()}
        return {
            "worker": worker.id,
            "pool": settings.pool,
            "redis_url": settings.redis_url,
            "queues": [lane.queue for lane in worker.lanes],
            "lease": settings.lease,
            "max_crashes": settings.job.max_crashes,
            "max_crashes_of": {name: limit for name, limit in limits.items() if limit != settings.job.max_crashes},
            "log": settings.log,
            "passed_on": bool(os.environ.get(READY_FD)),
            "code": [_code(worker.app.handlers[name].function) for name in worker.entries],
        }

    def publish(self) -> None:
        """Tell the supervisor how the worker is."""
        self._worker.vitals.publish(self._seen())

    async def publish_again_and_again(self) -> None:
        """Tell the supervisor how the worker is, as long as the event loop moves."""
        while True:
            self.publish()
            await asyncio.sleep(PUBLISH_INTERVAL)

    async def run(self) -> None:
        """Heartbeat after heartbeat."""
        told_draining, told_busy, told = None, 0, 0.0
        warned = False
        while True:
            draining, busy = self._draining(), self._busy()
            interval = HEARTBEAT_INTERVAL if busy == told_busy else SOON
            if draining != told_draining or time.monotonic() - told >= interval:
                told_draining, told_busy, told = draining, busy, time.monotonic()
                try:
                    await writes.heartbeat(self._worker.connection, self._heartbeat())
                    if not warned:
                        warned = True
                        for warning in await reads.server_warnings(self._worker.connection):
                            log.warning("%s", warning)
                except StoreError as error:
                    # The steps tell of an outage; this one only tries again, a second later.
                    told += 1 - HEARTBEAT_INTERVAL
                    self._refused(error)
            self._worker.outage.look(time.monotonic())
            await asyncio.sleep(CHECK_INTERVAL)

    def _refused(self, error: StoreError) -> None:
        """Tell once what an outage of the steps does not tell, as a missing right."""
        if not isinstance(error, StoreUnavailableError) and str(error) not in self._told:
            self._told.add(str(error))
            log.warning("worker %s: its heartbeat was refused: %s; it is not listed until one succeeds",
                        self._worker.id, error)  # fmt: skip

    async def stop(self) -> None:
        """Forget this worker in Redis and close the endpoints."""
        try:
            async with asyncio.timeout(1):
                queues = [lane.queue for lane in self._worker.lanes]
                await writes.forget_worker(self._worker.connection, self._worker.settings.pool, self._worker.id, queues)
        except (StoreError, TimeoutError) as error:
            log.info("worker %s: could not say goodbye to Redis: %s", self._worker.id, error)
        if self._http_server is not None:
            self._http_server.close()

    def _draining(self) -> bool:
        return self._worker.dispatcher.draining or self._worker.processor.stopping

    def _busy(self) -> int:
        """Return the number of slots in use, by the leases that this worker holds.

        An attempt that has ended keeps its slot until Redis has recorded its end: that step also claims the next job.
        Counted by the attempts that run, the figure fell to zero for one round trip whenever several ended together.
        """
        return min(self._worker.settings.concurrency, sum(len(lane.held) for lane in self._worker.lanes))

    def _heartbeat(self) -> Heartbeat:
        worker = self._worker
        server, idle = worker.processor.time, worker.processor.idle_since
        return Heartbeat(
            worker=worker.id,
            pool=worker.settings.pool,
            slots=worker.settings.concurrency,
            busy=self._busy(),
            started=server.at(worker.started),
            seen=server.now(),
            idle_since=None if idle is None else server.at(idle),
            draining=self._draining(),
            version=self._version,
            rss_bytes=_rss_bytes(),
            completed=worker.metrics.completed,
            failed=worker.metrics.failed,
            left_behind=worker.processor.left_behind.count,
        )

    def _seen(self) -> Seen:
        processor = self._worker.processor
        return Seen(
            beat=self._worker.leases.renewed,
            watched=processor.watched,
            progress=self._worker.dispatcher.progress,
            outage=self._worker.outage.known,
            stopping=processor.stopping,
            deadline=max((run.deadline for run in list(processor.running) if run.started), default=0.0),
        )

    def _livez(self) -> Response:
        return probes.livez(self._seen(), time.monotonic())

    def _readyz(self) -> Response:
        return probes.readyz(self._seen())

    def _metrics(self) -> Response:
        worker = self._worker
        processor = worker.processor
        gauges = (
            gauge("jobpools_slots", "How many jobs this worker runs at once.", float(worker.settings.concurrency)),
            gauge("jobpools_busy", "Slots in use.", float(self._busy())),
            gauge("jobpools_waiting", "Jobs claimed and not started.", float(len(processor.waiting))),
            gauge("jobpools_redis_up", "1 while Redis answers.", float(not worker.outage.known)),
            gauge(
                "jobpools_threads_left_behind",
                "Threads and coroutines that outlived their attempts.",
                float(processor.left_behind.count),
            ),
            gauge("jobpools_worker_start_time_seconds", "When the worker started.", processor.time.at(worker.started)),
            gauge("jobpools_worker_resident_memory_bytes", "Memory in use.", float(_rss_bytes())),
        )
        text = render([*worker.metrics.collect(), *gauges], {"pool": worker.metrics.pool})
        return Response(200, CONTENT_TYPE, text)


def _code(function: Callable[..., object]) -> tuple[str, str]:
    """Where a handler's code is, as a traceback of a fatal signal names it: file and function."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return ("", "") if code is None else (code.co_filename, code.co_name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("jobpools")
    except PackageNotFoundError:
        return ""


def _rss_bytes() -> int:
    """Resident memory; 0 where the system does not tell."""
    import resource

    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # no pathlib on the heartbeat's path
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
