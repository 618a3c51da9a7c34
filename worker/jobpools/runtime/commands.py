"""Carry out the commands that users give to this worker: pause, resume and stop."""

import asyncio
import logging
from collections.abc import Sequence

from jobpools.core.pools.worker_states import CommandKind, WorkerCommand
from jobpools.core.text.names import WorkerId
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.slots import Slots

log = logging.getLogger("jobpools.worker")


class CommandFollower:
    """Follows the command that a user has given to this worker."""

    def __init__(self, worker: WorkerId, consumers: Sequence[Consumer], slots: Slots, wakeup: asyncio.Event) -> None:
        """`wakeup` wakes the dispatcher."""
        self.current: WorkerCommand | None = None
        """The command; None: none was given, or the worker was resumed."""
        self.stop_requested = asyncio.Event()
        self._worker = worker
        self._consumers = consumers
        self._slots = slots
        self._wakeup = wakeup

    def follow(self, command: WorkerCommand | None) -> None:
        """Follow this command, which may be the current one; None resumes a paused worker. A stop is final."""
        if command == self.current or self.stop_requested.is_set():
            return
        self.current = command
        if command is None:
            self._resume()
        elif command.kind is CommandKind.PAUSE:
            self._slots.is_paused = True
            log.warning("worker %s: paused %s; it claims no jobs, and its running jobs continue", self._worker, command)
        else:
            log.info("worker %s: told to stop %s", self._worker, command)
            self.stop_requested.set()

    def _resume(self) -> None:
        self._slots.is_paused = False
        for consumer in self._consumers:
            consumer.may_have_jobs = True  # wake-ups went to other workers meanwhile
        self._wakeup.set()
        log.warning("worker %s: resumed; it claims jobs again", self._worker)
