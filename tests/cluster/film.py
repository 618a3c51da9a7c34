"""A pool recorded over time: what its status says, held against what Redis and the API server say.

Both are recorded as they change, and not polled with kubectl: where a look took seconds it missed what had been true.
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
"""Seconds that a count of workers or slots in a status is old at most.

A worker reports a change within 1.25 s, a pass looks at a pool with work every second, and its status is written at
most every 2 s.
"""
DEPTH_BOUND, DEPTH_STEP = 18.0, 2.5
"""The same for the depth, which is written at most every 15 s, and in steps of 1, 2, 5: the factor between two."""
SEEN_LATE = 0.5
"""Seconds by which a recording may be later than the operator in seeing a change."""
SAMPLES_APART, GRAIN = 0.02, 0.01

Parts = Mapping[str, int]
"""A figure as the sum of what each worker adds to it."""


def outdated(
    truth: Sequence[tuple[float, Parts]],
    told: Sequence[tuple[float, int | None]],
    until: float,
    bound: float = BOUND,
    step: float = 1.0,
) -> list[str]:
    """Return the moments at which a figure was none that was true in the `bound` seconds before.

    Args:
        truth: What was so from each moment on; each worker's part, for their reports are of different moments.
        told: What the status said from each moment on; None where it said nothing.
        until: When the recording ended.
        bound: Seconds that a figure may be old.
        step: Factor by which a figure may change without being written.

    """
    found = []
    for (at, said), (end, _) in zip(told, [*told[1:], (until, None)], strict=True):
        # While nothing is written, the figure that stands there gets older: it is looked at until the next one comes.
        ages = [when + bound + GRAIN for when, _ in truth]
        for moment in (at, *(each for each in ages if at < each < end), end):
            least, most = _span(truth, moment - bound, moment + SEEN_LATE)
            if said is None or not least / step <= said <= most * step:
                found.append(f"{said} at {moment - told[0][0]:.1f} s, from {least} to {most} was true")
                break
    return found


def _span(truth: Sequence[tuple[float, Parts]], since: float, until: float) -> tuple[int, int]:
    """The least and the most that the figure can have been; what was so first was so before."""
    times = [at for at, _ in truth]
    seen = [parts for _, parts in truth[max(0, bisect_left(times, since) - 1) : max(1, bisect_right(times, until))]]
    names = {name for parts in seen for name in parts}
    counts = [[parts.get(name, 0) for parts in seen] for name in names]
    return sum(map(min, counts)), sum(map(max, counts))


@dataclass
class Film:
    """The truth and the status of one pool, side by side over time."""

    name: str
    statuses: list[tuple[float, Object]] = field(default_factory=list)
    busy: list[tuple[float, Parts]] = field(default_factory=list)
    ready: list[tuple[float, Parts]] = field(default_factory=list)
    queued: list[tuple[float, Parts]] = field(default_factory=list)

    def said(self, figure: str) -> int | None:
        """What the status says now."""
        return self.statuses[-1][1].get(figure)

    def lies(self) -> list[str]:
        """What the status said and was not so."""
        until, found = time.monotonic(), []
        bounds = {
            "busy": (self.busy, BOUND, 1.0),
            "readyReplicas": (self.ready, BOUND, 1.0),
            "queued": (self.queued, DEPTH_BOUND, DEPTH_STEP),
        }
        for figure, (truth, bound, step) in bounds.items():
            told = [(at, status.get(figure)) for at, status in self.statuses]
            found += [f"{self.name}: {figure}: {each}" for each in outdated(truth, told, until, bound, step)]
        return found


@contextmanager
def filmed(pool: Pool, queue: Queue) -> Iterator[Film]:
    """A recording of the pool; it must be at rest when it begins."""
    film, slots, over = Film(pool.name), pool.object()["spec"]["concurrency"], threading.Event()
    selector, there = pool.status()["selector"], {}

    def see_status(_: str, found: Object) -> None:
        film.statuses.append((time.monotonic(), found.get("status", {})))

    def see_pod(event: str, found: Object) -> None:
        there[found["metadata"]["name"]] = int(event != "DELETED" and ready(found))
        film.ready.append((time.monotonic(), dict(there)))

    def sample() -> None:
        while not over.wait(SAMPLES_APART):
            leases = Counter(member.rsplit(":", 2)[1] for member in queue.leased())
            keep(film.busy, {worker: min(slots, count) for worker, count in leases.items()})
            keep(film.queued, {queue.name: queue.queued()})

    def keep(seen: list[tuple[float, Parts]], now: Parts) -> None:
        if not seen or seen[-1][1] != now:
            seen.append((time.monotonic(), now))

    film.ready.append((time.monotonic(), {}))
    with ExitStack() as stack:
        stack.enter_context(_watched(pool, ["workerpool", pool.name], see_status))
        stack.enter_context(_watched(pool, ["pods", f"--selector={selector}"], see_pod))
        sampler = threading.Thread(target=sample)
        sampler.start()
        stack.callback(sampler.join)
        stack.callback(over.set)
        eventually("the recording has begun", lambda: film.statuses and film.queued)
        yield film


@contextmanager
def _watched(pool: Pool, what: list[str], see: Callable[[str, Object], None]) -> Iterator[None]:
    """Each change, as the API server tells it."""
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
    """One event a line."""
    for line in stream:
        event: dict[str, Any] = json.loads(line)
        see(event["type"], event["object"])
