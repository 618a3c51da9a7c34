"""What a worker reports about itself, and what a user may tell it to do."""

from dataclasses import dataclass
from enum import StrEnum


class ReportedState(StrEnum):
    """State of a worker in its heartbeat. A worker that has ended sends none: its pod or process shows how it ended."""

    STARTING = "starting"
    """It opens its services and has claimed no job."""
    RUNNING = "running"
    PAUSED = "paused"
    """It claims no job until it is resumed; its running jobs continue."""
    STOPPING = "stopping"
    """It finishes its running jobs and ends."""


@dataclass(frozen=True, slots=True)
class RunningAttempt:
    """An attempt that a worker runs, as it reports it."""

    job_id: str
    fence: str
    """Distinguishes its lease from others of the same worker and job."""
    queue: str
    name: str
    """Name of the handler."""
    number: int
    """Number of the attempt, starting at 1; crashed attempts count."""
    started: float
    """When its handler was started: seconds since the epoch, by the server's clock."""


class CommandKind(StrEnum):
    """Kind of a command to a worker. To resume a worker, its command is removed."""

    PAUSE = "pause"
    STOP = "stop"
    RELOAD = "reload"
    """Read the settings again. A worker may have it besides another command, and answers it once."""


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """A user's command to one worker."""

    kind: CommandKind
    by: str = ""
    """Who gave it."""
    reason: str = ""
    """May be empty."""
    since: float = 0.0
    """When it was given: seconds since the epoch, by the server's clock."""

    def __str__(self) -> str:
        return f"by {self.by or 'an unknown user'}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class ReloadAnswer:
    """A worker's answer to a reload of its settings. Texts are as in `concurrency 5 → 8`."""

    changed: tuple[str, ...] = ()
    """Settings that have changed while the worker runs."""
    kept: tuple[str, ...] = ()
    """Settings that only a restart changes."""
    problem: str = ""
    """Why the settings could not be read; then nothing has changed. Empty: they were read."""

    def __str__(self) -> str:
        if self.problem:
            return f"not reloaded, and nothing has changed: {self.problem}"
        text = f"reloaded: {', '.join(self.changed) or 'nothing has changed'}"
        return f"{text}; only a restart changes {', '.join(self.kept)}" if self.kept else text
