"""Answer probes and scrapes, and show the supervisor what the worker is doing."""

import asyncio
import os
import time
from collections.abc import Collection, Mapping, Sequence

from jobpools.errors import ConfigurationError
from jobpools.observability.http_messages import Response, encode
from jobpools.observability.http_server import HttpServer
from jobpools.observability.metrics_text import CONTENT_TYPE, render
from jobpools.runtime import link, probes
from jobpools.runtime.attempt import BoundHandler
from jobpools.runtime.vitals import Vitals
from jobpools.runtime.worker_state import WorkerState
from jobpools.settings import READY_FD, WorkerSettings

PUBLISH_INTERVAL = 0.1
"""Seconds between two updates of the worker's state for the supervisor."""


class Monitoring:
    """The probe port and the link to the supervisor; both are optional."""

    def __init__(self, state: WorkerState, vitals: Vitals, description: Mapping[str, object], port: int) -> None:
        """Prepare the monitoring. `description`: what the supervisor must know. `port`: 0 opens no probe port."""
        self._state = state
        self._vitals = vitals
        self._description = description
        self._port = port
        self._http_server: HttpServer | None = None

    def start(self) -> None:
        """Open the port. The supervisor answers on it; without a supervisor, a thread answers.

        Raises:
            ConfigurationError: The port is taken.
        """
        if self._port:
            self._http_server = self._open()
        supervisor = link.of_this_process()
        self.publish()
        if supervisor is None:
            if self._http_server is not None:
                self._http_server.start()
            return
        supervisor.hello(self._description, None if self._http_server is None else self._http_server.socket)
        supervisor.serve(lambda: encode(self._metrics()))
        if self._http_server is not None:
            self._http_server.socket.close()
            self._http_server = None

    def describe(self, settings: WorkerSettings, queues: Sequence[str], handlers: Collection[BoundHandler]) -> None:
        """Send the supervisor the worker's changed description."""
        supervisor = link.of_this_process()
        if supervisor is not None:
            supervisor.hello(description(str(self._description["worker"]), settings, queues, handlers), None)

    def _open(self) -> HttpServer:
        routes = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}
        try:
            return HttpServer(self._port, routes)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise ConfigurationError(f"--probe-port {self._port}: {why}; use another port, or 0 for none") from error

    def publish(self) -> None:
        """Update the state that the supervisor reads."""
        self._vitals.publish(self._state.snapshot())

    async def run(self) -> None:
        """Publish periodically while the event loop runs, until the task is cancelled."""
        while True:
            self.publish()
            await asyncio.sleep(PUBLISH_INTERVAL)

    def stop(self) -> None:
        """Close the port."""
        if self._http_server is not None:
            self._http_server.close()

    def _livez(self) -> Response:
        return probes.livez(self._state.snapshot(), time.monotonic())

    def _readyz(self) -> Response:
        return probes.readyz(self._state.snapshot())

    def _metrics(self) -> Response:
        return Response(200, CONTENT_TYPE, render(self._state.collect(), {"pool": self._state.pool}))


def description(
    worker: str, settings: WorkerSettings, queues: Sequence[str], handlers: Collection[BoundHandler]
) -> dict[str, object]:
    """Return the settings with which the supervisor can renew and settle this worker's leases."""
    limit = settings.job.max_crashes
    return {
        "worker": worker,
        "pool": settings.pool,
        "redis_url": settings.redis_url,
        "queues": list(queues),
        "lease": settings.lease,
        "max_crashes": limit,
        "max_crashes_of": {each.name: each.max_crashes for each in handlers if each.max_crashes != limit},
        "log": settings.log,
        "relayed": bool(os.environ.get(READY_FD)),
        "code": [each.code for each in handlers],
    }
