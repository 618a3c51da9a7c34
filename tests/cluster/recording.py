"""Record a pool over time and compare its status with Redis and the API server.

Both are recorded as they change: polling with kubectl takes seconds and misses states in between.
"""

import json
import subprocess
import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from tests.cluster.conftest import Pool
from tests.cluster.kubectl import Object, ready
from tests.cluster.queues import Queue
from tests.support.waiting import eventually

BOUND = 5.0
"""Maximum age of a count of workers or slots in a status, in seconds.

A worker reports a change within 1.25 s, a pass looks at a pool with work every second, and its status is written at
most every 2 s.
"""
DEPTH_BOUND, DEPTH_STEP = 18.0, 2.5
"""Maximum age and step of the depth, which is written at most every 15 s and in steps of 1, 2, 5."""
SEEN_LATE = 0.5
"""Seconds by which the recording may notice a change later than the operator."""
SAMPLE_INTERVAL, TOLERANCE = 0.02, 0.01

Parts = Mapping[str, int]
"""A figure as the contribution of each worker."""


def outdated(
    truth: Sequence[tuple[float, Parts]],
    shown: Sequence[tuple[float, int | None]],
    until: float,
    bound: float = BOUND,
    step: float = 1.0,
) -> list[str]:
    """Return the times at which the status showed a figure that was not true in the last `bound` seconds.

    Args:
        truth: The true figure from each time on, by worker: their heartbeats differ in time.
        shown: The figure in the status from each time on; None: the status had none.
        until: When the recording ended.
        bound: Seconds that a figure may be old.
        step: Factor by which a figure may change without being written.

    """
    found = []
    for (at, said), (end, _) in zip(shown, [*shown[1:], (until, None)], strict=True):
        # A figure ages until the next one is written: it is checked until then.
        ages = [when + bound + TOLERANCE for when, _ in truth]
        for moment in (at, *(each for each in ages if at < each < end), end):
            least, most = _span(truth, moment - bound, moment + SEEN_LATE)
            if said is None or not least / step <= said <= most * step:
                found.append(f"{said} at {moment - shown[0][0]:.1f} s, from {least} to {most} was true")
                break
    return found


def _span(truth: Sequence[tuple[float, Parts]], since: float, until: float) -> tuple[int, int]:
    """Return the minimum and maximum of the true figure; the first one also holds for the time before."""
    times = [at for at, _ in truth]
    seen = [parts for _, parts in truth[max(0, bisect_left(times, since) - 1) : max(1, bisect_right(times, until))]]
    names = {name for parts in seen for name in parts}
    counts = [[parts.get(name, 0) for parts in seen] for name in names]
    return sum(map(min, counts)), sum(map(max, counts))


@dataclass
class Recording:
    """The true figures and the status of one pool over time."""

    name: str
    statuses: list[tuple[float, Object]] = field(default_factory=list)
    busy: list[tuple[float, Parts]] = field(default_factory=list)
    ready: list[tuple[float, Parts]] = field(default_factory=list)
    queued: list[tuple[float, Parts]] = field(default_factory=list)

    def current(self, figure: str) -> int | None:
        """Return the figure that the status shows now."""
        return self.statuses[-1][1].get(figure)

    def errors(self) -> list[str]:
        """Return each figure that the status showed wrongly."""
        until, found = time.monotonic(), []
        bounds = {
            "busy": (self.busy, BOUND, 1.0),
            "readyReplicas": (self.ready, BOUND, 1.0),
            "queued": (self.queued, DEPTH_BOUND, DEPTH_STEP),
        }
        for figure, (truth, bound, step) in bounds.items():
            shown = [(at, status.get(figure)) for at, status in self.statuses]
            found += [f"{self.name}: {figure}: {each}" for each in outdated(truth, shown, until, bound, step)]
        return found


@contextmanager
def recorded(pool: Pool, queue: Queue) -> Iterator[Recording]:
    """Record the pool, which must be idle at the start."""
    recording, slots, over = Recording(pool.name), pool.object()["spec"]["concurrency"], threading.Event()
    selector, pods = pool.status()["selector"], {}

    def see_status(_: str, found: Object) -> None:
        recording.statuses.append((time.monotonic(), found.get("status", {})))

    def see_pod(event: str, found: Object) -> None:
        pods[found["metadata"]["name"]] = int(event != "DELETED" and ready(found))
        recording.ready.append((time.monotonic(), dict(pods)))

    def sample() -> None:
        while not over.wait(SAMPLE_INTERVAL):
            leases = Counter(lease_id.rsplit(":", 2)[1] for lease_id in queue.leased())
            keep(recording.busy, {worker: min(slots, count) for worker, count in leases.items()})
            keep(recording.queued, {queue.name: queue.queued()})

    def keep(seen: list[tuple[float, Parts]], now: Parts) -> None:
        if not seen or seen[-1][1] != now:
            seen.append((time.monotonic(), now))

    recording.ready.append((time.monotonic(), {}))
    with ExitStack() as stack:
        stack.enter_context(_watched(pool, ["workerpool", pool.name], see_status))
        stack.enter_context(_watched(pool, ["pods", f"--selector={selector}"], see_pod))
        sampler = threading.Thread(target=sample)
        sampler.start()
        stack.callback(sampler.join)
        stack.callback(over.set)
        eventually("the recording has begun", lambda: recording.statuses and recording.queued)
        yield recording


@contextmanager
def _watched(pool: Pool, what: list[str], see: Callable[[str, Object], None]) -> Iterator[None]:
    """Call `see` with each change that the API server reports."""
    command = ["kubectl", "-n", pool.kubectl.namespace, "get", *what, "--watch", "--output-watch-events", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, see))
        reader.start()
        try:
            yield
            assert process.poll() is None, f"{' '.join(command)} ended"
        finally:
            process.terminate()
            reader.join()


def _read(stream: IO[str], see: Callable[[str, Object], None]) -> None:
    """Read the events of a watch, one on each line."""
    for line in stream:
        event: dict[str, Any] = json.loads(line)
        see(event["type"], event["object"])
