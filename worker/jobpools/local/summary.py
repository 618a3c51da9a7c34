"""The last line of a run."""

from jobpools.core.text.plurals import count_of
from jobpools.local.completion import Ending
from jobpools.local.run_counts import RunCounts


def summarize(ending: Ending, counts: RunCounts, peak: int, seconds: float) -> str:
    """Return the last line of a run. `peak`: maximum number of workers; `seconds`: how long the run lasted."""
    done, total = ending is Ending.DONE, counts.total
    unfinished = "" if done else f", {counts.unfinished if counts.is_current else '?'} unfinished"
    jobs = f"{total.completed} completed, {total.retried} retried, {total.dead} dead, {total.lost} lost{unfinished}"
    return f"{'done' if done else 'stopped'}: {jobs}; peak {count_of(peak, 'worker')}; {seconds:.1f} s"
