"""A pool watched over time: what its status says, held against what Redis and the API server say."""

import time
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.conftest import Pool
from tests.cluster.kubectl import ready
from tests.cluster.queues import Queue


@dataclass
class Film:
    """The truth and the status, side by side over time."""

    pool: Pool
    queue: Queue
    truth: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def look(self) -> None:
        began = time.monotonic()
        pods, queue = self.pool.pods(), self.queue
        truth = {"readyReplicas": sum(map(ready, pods)), "busy": len(queue.leased()), "queued": queue.queued()}
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
            if said is None or not min(then) / slack <= said <= max(then) * slack:
                found.append(f"{name}={said} at {at - self.told[0][0]:.1f} s, truth was {sorted(set(then))}")
        return found
