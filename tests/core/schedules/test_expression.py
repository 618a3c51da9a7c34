"""Ticks of cron expressions in a time zone, also where the clocks jump."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings, strategies as st

from jobpools.core.schedules.expression import MACROS, CronExpression, load_time_zone, parse_cron
from jobpools.errors import SpecError

BERLIN = ZoneInfo("Europe/Berlin")
YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def at(text: str, time_zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(time_zone), fold=fold).timestamp()


def shown(ticks: list[float], time_zone: str) -> list[str]:
    return [datetime.fromtimestamp(tick, ZoneInfo(time_zone)).strftime("%m-%d %H:%M%z") for tick in ticks]


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("* * * * *", "2026-11-25 12:00:00", "2026-11-25 12:01"),
        ("* * * * *", "2026-11-25 12:00:59.9", "2026-11-25 12:01"),
        ("*/15 * * * *", "2026-11-25 12:01", "2026-11-25 12:15"),
        ("0 0 1 1 *", "2026-11-25 12:00", "2027-01-01 00:00"),
        ("0 9 * * 1-5", "2026-11-27 09:00", "2026-11-30 09:00"),
        ("0 9 * * mon", "2026-11-25 00:00", "2026-11-30 09:00"),
        ("0 9 * * 7", "2026-11-25 00:00", "2026-11-29 09:00"),
        ("0 0 29 2 *", "2026-11-25 00:00", "2028-02-29 00:00"),
        ("0 0 13 * 5", "2026-11-25 00:00", "2026-11-27 00:00"),  # day of month or weekday, as Vixie cron has it
        ("5,10 8-9 * * *", "2026-11-25 08:10", "2026-11-25 09:05"),
        ("0 0 L * *", "2026-02-01 00:00", "2026-02-28 00:00"),
        ("@hourly", "2026-11-25 12:00", "2026-11-25 13:00"),
        ("@daily", "2026-11-25 12:00", "2026-11-26 00:00"),
        ("@midnight", "2026-11-25 12:00", "2026-11-26 00:00"),
        ("@weekly", "2026-11-25 12:00", "2026-11-29 00:00"),
        ("@monthly", "2026-11-25 12:00", "2026-12-01 00:00"),
        ("@yearly", "2026-11-25 12:00", "2027-01-01 00:00"),
        ("@annually", "2026-11-25 12:00", "2027-01-01 00:00"),
        (" @Hourly ", "2026-11-25 12:00", "2026-11-25 13:00"),
    ],
)
def test_the_next_tick(expression: str, after: str, expected: str) -> None:
    assert CronExpression(expression).after(at(after)) == at(expected)


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [
        # On March 29 the clocks of Berlin go from 02:00 to 03:00.
        ("30 2 * * *", ["03-28 02:30+0100", "03-29 03:00+0200", "03-30 02:30+0200"]),
        ("0 2 * * *", ["03-28 02:00+0100", "03-29 03:00+0200", "03-30 02:00+0200"]),
        ("0 3 * * *", ["03-28 03:00+0100", "03-29 03:00+0200", "03-30 03:00+0200"]),
        ("30 * 29 3 *", ["03-29 00:30+0100", "03-29 01:30+0100", "03-29 03:30+0200", "03-29 04:30+0200"]),
        ("*/30 2 29 3 *", []),
    ],
)
def test_when_the_clocks_go_forward(expression: str, ticks: list[str]) -> None:
    found = CronExpression(expression, "Europe/Berlin").between(at("2026-03-28 00:00"), at("2026-03-31 00:00"), 100)
    assert shown(found, "Europe/Berlin")[: len(ticks)] == ticks
    assert bool(found) == bool(ticks)


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [
        # On October 25 the clocks of Berlin go from 03:00 back to 02:00.
        ("30 2 * * *", ["10-24 02:30+0200", "10-25 02:30+0200", "10-26 02:30+0100"]),
        ("0 3 * * *", ["10-24 03:00+0200", "10-25 03:00+0100", "10-26 03:00+0100"]),
        ("30 * 25 10 *", ["10-25 00:30+0200", "10-25 01:30+0200", "10-25 02:30+0200", "10-25 02:30+0100",
                          "10-25 03:30+0100"]),
        ("*/30 2 25 10 *", ["10-25 02:00+0200", "10-25 02:30+0200", "10-25 02:00+0100", "10-25 02:30+0100"]),
    ],
)  # fmt: skip
def test_when_the_clocks_go_back(expression: str, ticks: list[str]) -> None:
    found = CronExpression(expression, "Europe/Berlin").between(at("2026-10-24 00:00"), at("2026-10-27 00:00"), 100)
    assert shown(found, "Europe/Berlin")[: len(ticks)] == ticks


def test_half_an_hour_of_daylight_saving() -> None:
    """Lord Howe sets its clocks back from 02:00 to 01:30 on April 5, 2026."""
    howe = "Australia/Lord_Howe"
    found = CronExpression("*/15 * * * *", howe).between(
        at("2026-04-05 01:15", howe), at("2026-04-05 02:15", howe), 100
    )
    assert shown(found, howe) == [
        "04-05 01:30+1100", "04-05 01:45+1100", "04-05 01:30+1030", "04-05 01:45+1030", "04-05 02:00+1030",
        "04-05 02:15+1030",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "time_zone", "message"),
    [
        ("* * * *", "UTC", "has 4 fields, not 5"),
        ("", "UTC", "has 0 fields, not 5"),
        (
            "0 * * * * *",
            "UTC",
            "has 6 fields, not 5 (minute hour day month weekday); remove the fields for seconds and years",
        ),
        ("60 * * * *", "UTC", "is not a cron expression"),
        ("* 24 * * *", "UTC", "is not a cron expression"),
        ("a b c d e", "UTC", "is not a cron expression"),
        ("*/0 * * * *", "UTC", "is not a cron expression"),
        ("0 0 30 2 *", "UTC", "never fires: there is no such date; correct"),
        ("@reboot", "UTC", "is unknown; use one of @annually"),
        ("@every 5m", "UTC", "is unknown; use one of @annually"),
        ("CRON_TZ=Europe/Berlin 0 0 * * *", "UTC", "the time zone goes into timeZone"),
        ("TZ=UTC 0 0 * * *", "UTC", "the time zone goes into timeZone"),
        ("H * * * *", "UTC", "is a random time, which is not supported"),
        ("R(0-9) * * * *", "UTC", "is a random time, which is not supported"),
        ("0 0 * * *", "Europe/Berln", "did you mean Europe/Berlin?"),
        ("0 0 * * *", "europe berlin", "did you mean Europe/Berlin?"),
        ("0 0 * * *", "xxxxxxx", "use an IANA name"),
        ("0 0 * * *", "../etc/passwd", "is unknown"),
        ("0 0 * * *", "", "is unknown"),
    ],
)
def test_an_invalid_expression_or_time_zone_is_an_error_in_one_line(
    expression: str, time_zone: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        CronExpression(expression, time_zone)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parsed_expressions_and_time_zones_are_cached() -> None:
    assert parse_cron("1 2 3 4 5", "Asia/Tokyo") is parse_cron("1 2 3 4 5", "Asia/Tokyo")
    assert load_time_zone("Asia/Tokyo").key == "Asia/Tokyo"


def test_the_latest_tick() -> None:
    hourly = CronExpression("0 * * * *")
    noon = at("2026-11-25 12:00")
    assert hourly.latest(noon) == noon
    assert hourly.latest(noon + 3599) == noon
    assert hourly.latest(noon - 0.001) == noon - 3600
    assert hourly.latest(noon + 10, since=noon) is None
    assert hourly.latest(noon + 10, since=noon - 1) == noon
    assert CronExpression("0 0 29 2 *").latest(noon) == at("2024-02-29 00:00")


def test_ticks_between() -> None:
    hourly, noon = CronExpression("0 * * * *"), at("2026-11-25 12:00")
    assert hourly.between(noon, noon + 7200, 10) == [noon + 3600, noon + 7200], (
        "the first instant is excluded, the last one included"
    )
    assert hourly.between(noon, noon + 10 * 3600, 3) == [noon + 3600, noon + 7200, noon + 10800]
    assert hourly.between(noon, noon, 10) == hourly.between(noon, noon - 9999, 10) == []


def test_no_tick_follows_the_end_of_the_calendar() -> None:
    assert CronExpression("0 0 1 1 *").after(at("9999-06-01 00:00")) is None


def _expected(expression: str, time_zone: str, start: float, end: float) -> list[float]:
    """Return the ticks found by testing every minute, for expressions with `*` in minute or hour."""
    minute, hour = expression.split()[:2]
    found = []
    for number in range(int(start // 60) + 1, int(end // 60) + 1):
        wall = datetime.fromtimestamp(number * 60, ZoneInfo(time_zone))
        if _matches(minute, wall.minute) and _matches(hour, wall.hour):
            found.append(number * 60.0)
    return found


def _matches(field: str, value: int) -> bool:
    if field == "*":
        return True
    if field.startswith("*/"):
        return value % int(field[2:]) == 0
    return value in {int(part) for part in field.split(",")}


@settings(max_examples=40)
@given(
    minute=st.sampled_from(["*", "*/7", "0", "30", "5,45"]),
    hour=st.sampled_from(["*", "*/2", "*/3"]),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    day=st.integers(0, 364),
    late=st.floats(0, 86_400),
)
def test_ticks_are_those_that_a_clock_on_the_wall_shows(
    minute: str, hour: str, time_zone: str, day: int, late: float
) -> None:
    start = YEAR + timedelta(days=day).total_seconds() + late
    end = start + 30 * 3600
    expression = f"{minute} {hour} * * *"
    found = CronExpression(expression, time_zone).between(start, end, 100_000)
    assert found == _expected(expression, time_zone, start, end)
    assert CronExpression(expression, time_zone).latest(end, since=start) == (found[-1] if found else None)


@settings(max_examples=20)
@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    time_zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]),
    year=st.integers(2015, 2035),
)
def test_a_fixed_time_of_the_day_comes_once_every_day(minute: int, hour: int, time_zone: str, year: int) -> None:
    start, end = at(f"{year}-01-01 00:00", time_zone), at(f"{year + 1}-01-01 00:00", time_zone)
    ticks = CronExpression(f"{minute} {hour} * * *", time_zone).between(start - 1, end - 1, 1000)
    days = [datetime.fromtimestamp(tick, ZoneInfo(time_zone)).date() for tick in ticks]
    assert len(days) == len(set(days)) == (366 if year % 4 == 0 else 365)


DAYS = ["*", "*/2", "*/1", "*/5", "*,5", "5,*", "1-31/2", "1-7", "13", "1,15", "L", "31", "5/3"]
WEEKDAYS = ["*", "*/2", "*/1", "*/3", "*,1", "1,*", "1-5", "1", "mon,fri", "7", "0", "5#2", "fri#5", "5L", "0-7"]


def by_cronsim(expression: str, start: datetime, number: int) -> list[float]:
    clock = CronSim(expression, start)
    return [next(clock).timestamp() for _ in range(number)]


@pytest.mark.parametrize("weekday", WEEKDAYS)
@pytest.mark.parametrize("day", DAYS)
def test_day_of_month_and_day_of_week_together_are_those_of_cronsim(day: str, weekday: str) -> None:
    """Either field is enough, unless one begins with a star, as `*/2` does."""
    expression, start = f"30 6 {day} * {weekday}", datetime(2026, 11, 25, 12, 1, 30, tzinfo=UTC)
    found = CronExpression(expression).between(start.timestamp(), start.timestamp() + 20 * 366 * 86400, 6)
    assert found == by_cronsim(expression, start, len(found))
    assert len(found) == 6


field = st.sampled_from(["*", "*/7", "0", "3-9", "1,5,9", "2-8/3", "4/3"])


@settings(max_examples=60)
@given(
    minute=field, hour=field, day=st.sampled_from(DAYS), month=st.sampled_from(["*", "*/3", "1", "feb-jun", "2,11"]),
    weekday=st.sampled_from(WEEKDAYS), seconds=st.integers(0, 4 * 366 * 86400),
)  # fmt: skip
def test_ticks_are_those_of_cronsim(minute: str, hour: str, day: str, month: str, weekday: str, seconds: int) -> None:
    expression = f"{minute} {hour} {day} {month} {weekday}"
    start = datetime.fromtimestamp(YEAR + seconds, UTC)
    expected: list[float] = []
    try:
        clock = CronExpression(expression)
        expected = by_cronsim(expression, start, 3)
    except (SpecError, CronSimError, StopIteration):
        assert "31" in day or "#" in weekday, f"{expression}: only a date that no month has never comes"
        return
    found, instant = [], start.timestamp()
    for _ in expected:
        instant = clock.after(instant) or 0.0
        found.append(instant)
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("0 0 ? * 1", "0 0 * * 1"),
        ("0 0 13 * ?", "0 0 13 * *"),
        ("0 0 * * L5", "0 0 * * 5L"),
        ("0 0 * * 5-1", "0 0 * * 0,1,5,6"),
        ("0 22-1 * * *", "0 0,1,22,23 * * *"),
        ("0 0 30 2 1", "0 0 * 2 1"),
    ],
)
def test_forms_that_cronsim_does_not_read_equal_plain_ones(expression: str, same: str) -> None:
    assert CronExpression(expression).between(YEAR, YEAR + 400 * 86400, 20) == CronExpression(same).between(
        YEAR, YEAR + 400 * 86400, 20
    )


def test_all_macros_are_expressions() -> None:
    assert all(
        CronExpression(macro).after(YEAR) == CronExpression(expression).after(YEAR)
        for macro, expression in MACROS.items()
    )
