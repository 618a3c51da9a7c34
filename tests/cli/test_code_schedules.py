"""`jobpools cron` and `jobpools scheduler`, for schedules that an app makes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from tests.cli.conftest import Shell
from tests.support.waiting import eventually

APP = """
from jobpools import App

app = App("plans")

@app.cron("@hourly", args={"day": "mon"})
@app.cron("0 0 1 1 *", name="yearly")
@app.job(queue="reports")
async def report(day: str = "new year") -> None: ...
"""
KEY = "code:plans/report"


@pytest.fixture(autouse=True)
def schedules(folder: Path, valkey_url: str) -> None:
    """The schedules of the app are in Redis."""
    (folder / "plans.py").write_text(APP)
    with start(valkey_url, folder) as process:
        eventually("both are written", lambda: len(table(valkey_url)) == 2)
        process.terminate()
        assert process.wait(10) == 0
    with Redis.from_url(valkey_url) as client:
        assert not client.exists("jobpools:{schedules}:leader"), "it gave up the lead"


def start(url: str, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "jobpools.cli", "scheduler", *(arguments or ("plans:app",))]
    env = os.environ | {"JOBPOOLS_REDIS_URL": url}
    return subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.PIPE, text=True)


def table(url: str) -> dict[bytes, bytes]:
    with Redis.from_url(url) as client:
        found: dict[bytes, bytes] = client.hgetall("jobpools:{schedules}:table")  # type: ignore[assignment]
    return found


def test_schedules_are_listed_shown_and_run(jobpools: Shell) -> None:
    rows = json.loads(jobpools("cron", "-o", "json").out)
    assert [(row["schedule"], row["source"]) for row in rows] == [(KEY, "code"), ("code:plans/yearly", "code")]
    ran = jobpools("cron", "run", "report")
    shown = json.loads(jobpools("cron", "show", "report", "-o", "json").out)
    assert (shown["schedule"], len(shown["nextRuns"])) == (KEY, 10)
    (fire,) = shown["fires"]
    assert (f"{fire['id']}\n", fire["state"], fire["manual"]) == (ran.out, "queued", True)
    years = json.loads(jobpools("cron", "next", "yearly", "--limit", "2", "-o", "json").out)
    assert [row["next"][4:] for row in years] == ["-01-01T00:00:00Z"] * 2


def test_a_schedule_is_disabled_enabled_and_deleted(jobpools: Shell) -> None:
    assert jobpools("cron", "disable", "report").out == f"schedule {KEY} is disabled\n"
    rows = json.loads(jobpools("cron", "-o", "json").out)
    assert next((row["enabled"], row["next"] is None, row["reason"]) for row in rows) == (False, True, "Suspended")
    assert jobpools("cron", "enable", KEY).out.startswith(f"schedule {KEY} is enabled; it fires next at 20")
    deleted = json.loads(jobpools("cron", "delete", "yearly", "-o", "json").out)
    assert deleted == {"schedule": "code:plans/yearly", "deleted": True}
    assert [row["schedule"] for row in json.loads(jobpools("cron", "-o", "json").out)] == [KEY]


def test_an_edit_shows_what_changes_before_and_after(jobpools: Shell) -> None:
    edit = ("cron", "edit", "report", "--cron", "30 7 * * *", "--time-zone", "Asia/Tokyo", "--arg", "day=tue",
            "--timeout", "2m", "--metadata", "tenant=7")  # fmt: skip
    dry = jobpools(*edit, "--dry-run")
    rows = [line.split() for line in dry.out.splitlines()]
    assert rows[:3] == [["FIELD", "BEFORE", "AFTER"], ["times", "@hourly", "30", "7", "*", "*", "*"],
                        ["zone", "UTC", "Asia/Tokyo"]]  # fmt: skip
    assert rows[4:] == [
        ["args.day", "mon", "tue"], ["metadata.tenant", "-", "7"], ["timeout", "-", "2m"],
    ]  # fmt: skip
    note = f"jobpools: schedule {KEY}: plans:app declares it; a worker of it that starts writes its declaration again"
    assert dry.err.splitlines()[0] == f"jobpools: schedule {KEY} would be changed"
    assert dry.err.splitlines()[1].startswith(note)
    done = json.loads(jobpools(*edit, "-o", "json").out)
    assert [row["field"] for row in done] == ["times", "zone", "next", "args.day", "metadata.tenant", "timeout"]
    assert json.loads(jobpools("cron", "show", "report", "-o", "json").out)["args"] == {"day": "tue"}
    assert jobpools(*edit).err.splitlines()[0] == f"schedule {KEY} has these values already"
    nothing = jobpools("cron", "edit", "report")
    assert nothing.err == ("jobpools: cron edit report: nothing to change; give an option, as in --cron '0 6 * * *'\n")


def test_an_unknown_schedule_is_refused_in_one_line(jobpools: Shell) -> None:
    ran = jobpools("cron", "disable", "reprot")
    assert (ran.code, ran.err) == (
        1, "jobpools: schedule reprot: not found; did you mean report?\n",
    )  # fmt: skip


def test_a_killed_scheduler_is_replaced_and_no_tick_is_fired_twice(
    folder: Path, valkey_url: str, jobpools: Shell
) -> None:
    (folder / "plans.py").write_text(
        APP + "\nimport asyncio\nasyncio.run(app.scheduler.every(1, report, name='often', catch_up='All'))\n"
    )

    def fired() -> list[str]:
        with Redis.from_url(valkey_url, decode_responses=True) as client:
            found: list[str] = client.lrange("jobpools:{reports}:ready:normal", 0, -1)  # type: ignore[assignment]
        return found

    with start(valkey_url, folder) as first:
        eventually("the first one fires", lambda: len(fired()) >= 2)
        with start(valkey_url, folder, "--redis", valkey_url) as second:
            first.send_signal(signal.SIGKILL)
            first.wait(10)
            count = len(fired())
            eventually("the second one fires", lambda: len(fired()) > count + 2, within=30)
            second.terminate()
            assert second.wait(10) == 0
    (often,) = [row for row in json.loads(jobpools("cron", "-o", "json").out) if row["schedule"].endswith("often")]
    ids = fired()
    assert len(set(ids)) == len(ids) == often["fired"]
    assert often["missed"] == 0
