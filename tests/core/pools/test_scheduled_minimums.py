"""Minimum numbers of workers that hold at certain times."""

from datetime import UTC, datetime

import pytest

from jobpools.core.pools.scheduled_minimums import active_minimums, invalid_schedule
from tests.support.pools import pool_spec

OFFICE = {"cron": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "duration": "10h", "min": 5}
NIGHT = {"cron": "0 22 * * *", "duration": "8h", "min": 2}
INVALID = {"cron": "at noon", "duration": "1h", "min": 9}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-25 06:59:59", {}),
        ("2026-11-25 07:00:00", {0: 5}),
        ("2026-11-25 16:59:59", {0: 5}),
        ("2026-11-25 17:00:00", {}),
        ("2026-11-25 23:00:00", {1: 2}),
        ("2026-11-26 05:59:59", {1: 2}),
        ("2026-11-28 07:00:00", {}),
    ],
)
def test_minimums_that_are_active(at: str, expected: dict[int, int]) -> None:
    spec = pool_spec(scaling={"schedules": [OFFICE, NIGHT, INVALID]})
    assert active_minimums(spec, datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()) == expected


def test_the_first_invalid_window_is_named() -> None:
    assert invalid_schedule(pool_spec(scaling={"schedules": [OFFICE, NIGHT]})) == ""
    assert invalid_schedule(pool_spec(scaling={"schedules": [OFFICE, INVALID]})).startswith("scaling.schedules[1]: ")
