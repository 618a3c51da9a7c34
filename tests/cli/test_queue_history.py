"""`jobpools stats --since` shows the history of the queues."""

from pathlib import Path

import pytest
from redis import Redis

from tests.cli.conftest import Shell, rows, run_all_jobs, send, table

HOUR = ("stats", "--since", "1h")


@pytest.fixture
def ran(jobpools: Shell, folder: Path) -> Shell:
    """Run three jobs, one of which fails, in a worker that has stopped."""
    for to in ("ada", "grace", "unknown"):
        send(jobpools, f"to={to}")
    run_all_jobs(folder)
    return jobpools


def test_the_table_has_a_row_for_each_queue(ran: Shell) -> None:
    header, row = table(ran(*HOUR))
    assert header[:6] == ["QUEUE", "COMPLETED", "FAILED", "CRASHED", "DEAD", "COMPLETED/S"]
    assert row[:5] == ["emails", "2", "1", "0", "1"]
    assert all(cell.endswith("s") for cell in row[-6:])  # the quantiles


def test_json_has_counts_states_and_latencies_with_their_error(ran: Shell) -> None:
    (row,) = rows(ran(*HOUR, "--queue", "emails", "-o", "json"))
    counts = {name: row[name] for name in ("enqueued", "completed", "failed", "dead")}
    assert counts == {"enqueued": 3, "completed": 2, "failed": 1, "dead": 1}
    assert row["failures"] == 0.333
    assert 0 <= row["utilisation"] < 1
    assert row["highest"]["queued"] + row["highest"]["running"] + row["highest"]["dead"] >= 1
    assert (row["running_ms"]["count"], row["waiting_ms"]["count"]) == (3, 3)
    assert row["running_ms"]["error"] == 0.09
    assert 0 < row["running_ms"]["p50"] <= row["running_ms"]["p99"]


def test_a_step_gives_a_row_for_each_time_and_the_sum_is_the_whole(ran: Shell) -> None:
    found = rows(ran(*HOUR, "--step", "20m", "-o", "json"))
    assert len(found) == 3
    assert sum(row["completed"] for row in found) == 2
    assert found[0]["waiting_ms"]["p50"] is found[0]["utilisation"] is None
    header, *cells = table(ran(*HOUR, "--step", "20m"))
    assert header[1] == "FROM"
    assert len(cells) == 3


def test_a_plot_is_written_besides_the_table(ran: Shell, folder: Path) -> None:
    shown = ran(*HOUR, "--plot", "hour.png")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("QUEUE")
    assert (folder / "hour.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_without_any_queue_is_written(jobpools: Shell, folder: Path) -> None:
    assert jobpools(*HOUR, "--plot", "empty.png").err == "no queue has had a job yet\n"
    assert (folder / "empty.png").read_bytes().startswith(b"\x89PNG")


def test_a_history_that_cannot_be_read_names_its_key(ran: Shell, client: Redis) -> None:
    for minute in range(1440):
        client.hset("jobpools:{emails}:minutes", str(minute), b"?")
    failed = ran(*HOUR)
    assert (failed.code, failed.out) == (1, "")
    assert failed.err == (
        "jobpools: jobpools:{emails}:minutes: it does not hold records of minutes; delete it, and workers begin anew\n"
    )
