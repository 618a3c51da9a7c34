"""Runs jobs that are suspected of killing their workers one at a time.

A job that takes its worker down is charged with a crash, and so is whatever runs beside it. So that it takes none of
them along to the dead-letter queue, a worker has only one job at a time that may crash only once more.
"""

import asyncio

from jobpools.core.jobs.job import History
from jobpools.runtime.attempt import Run


class Quarantine:
    """The one suspect that a worker has in hand, and those that it left to other workers because of it."""

    def __init__(self) -> None:
        self.suspect: Run | None = None
        """The one job in hand that may crash only once more; None: there was none yet."""
        self._sent_away: list[Run] = []

    def admits(self, run: Run) -> bool:
        """Return whether the attempt may run beside what is in hand; one that may not must be handed back."""
        if (run.history or History()).crashes + 1 < run.max_crashes:
            return True
        if self.suspect is None or self.suspect.settled:
            self.suspect = run
        if run is self.suspect:
            return True
        self._sent_away = [*self.sent_away, run]
        return False

    @property
    def sent_away(self) -> list[Run]:
        """The attempts that were not admitted and that Redis does not know to be handed back yet."""
        return [run for run in self._sent_away if run.member in run.lane.held]

    async def alone(self) -> None:
        """Wait until Redis knows that all are handed back: until then a crash would be charged to them, too."""
        while self.sent_away:  # noqa: ASYNC110  # rare, and a step long
            await asyncio.sleep(0.005)
        self._sent_away.clear()
