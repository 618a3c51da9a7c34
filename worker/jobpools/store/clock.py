"""Estimate of the server's time, so that a wrong clock of this machine does not change the times that are shown."""

import time


class ServerClock:
    """Estimate of the server's time: its latest reply plus monotonic time; wrong by at most one round trip."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def learn(self, server: float) -> None:
        """Correct the estimate by the server's time (seconds since the epoch) in a reply that has just arrived."""
        self._offset = server - time.monotonic()

    def now(self) -> float:
        """Return the server's time in seconds since the epoch; this machine's before the server's first reply."""
        return self.at(time.monotonic())

    def at(self, monotonic: float) -> float:
        """Return the server's time at a moment of this machine's monotonic clock."""
        offset = time.time() - time.monotonic() if self._offset is None else self._offset
        return offset + monotonic
