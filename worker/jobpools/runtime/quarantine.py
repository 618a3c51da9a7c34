"""Runs jobs that may crash only once more one at a time.

A job that ends its worker's process is charged with a crash, and so is every job that runs beside it. If two of them
may crash only once more, the one would take the other to the dead-letter queue: such a job waits for another worker.
"""

import asyncio

from jobpools.core.jobs.job import History
from jobpools.runtime.attempt import Attempt, Phase

CHECK_INTERVAL = 0.005
"""Seconds between two checks whether Redis has recorded the jobs that were handed back: about one step."""


class Quarantine:
    """The one attempt in hand that may crash only once more, and those that were handed back because of it."""

    def __init__(self) -> None:
        self.suspect: Attempt | None = None
        """The latest attempt that was admitted; None: there was none yet."""
        self._refused: list[Attempt] = []

    def admits(self, attempt: Attempt) -> bool:
        """Return whether the attempt may run in this worker now; one that may not must be handed back."""
        if (attempt.history or History()).crashes + 1 < attempt.max_crashes:
            return True
        if self.suspect is None or self.suspect.phase is Phase.SETTLED:
            self.suspect = attempt
        if attempt is self.suspect:
            return True
        self._refused = [*self.unrecorded, attempt]
        return False

    @property
    def unrecorded(self) -> list[Attempt]:
        """The attempts that were refused and that Redis does not know to be handed back yet."""
        return [attempt for attempt in self._refused if attempt.lease in attempt.outbox]

    async def alone(self) -> None:
        """Wait until Redis knows that the refused are handed back: until then a crash would be charged to them, too."""
        while self.unrecorded:  # noqa: ASYNC110  # rare, and a step long
            await asyncio.sleep(CHECK_INTERVAL)
        self._refused.clear()
