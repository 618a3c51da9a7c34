"""The plot of a history is written whatever was recorded."""

from pathlib import Path

import pytest

from jobpools.core.histogram import Histogram
from jobpools.core.jobs.minutes import Counts, Minute, States, Summary, spans
from jobpools.errors import ConfigurationError
from jobpools.local import history_plot, plot_file

START = 30_000_000
NOW = (START + 59) * 60.0 + 30
"""Seconds since the epoch, in the last of 60 minutes."""


def hour(*recorded: int) -> list[Summary]:
    """Return an hour of which these minutes have a record."""
    times = Histogram(buckets={40: 9, 60: 1})
    minutes = [
        Minute(START + at, Counts(completed=10), States(queued=5), 1.0, 60.0, waiting=times, running=times)
        for at in recorded
    ]
    return spans(minutes, START, NOW, 1)


@pytest.mark.parametrize(
    "queues",
    [
        {},
        {"idle": hour()},
        {"short": hour(30)},
        {"emails": hour(*range(60)), "idle": hour(), "reports": hour(3, 4, 5)},
        {f"queue-{number}": hour(number) for number in range(history_plot.QUEUES + 3)},
    ],
)
def test_a_plot_is_a_png_for_any_number_of_queues_and_records(tmp_path: Path, queues: dict[str, list[Summary]]) -> None:
    path = tmp_path / "hour.png"
    plot_file.check(path)
    history_plot.draw(queues, path, "the last 1h")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_plot_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(ConfigurationError, match=r"--plot .*taken\.png: cannot be written: Is a directory"):
        history_plot.draw({"emails": hour(1)}, tmp_path / "taken.png", "the last 1h")


@pytest.mark.parametrize(("length", "step"), [(1, 1), (180, 1), (181, 2), (360, 2), (720, 5), (1440, 10)])
def test_a_line_of_a_plot_has_a_limited_number_of_points(length: int, step: int) -> None:
    assert history_plot.step_of(length) == step
    assert length / step <= history_plot.POINTS
