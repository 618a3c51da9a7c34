"""A periodic line in the worker's log: what it has done since the last one."""

import asyncio
import logging
import time
from collections.abc import Sequence

from jobpools.core.histogram import SCALE, Histogram, difference
from jobpools.core.jobs.minutes import QUANTILES
from jobpools.core.text.durations import format_duration, format_latency, format_rate
from jobpools.runtime.metrics import Counted, Metrics

log = logging.getLogger("jobpools.worker")


class ActivityLog:
    """Logs a line in each interval."""

    def __init__(self, metrics: Metrics, worker: str, interval: float) -> None:
        """`interval`: seconds; 0: no lines."""
        self._metrics = metrics
        self._worker = worker
        self._interval = interval
        self._changed = asyncio.Event()

    def set_interval(self, seconds: float) -> None:
        """Change the interval; the running one begins again."""
        if seconds != self._interval:
            self._interval = seconds
            self._changed.set()

    async def run(self) -> None:
        """Log until the task is cancelled."""
        before, began = self._metrics.counted(), time.monotonic()
        while True:
            try:
                async with asyncio.timeout(self._interval or None):
                    await self._changed.wait()
                self._changed.clear()
            except TimeoutError:
                now, ended = self._metrics.counted(), time.monotonic()
                log.info("worker %s: %s", self._worker, activity(before, now, round(ended - began, 1)))
                before, began = now, ended


def activity(before: Counted, now: Counted, seconds: float) -> str:
    """Return the text of one line: counts, rate, and the quantiles of the waits and of the durations of attempts."""
    completed, failed = now.completed - before.completed, now.failed - before.failed
    parts = [
        f"{completed} completed, {failed} failed in {format_duration(seconds)} ({format_rate(completed / seconds)}/s)"
    ]
    for word, counts, counts_before in (
        ("waiting", now.waiting, before.waiting),
        ("running", now.running, before.running),
    ):
        if quantiles := _quantiles(counts, counts_before):
            parts.append(f"{word} {quantiles}")
    return "; ".join(parts)


def _quantiles(counts: Sequence[int], before: Sequence[int]) -> str:
    """Return `p50 4.2ms, p95 20ms, p99 31ms`; empty where nothing was counted."""
    histogram = Histogram(SCALE, difference(counts, before))
    if not histogram.buckets:
        return ""
    return ", ".join(f"p{share * 100:.0f} {format_latency(histogram.quantile(share))}" for share in QUANTILES)
