"""Read the settings of a running worker again, and apply those that can change while it runs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobpools.core.configuration.resolution import Resolution, SettingChange, changes
from jobpools.core.configuration.values import with_unit
from jobpools.core.pools.worker_states import ReloadAnswer, WorkerCommand
from jobpools.core.text.error_text import error_message, error_type
from jobpools.errors import SettingsError, StoreError
from jobpools.runtime.reload_requests import ReloadRequests
from jobpools.runtime.worker_parts import WorkerParts
from jobpools.settings import WorkerSettings
from jobpools.store.pool_settings import read_settings
from jobpools.store.worker_commands import answer_reload

LIVE = frozenset({"preset", "concurrency", "queues", "job", "queue", "grace", "log_level", "log_interval"})
"""Settings that change while a worker runs; all others are read when it starts."""
VALUE_LIMIT = 80
"""Maximum characters of a value in a message."""

ReadSettings = Callable[[Mapping[str, str]], Resolution[WorkerSettings]]
"""Reads all settings again. The variables of the argument replace those of the environment. Raises SettingsError."""

log = logging.getLogger("jobpools.worker")


class Reloader:
    """Changes the settings of one running worker."""

    def __init__(self, parts: WorkerParts, requests: ReloadRequests, read: ReadSettings | None) -> None:
        """`read` None: the settings were given in code, and cannot be read again."""
        self._parts = parts
        self._requests = requests
        self._read = read
        self._variables: dict[str, str] = {}
        """The settings of the pool, as last read from Redis."""

    async def run(self) -> None:
        """Follow each request, until the task is cancelled."""
        while True:
            await self._requests.asked.wait()
            self._requests.asked.clear()
            await self.follow()

    async def follow(self) -> None:
        """Read and apply the settings if that is requested, and answer a command."""
        command = self._requests.command
        if command is None and not self._requests.has_new_settings:
            return
        version = ""
        try:
            version, variables = await read_settings(self._parts.connection, self._parts.live.settings.pool)
        except StoreError as error:
            if command is None:  # the next heartbeat asks again
                return
            answer = ReloadAnswer(problem=f"the settings of the pool cannot be read: {error}")
        else:
            self._variables = variables or self._variables
            answer = self._guarded_reload()
        if version:
            self._requests.follows(version)
        self._log(command, answer)
        if command is not None:
            await self._answer(command, answer)

    def _guarded_reload(self) -> ReloadAnswer:
        """Reload. The worker continues with the settings that it has, whatever goes wrong."""
        try:
            return self._reload()
        except Exception as error:
            log.exception("worker %s: an unexpected error while it read its settings", self._parts.worker)
            return ReloadAnswer(problem=f"an unexpected error: {error_type(error)}: {error_message(error)}")

    def _reload(self) -> ReloadAnswer:
        if self._read is None:
            return ReloadAnswer(problem="its settings were given in code; start it again with others")
        parts = self._parts
        try:
            found = self._read(self._variables)
        except SettingsError as error:
            return ReloadAnswer(problem="; ".join(error.problems))
        changed = changes(Resolution(parts.live.settings, {}), found)
        live = {name for name in LIVE if name != "queues" or parts.live.can_serve(found.settings)}
        parts.live.apply(parts.live.settings.model_copy(update={name: getattr(found.settings, name) for name in live}))
        return ReloadAnswer(
            changed=tuple(_describe(each) for each in changed if _field(each) in live),
            kept=tuple(_describe(each) for each in changed if _field(each) not in live),
        )

    def _log(self, command: WorkerCommand | None, answer: ReloadAnswer) -> None:
        cause = "the settings of its pool have changed" if command is None else f"told to reload {command}"
        if command is None and not (answer.changed or answer.kept or answer.problem):
            log.debug("worker %s: it has the settings of its pool already", self._parts.worker)
        elif answer.problem:
            log.error("worker %s: %s; %s", self._parts.worker, cause, answer)
        else:
            log.warning("worker %s: %s; %s", self._parts.worker, cause, answer)

    async def _answer(self, command: WorkerCommand, answer: ReloadAnswer) -> None:
        parts = self._parts
        try:
            await answer_reload(parts.connection, parts.live.settings.pool, parts.worker, command.since, answer)
        except StoreError:
            log.debug("worker %s: its answer did not reach Redis", parts.worker, exc_info=True)  # tried again
        else:
            self._requests.answered(command)


def _field(change: SettingChange) -> str:
    """Return the name of the setting that a change is in: `job` of `job.timeout`."""
    return change.name.partition(".")[0]


def _describe(change: SettingChange) -> str:
    before, after = (with_unit(WorkerSettings, change.name, value) for value in (change.before, change.after))
    return f"{change.name} {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    """Return a value as a short text; queues as on the command line, as in `emails,reports=2`."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        text = ",".join(_shown_queue(each) for each in value) or "none"
    else:
        text = str(value)
    return text if len(text) <= VALUE_LIMIT else f"{text[: VALUE_LIMIT - 1]}…"


def _shown_queue(value: Any) -> str:
    name, weight = getattr(value, "name", None), getattr(value, "weight", 1)
    return str(value) if name is None else f"{name}={weight}" if weight != 1 else str(name)
