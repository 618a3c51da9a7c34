"""A periodic line in the worker's log: what it has done since the last one."""

import asyncio
import logging
from collections.abc import Sequence

from jobpools.core.histogram import SCALE, Histogram, difference
from jobpools.core.jobs.minutes import QUANTILES
from jobpools.core.text.durations import format_duration, format_latency, format_rate
from jobpools.runtime.metrics import Counted, Metrics

log = logging.getLogger("jobpools.worker")


async def run(metrics: Metrics, worker: str, interval: float) -> None:
    """Log a line every `interval` seconds until the task is cancelled; 0: never."""
    if not interval:
        await asyncio.Event().wait()  # a background task must not end by itself
    before = metrics.counted()
    while True:
        await asyncio.sleep(interval)
        now = metrics.counted()
        log.info("worker %s: %s", worker, activity(before, now, interval))
        before = now


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
