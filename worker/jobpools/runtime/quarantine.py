"""Let a worker run only one job at a time that one more crash would make dead.

When a worker dies and the cause is unknown, every job that it ran is charged with a crash. Two jobs that may crash only
once more must not run in one worker: a crash of one would make both dead. The second one waits for another worker.
"""

import asyncio

from jobpools.core.jobs.job import History
from jobpools.runtime.attempt import Attempt, Phase

CHECK_INTERVAL = 0.005
"""Seconds between two checks whether Redis has recorded the jobs that were handed back. A step takes about as long."""


class Quarantine:
    """The one attempt of this worker that may crash only once more, and those that were handed back because of it."""

    def __init__(self) -> None:
        self.suspect: Attempt | None = None
        """The latest attempt that was admitted; None: there was none yet."""
        self._refused: list[Attempt] = []

    def admits(self, attempt: Attempt) -> bool:
        """Return whether the attempt may run in this worker now; otherwise it must be handed back."""
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
        """Attempts that were refused, and whose hand-back Redis has not recorded."""
        return [attempt for attempt in self._refused if attempt.lease in attempt.outbox]

    async def until_alone(self) -> None:
        """Wait until Redis has recorded the hand-back of the refused: before that, a crash is charged to them too."""
        while self.unrecorded:  # noqa: ASYNC110  # rare, and as short as a step
            await asyncio.sleep(CHECK_INTERVAL)
        self._refused.clear()
