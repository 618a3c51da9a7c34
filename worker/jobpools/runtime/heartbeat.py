"""Send the worker's heartbeats to Redis."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from jobpools.core.pools.worker_states import ReportedState
from jobpools.errors import StoreError, StoreUnavailableError
from jobpools.runtime.outage import Outage
from jobpools.runtime.worker_state import WorkerState
from jobpools.store.connection import Connection
from jobpools.store.heartbeats import remove_worker, write_heartbeat
from jobpools.store.running_attempts import encode_running
from jobpools.store.server import server_warnings

INTERVAL = 3.0
"""Seconds between two heartbeats of a worker whose state does not change. A command takes effect within this time."""
CHANGED_INTERVAL = 1.0
"""Seconds between two heartbeats if the number of slots in use has changed, or if the last one failed.

A change of the reported state is sent at once.
"""
CHECK_INTERVAL = 0.25
"""Seconds between two checks whether a heartbeat is due."""
REMOVE_TIMEOUT = 1.0
"""Maximum seconds to remove an ending worker from Redis."""

log = logging.getLogger("jobpools.worker")


class HeartbeatSender:
    """Sends the state of one worker to Redis, periodically and when it changes."""

    def __init__(self, connection: Connection, state: WorkerState, outage: Outage) -> None:
        self._connection = connection
        self._state = state
        self._outage = outage
        self._sent: tuple[bool, ReportedState, int] | None = None
        """Draining, state and slots in use, as last reported."""
        self._sent_at = 0.0
        self.is_announced = False
        """Whether the worker may be listed as starting."""
        self._logged: set[str] = set()
        self._has_checked_server = False

    async def announce(self) -> None:
        """Report that the worker is starting."""
        self.is_announced = True
        starting = replace(self._state.heartbeat(), state=ReportedState.STARTING)
        with contextlib.suppress(StoreError):  # `run` reports it
            self._state.reloads.note(await write_heartbeat(self._connection, starting))

    async def run(self) -> None:
        """Send heartbeats until the task is cancelled."""
        while True:
            now = time.monotonic()
            if self._is_due(now):
                await self._send(now)
            self._outage.log_end(time.monotonic())
            await asyncio.sleep(CHECK_INTERVAL)

    def _is_due(self, now: float) -> bool:
        current = self._current()
        if self._sent is None or self._sent[:2] != current[:2]:
            return True
        return now >= self._sent_at + (INTERVAL if self._sent == current else CHANGED_INTERVAL)

    def _current(self) -> tuple[bool, ReportedState, int]:
        return self._state.is_draining, self._state.reported, self._state.busy

    async def _send(self, now: float) -> None:
        self._sent, self._sent_at = self._current(), now
        try:
            attempts = encode_running(self._state.running())
            reply = await write_heartbeat(self._connection, self._state.heartbeat(), attempts=attempts)
            self._state.commands.follow(reply.command)
            self._state.reloads.note(reply)
            if not self._has_checked_server:
                self._has_checked_server = True
                for warning in await server_warnings(self._connection):
                    log.warning("%s", warning)
        except StoreError as error:
            self._sent_at += CHANGED_INTERVAL - INTERVAL  # the next one is due within CHANGED_INTERVAL
            self._log_refusal(error)

    def _log_refusal(self, error: StoreError) -> None:
        """Log an error once if it is not an outage, such as a missing permission: the steps report outages."""
        if not isinstance(error, StoreUnavailableError) and str(error) not in self._logged:
            self._logged.add(str(error))
            log.warning("worker %s: its heartbeat was refused: %s; it is not listed until one succeeds",
                        self._state.worker, error)  # fmt: skip

    async def stop(self, queues: Sequence[str]) -> None:
        """Remove this worker from Redis."""
        worker, pool = self._state.worker, self._state.pool
        try:
            async with asyncio.timeout(REMOVE_TIMEOUT):
                await remove_worker(self._connection, pool, worker, queues)
        except (StoreError, TimeoutError) as error:
            log.info("worker %s: could not remove itself from Redis: %s; its heartbeat expires", worker, error)
