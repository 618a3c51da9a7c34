"""Minimum numbers of workers that hold at certain times (`spec.scaling.schedules`)."""

from jobpools.core.pools.specs import PoolSpec
from jobpools.core.schedules.expression import parse_cron
from jobpools.errors import SpecError


def active_minimums(spec: PoolSpec, now: float) -> dict[int, int]:
    """Return the minimum of each window that is active at `now`, by its index; invalid windows are left out."""
    found: dict[int, int] = {}
    for index, window in enumerate(spec.scaling.schedules):
        try:
            started = parse_cron(window.cron, window.time_zone).latest(now, since=now - window.duration)
        except SpecError:
            continue  # `invalid_schedule` reports it
        if started is not None:
            found[index] = window.min
    return found


def invalid_schedule(spec: PoolSpec) -> str:
    """Return what is wrong with the first invalid window, in one line; empty if all are valid."""
    for index, window in enumerate(spec.scaling.schedules):
        try:
            parse_cron(window.cron, window.time_zone)
        except SpecError as error:
            return f"scaling.schedules[{index}]: {error}"
    return ""
