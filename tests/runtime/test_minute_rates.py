"""The rates of a worker: averaged over the last minute, and unknown at its start."""

import pytest

from jobpools.runtime.minute_rates import WINDOW, MinuteRates, Rates


@pytest.mark.parametrize(
    ("reports", "rates"),
    [
        ([(4.9, 100, 0)], Rates()),
        ([(30, 60, 3)], Rates(120.0, 6.0)),
        ([(60, 60, 0), (120, 90, 6)], Rates(30.0, 6.0)),
        ([(60, 60, 0), (120, 60, 0)], Rates(0.0, 0.0)),
        ([*((second, second, 0) for second in range(1, 300))], Rates(60.0, 0.0)),
        ([(100, 50, 0), (100.5, 60, 0)], Rates(35.8, 0.0)),
    ],
)
def test_rates_are_those_of_the_last_minute(reports: list[tuple[float, int, int]], rates: Rates) -> None:
    measured = MinuteRates(0.0)
    found = [measured.measure(*report) for report in reports]
    assert found[-1] == rates
    assert len(measured._samples) <= WINDOW + 2  # pyright: ignore[reportPrivateUsage]  # bounded memory
