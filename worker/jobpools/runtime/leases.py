"""The leases that this worker holds on one queue."""

import time
from collections.abc import Iterable

from jobpools.runtime.attempt import Attempt, Phase
from jobpools.runtime.vitals import Vitals


class Leases:
    """The attempts whose leases this worker keeps alive. The thread that renews them reads `attempts`."""

    def __init__(self, duration: float, vitals: Vitals) -> None:
        """Begin without leases. `duration`: seconds that a lease lasts without a renewal."""
        self.duration_ms = int(duration * 1000)
        self.attempts: dict[str, Attempt] = {}
        """By lease, from the claim until the settlement has reached Redis: what is in it is kept alive."""
        self._vitals = vitals
        self._unanswered: list[tuple[str, float]] = []
        """Claims without a reply: suffix of their lease ids, and the monotonic time when those leases have expired."""

    def release(self, leases: Iterable[str]) -> None:
        """Drop these leases: they are settled."""
        attempts = self.attempts
        for lease in leases:
            attempts.pop(lease, None)

    def rename(self, attempt: Attempt, lease: str) -> None:
        """Let an attempt continue under another lease."""
        self.attempts.pop(attempt.lease, None)
        attempt.lease = lease
        self._vitals.rename(attempt.row, lease)
        self.attempts[lease] = attempt

    def unsettled(self, job_id: str) -> Attempt | None:
        """Return the attempt of this job that is not settled; None: there is none."""
        held = self.attempts.values()
        return next((each for each in held if each.envelope.id == job_id and each.phase is not Phase.SETTLED), None)

    def note_unanswered(self, suffix: str) -> None:
        """Remember a claim without a reply: it may have leased jobs that this worker does not know."""
        self._unanswered.append((suffix, time.monotonic() + 2 * self.duration_ms / 1000))

    def unanswered(self, now: float) -> list[str]:
        """Return the suffixes of lease ids of claims without a reply, until those leases have expired."""
        self._unanswered = [(suffix, until) for suffix, until in self._unanswered if until > now]
        return [suffix for suffix, _ in self._unanswered]
