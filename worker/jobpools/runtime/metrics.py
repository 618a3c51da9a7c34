"""Counts of one worker and their text form for Prometheus.

Written by hand: the format is a dozen lines, and a counter of our own costs a tenth of the client library's on the
path of every job.
"""

from bisect import bisect_left
from collections.abc import Iterable

from jobpools.core.jobs.job import OutcomeKind

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)
"""Upper bounds of the duration histogram, in seconds."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Tally:
    """The attempts of one job name."""

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
        """Count an attempt that ended otherwise."""
        self.ended[kind] = self.ended.get(kind, 0) + 1
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1


class Metrics:
    """All counts of one worker process since its start."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.tallies: dict[str, Tally] = {}
        self.stale = 0
        """Settlements that were refused because the lease had gone to another worker."""
        self.claimed = 0
        self.handed_back = 0
        """Jobs returned before they were started."""
        self.steps = 0
        self.rescued = 0
        """Expired leases of other workers that this one took over."""
        self.renewals_failed = 0
        self.dead_dropped = 0
        """Dead letters that were more than a queue keeps, dropped by this worker."""

    def tally(self, name: str) -> Tally:
        """The counts of one job name."""
        found = self.tallies.get(name)
        if found is None:
            found = self.tallies[name] = Tally(name)
        return found

    @property
    def completed(self) -> int:
        """Completed attempts."""
        return sum(tally.completed for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        """Failed and timed-out attempts."""
        kinds = (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT)
        return sum(tally.ended.get(kind, 0) for tally in self.tallies.values() for kind in kinds)

    def render(self, gauges: Iterable[tuple[str, str, float]] = ()) -> str:
        """The text form; `gauges` are (name, help, value) of the moment."""
        lines = ["# HELP jobpools_jobs_total Attempts that ended, by outcome.", "# TYPE jobpools_jobs_total counter"]
        for tally in list(self.tallies.values()):
            counts = {"completed": tally.completed} | {kind.value: number for kind, number in list(tally.ended.items())}
            lines += [self._line("jobpools_jobs_total", n, job=tally.name, outcome=kind) for kind, n in counts.items()]
        lines += self._histogram()
        for name, text, value in (
            ("stale_total", "Settlements refused because the lease had gone to another worker.", self.stale),
            ("claimed_total", "Jobs claimed.", self.claimed),
            ("handed_back_total", "Jobs returned before they were started.", self.handed_back),
            ("rescued_total", "Expired leases of other workers taken over.", self.rescued),
            ("steps_total", "Round trips that settle and claim.", self.steps),
            ("dead_dropped_total", "Dead letters dropped because a queue held more than it keeps.", self.dead_dropped),
            ("renewals_failed_total", "Lease renewals that did not reach Redis.", self.renewals_failed),
        ):
            lines += [f"# HELP jobpools_{name} {text}", f"# TYPE jobpools_{name} counter"]
            lines.append(self._line(f"jobpools_{name}", value))
        for name, text, number in gauges:
            lines += [f"# HELP jobpools_{name} {text}", f"# TYPE jobpools_{name} gauge"]
            lines.append(self._line(f"jobpools_{name}", number))
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = "jobpools_job_duration_seconds"
        lines = [f"# HELP {name} How long attempts took.", f"# TYPE {name} histogram"]
        for tally in list(self.tallies.values()):
            total = 0
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], tally.buckets, strict=True):
                total += count
                lines.append(self._line(f"{name}_bucket", total, job=tally.name, le=bound))
            lines.append(self._line(f"{name}_sum", tally.seconds, job=tally.name))
            lines.append(self._line(f"{name}_count", total, job=tally.name))
        return lines

    def _line(self, name: str, value: float, **labels: str) -> str:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in ({"pool": self.pool} | labels).items())
        return f"{name}{{{pairs}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
