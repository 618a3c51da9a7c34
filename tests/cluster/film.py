"""A pool watched over time: what its status says, held against what Redis and the API server say."""

import time
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.conftest import Pool
from tests.cluster.kubectl import ready
from tests.cluster.queues import Queue

Span = tuple[int, int]
"""The least and the most that a figure can have been since the look before."""


@dataclass
class Film:
    """The truth and the status, side by side over time."""

    pool: Pool
    queue: Queue
    truth: list[tuple[float, dict[str, Span]]] = field(default_factory=list)
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    _ready: frozenset[str] = frozenset()

    def look(self) -> None:
        began = time.monotonic()
        before, self._ready = self._ready, frozenset(pod["metadata"]["name"] for pod in self.pool.pods() if ready(pod))
        busy, queued = len(self.queue.leased()), self.queue.queued()
        truth = {
            # In a rollout one worker gets ready and another one goes between two looks: for a moment both were there.
            "readyReplicas": (len(before & self._ready), len(before | self._ready)),
            "busy": (busy, busy),
            "queued": (queued, queued),
        }
        self.truth.append((began, truth))
        status = self.pool.status()
        self.told.append((time.monotonic(), status))

    def lies(self, name: str, lag: float, slack: float = 1.0) -> list[str]:
        """What the status said and was not so in the `lag` seconds before it; `slack`: the rounding's factor."""
        found = []
        for at, status in self.told:
            after = next(
                (when for when, _ in self.truth if when > at), at
            )  # what changed between two looks is seen late
            then = [truth[name] for when, truth in self.truth if at - lag <= when <= after]
            said = status.get(name)
            least, most = min(low for low, _ in then), max(high for _, high in then)
            if said is None or not least / slack <= said <= most * slack:
                found.append(
                    f"{self.pool.name}: {name}={said} at {at - self.told[0][0]:.1f} s, truth was {sorted(set(then))}"
                )
        return found
