"""Counters of one worker process, and the metrics that they make."""

from bisect import bisect_left
from collections.abc import Iterator

from jobpools.core.jobs.job import OutcomeKind
from jobpools.observability.metrics_text import Metric, Sample, counter, histogram_samples

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)
"""Upper bounds of the duration histogram, in seconds."""


class Tally:
    """Counters of the attempts of one job name."""

    __slots__ = ("buckets", "completed", "ended", "name", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.completed = 0
        self.ended: dict[OutcomeKind, int] = {}
        """Attempts that did not complete, by outcome."""
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)

    def complete(self, seconds: float) -> None:
        """Count a completed attempt."""
        self.completed += 1
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1

    def end(self, kind: OutcomeKind, seconds: float) -> None:
        """Count an attempt that ended with another outcome."""
        self.ended[kind] = self.ended.get(kind, 0) + 1
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1

    def skip(self, kind: OutcomeKind) -> None:
        """Count a job that ended without being started."""
        self.ended[kind] = self.ended.get(kind, 0) + 1


class Metrics:
    """All counters of one worker process since its start."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.tallies: dict[str, Tally] = {}
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

    def tally(self, name: str) -> Tally:
        """Return the counters of one job name."""
        found = self.tallies.get(name)
        if found is None:
            found = self.tallies[name] = Tally(name)
        return found

    @property
    def completed(self) -> int:
        """Number of completed attempts."""
        return sum(tally.completed for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        """Number of failed and timed-out attempts."""
        kinds = (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT)
        return sum(tally.ended.get(kind, 0) for tally in self.tallies.values() for kind in kinds)

    def collect(self) -> Iterator[Metric]:
        """Return all counters as metrics."""
        tallies = list(self.tallies.values())  # a copy: a scrape runs in another thread than the jobs
        outcomes = [
            Sample(count, {"job": tally.name, "outcome": outcome})
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
            for sample in histogram_samples(BUCKETS, each.buckets, each.seconds, {"job": each.name})
        ]
        yield Metric("jobpools_job_duration_seconds", "histogram", "Duration of attempts.", durations)
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
