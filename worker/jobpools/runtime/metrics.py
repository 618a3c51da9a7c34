"""Counters of one worker process, and the metrics that they make."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from jobpools.core.histogram import BOUNDS, SCALE, no_counts
from jobpools.core.jobs.job import OutcomeKind
from jobpools.observability.metrics_text import Metric, Sample, counter, histogram_samples
from jobpools.runtime.waits import Waits

_EXPORTED = slice(0, None, 2 * 2**SCALE)
"""Of the bounds, every other power of two, so that a histogram has 16 buckets in /metrics."""
BUCKETS = BOUNDS[_EXPORTED]
"""Upper bounds of the histograms in /metrics, in seconds: from 61 µs to 18 hours by factors of 4; 1 second is one."""


class Tally:
    """Counters of the attempts of one job name in one queue."""

    __slots__ = ("buckets", "completed", "ended", "name", "queue", "seconds")

    def __init__(self, name: str, queue: str) -> None:
        self.name = name
        self.queue = queue
        self.completed = 0
        self.ended: dict[OutcomeKind, int] = {}
        """Attempts that did not complete, by outcome."""
        self.seconds = 0.0
        self.buckets = no_counts()

    def complete(self, seconds: float) -> None:
        """Count a completed attempt."""
        self.completed += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def end(self, kind: OutcomeKind, seconds: float) -> None:
        """Count an attempt that ended with another outcome."""
        self.ended[kind] = self.ended.get(kind, 0) + 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def skip(self, kind: OutcomeKind) -> None:
        """Count a job that ended without being started."""
        self.ended[kind] = self.ended.get(kind, 0) + 1

    @property
    def failed(self) -> int:
        """Number of failed and timed-out attempts."""
        return self.ended.get(OutcomeKind.FAILED, 0) + self.ended.get(OutcomeKind.TIMED_OUT, 0)


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts and histograms of one queue, or of all, up to a time."""

    completed: int = 0
    failed: int = 0
    seconds: float = 0.0
    """Sum of the durations of ended attempts."""
    running: Sequence[int] = field(default_factory=no_counts)
    """Durations of attempts, by bucket."""
    waiting: Sequence[int] = field(default_factory=no_counts)
    """Waits of claimed jobs, by bucket."""


class Metrics:
    """All counters of one worker process since its start."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.tallies: dict[tuple[str, str], Tally] = {}
        """By queue and job name."""
        self.waits: dict[str, Waits] = {}
        """By queue."""
        self.stale = 0
        """Settlements that were refused because another worker had taken over the lease."""
        self.claimed = 0
        self.handed_back = 0
        """Jobs returned before they were started."""
        self.steps = 0
        """Round trips that settle and claim."""
        self.rescued = 0
        """Expired leases of other workers that this one took over."""
        self.renewals_failed = 0
        """Lease renewals that did not reach Redis."""
        self.dead_dropped = 0
        """Dead letters that this worker removed because a queue held more than it keeps."""

    def tally(self, name: str, queue: str) -> Tally:
        """Return the counters of one job name in one queue."""
        found = self.tallies.get((queue, name))
        if found is None:
            found = self.tallies[queue, name] = Tally(name, queue)
        return found

    def waits_of(self, queue: str) -> Waits:
        """Return the waits of one queue."""
        return self.waits.setdefault(queue, Waits())

    @property
    def completed(self) -> int:
        """Number of completed attempts."""
        return sum(tally.completed for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        """Number of failed and timed-out attempts."""
        return sum(tally.failed for tally in self.tallies.values())

    def counted(self, queue: str | None = None) -> Counted:
        """Return what was counted up to now in one queue; None: in all queues."""
        tallies = [each for each in self.tallies.values() if queue in (None, each.queue)]
        waits = [each for name, each in self.waits.items() if queue in (None, name)]
        return Counted(
            sum(each.completed for each in tallies),
            sum(each.failed for each in tallies),
            sum(each.seconds for each in tallies),
            _sum(each.buckets for each in tallies),
            _sum(each.buckets for each in waits),
        )

    def collect(self) -> Iterator[Metric]:
        """Return all counters as metrics."""
        tallies = list(self.tallies.values())  # a copy: a scrape runs in another thread than the jobs
        outcomes = [
            Sample(count, {"queue": tally.queue, "job": tally.name, "outcome": outcome})
            for tally in tallies
            for outcome, count in [
                ("completed", tally.completed),
                *((k.value, n) for k, n in list(tally.ended.items())),
            ]
        ]
        yield Metric("jobpools_jobs_total", "counter", "Attempts that ended, by outcome.", outcomes)
        durations = [
            sample
            for each in tallies
            for sample in _histogram(each.buckets, each.seconds, {"queue": each.queue, "job": each.name})
        ]
        yield Metric("jobpools_job_duration_seconds", "histogram", "Duration of attempts.", durations)
        waits = [
            sample
            for queue, each in list(self.waits.items())
            for sample in _histogram(each.buckets, each.seconds, {"queue": queue})
        ]
        yield Metric(
            "jobpools_job_wait_seconds",
            "histogram",
            "Time from ready to claimed, measured for at most four jobs of a claim.",
            waits,
        )
        for name, description, value in (
            (
                "jobpools_stale_total",
                "Settlements refused because another worker had taken over the lease.",
                self.stale,
            ),
            ("jobpools_claimed_total", "Jobs claimed.", self.claimed),
            ("jobpools_handed_back_total", "Jobs returned before they were started.", self.handed_back),
            ("jobpools_rescued_total", "Expired leases of other workers taken over.", self.rescued),
            ("jobpools_steps_total", "Round trips that settle and claim.", self.steps),
            ("jobpools_dead_dropped_total", "Dead letters removed because a queue held too many.", self.dead_dropped),
            ("jobpools_renewals_failed_total", "Lease renewals that did not reach Redis.", self.renewals_failed),
        ):
            yield counter(name, description, value)


def _sum(counts: Iterable[Sequence[int]]) -> list[int]:
    """Return the sum of histograms, bucket by bucket."""
    return [sum(column) for column in zip(no_counts(), *counts, strict=True)]


def _histogram(buckets: Sequence[int], seconds: float, labels: dict[str, str]) -> list[Sample]:
    """Return a histogram with the bounds of BUCKETS, whose counts are exact: they are among the finer bounds."""
    width = _EXPORTED.step
    joined = [buckets[0], *(sum(buckets[at - width + 1 : at + 1]) for at in range(width, len(BOUNDS), width))]
    return histogram_samples(BUCKETS, [*joined, sum(buckets) - sum(joined)], seconds, labels)
