"""What tells a worker to read its settings again: a command, or changed settings of its pool."""

import asyncio

from jobpools.core.pools.worker_states import WorkerCommand
from jobpools.store.heartbeats import HeartbeatReply


class ReloadRequests:
    """The latest command to reload, and the version of the pool's settings."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """Set when there is something to do."""
        self.applied = ""
        """Version of the pool's settings that the worker has followed; empty: none. Its heartbeat reports it."""
        self._command: WorkerCommand | None = None
        self._answered = 0.0
        self._has_new_settings = False

    def note(self, reply: HeartbeatReply) -> None:
        """Note what the reply to a heartbeat says. Settings that are no longer there change nothing."""
        self._command = reply.reload
        self._has_new_settings = reply.settings not in ("", self.applied)
        if self._has_new_settings or self.command is not None:
            self.asked.set()

    @property
    def command(self) -> WorkerCommand | None:
        """The command to answer; None: there is none, or the worker has answered it."""
        return None if self._command is None or self._command.since <= self._answered else self._command

    @property
    def has_new_settings(self) -> bool:
        """Whether the pool has settings that the worker has not followed."""
        return self._has_new_settings

    def answered(self, command: WorkerCommand) -> None:
        """Note that this command is answered."""
        self._answered = command.since

    def follows(self, version: str) -> None:
        """Note that the worker follows this version of the pool's settings, or has refused it."""
        self.applied, self._has_new_settings = version, False
