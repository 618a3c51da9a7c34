"""When a worker that exited by itself is replaced, and when its pool counts as crash-looping."""

from dataclasses import dataclass

from jobpools.core.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Delays between the exit of a worker and the start of its replacement."""

    initial: float = 0.5
    """Seconds after the first early exit; the delay doubles with each further one."""
    max: float = 30.0
    """Maximum delay, in seconds."""
    stable_after: float = 30.0
    """Seconds of uptime after which an exit no longer counts as early."""
    crash_loop_after: int = 3
    """Consecutive exits before the worker was ready after which the pool counts as crash-looping."""

    def early_exits(self, before: int, uptime: float, *, ready: bool) -> int:
        """Return the number of consecutive early exits, this one included; an exit after a stable run starts at 1."""
        is_early = not ready or uptime < self.stable_after
        return before + 1 if is_early else 1

    def delay(self, early_exits: int) -> float:
        """Return the seconds until the replacement starts."""
        return Backoff(self.initial, self.max).full_delay(early_exits)

    def is_crash_loop(self, early_exits: int, *, ready: bool) -> bool:
        """Return whether the pool counts as crash-looping after this exit."""
        return not ready and early_exits >= self.crash_loop_after
