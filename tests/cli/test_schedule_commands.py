"""`jobpools cron`: the schedules of a real Valkey in a table, JSON and YAML."""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import yaml

from jobpools.control.schedules import ScheduleEngine
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.specs import Schedule
from jobpools.store.connection import connect
from jobpools.store.schedules import StoreSchedules


def jobpools(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "jobpools.cli", *arguments, "--redis", url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def schedule(name: str, **spec: Any) -> Schedule:
    base: dict[str, Any] = {"job": {"name": "report", "queue": "reports"}}
    return Schedule.model_validate({"meta": {"name": name, "namespace": "shop"}, "spec": base | spec})


class SilentReporter:
    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        pass


def fire(url: str, *schedules: Schedule, at: float) -> None:
    """Fire what is due at this time, as an operator does."""

    async def run_passes() -> None:
        connection = connect(url)
        engine = ScheduleEngine(StoreSchedules(connection), SilentReporter(), lambda: at)
        for each in schedules:
            engine.put(each)
        await engine.run_pass()
        await connection.aclose()

    asyncio.run(run_passes())


def test_a_redis_without_schedules_prints_an_empty_list(valkey_url: str) -> None:
    run = jobpools(valkey_url, "cron")
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == "no schedule has been seen yet\n"
    assert json.loads(jobpools(valkey_url, "cron", "--output", "json").stdout) == []


def test_the_table_shows_times_fires_and_reasons(valkey_url: str) -> None:
    now = time.time()
    hourly = schedule("hourly", schedule="0 * * * *", timeZone="Europe/Berlin")
    suspended = schedule("annual", schedule="0 0 1 1 *", suspend=True)
    fire(valkey_url, hourly, suspended, at=now - 7300)
    fire(valkey_url, hourly, suspended, at=now - now % 3600)
    run = jobpools(valkey_url, "cron", "list")
    assert run.returncode == 0, run.stderr
    head, *lines = (line.split("   ") for line in run.stdout.splitlines())
    assert [word.strip() for word in head if word.strip()] == [
        "SCHEDULE", "TIMES", "ZONE", "NEXT", "LAST", "STATE", "FIRED", "MISSED", "REASON",
    ]  # fmt: skip
    rows = [[word.strip() for word in line if word.strip()] for line in lines]
    assert rows[0] == ["shop/annual", "0 0 1 1 *", "UTC", "-", "-", "-", "0", "0", "Suspended"]
    tick, after = (time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(now + more)) for more in (0, 3600))
    assert rows[1][:8] == ["shop/hourly", "0 * * * *", "Europe/Berlin", after, tick, "queued", "1", rows[1][7]]
    assert int(rows[1][7]) in (1, 2), "the ticks before the latest one"


def test_json_and_yaml_show_all_fields(valkey_url: str) -> None:
    fire(valkey_url, schedule("once", at="2027-01-15T08:00:00Z"), at=1_800_000_000 - 10)
    fire(valkey_url, schedule("once", at="2027-01-15T08:00:00Z"), at=1_800_000_000 + 10)
    (row,) = json.loads(jobpools(valkey_url, "cron", "-o", "json").stdout)
    assert yaml.safe_load(jobpools(valkey_url, "cron", "-o", "yaml").stdout) == [row]
    assert row | {"id": ""} == {
        "schedule": "shop/once", "source": "CronJobSpec", "declaredBy": None, "enabled": True,
        "times": "2027-01-15T08:00:00Z", "zone": "UTC", "next": None,
        "last": "2027-01-15T08:00:00Z", "state": "queued", "fired": 1, "missed": 0, "reason": row["reason"],
        "job": "report", "queue": "reports", "args": {}, "options": {}, "id": "", "active": 1,
    }  # fmt: skip


def test_a_cron_job_spec_is_shown_with_its_ticks_and_fires_and_edited_in_its_yaml(valkey_url: str) -> None:
    now = time.time()
    fire(valkey_url, schedule("hourly", schedule="@hourly"), at=now - 3600)
    fire(valkey_url, schedule("hourly", schedule="@hourly"), at=now - now % 3600)
    shown = json.loads(jobpools(valkey_url, "cron", "show", "hourly", "-o", "json").stdout)
    assert (shown["source"], len(shown["nextRuns"]), len(shown["fires"])) == ("CronJobSpec", 10, 1)
    ran = jobpools(valkey_url, "cron", "edit", "hourly", "--cron", "@daily")
    assert ran.returncode == 1
    assert ran.stderr.startswith("jobpools: schedule shop/hourly: a CronJobSpec declares it, and its YAML decides; ")
    assert ran.stderr.endswith("kubectl edit jobcron hourly -n shop, or the file of jobpools up\n")


def test_a_tick_that_is_due_and_not_fired_is_overdue(valkey_url: str) -> None:
    fire(valkey_url, schedule("minutely", schedule="* * * * *"), at=time.time() - 600)
    (row,) = json.loads(jobpools(valkey_url, "cron", "-o", "json").stdout)
    assert (row["reason"], row["fired"], row["missed"]) == ("Overdue", 0, 0)
    fire(valkey_url, schedule("once", at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 100))),
         at=time.time() - 200)  # fmt: skip
    rows = json.loads(jobpools(valkey_url, "cron", "-o", "json").stdout)
    assert {row["schedule"]: row["reason"] for row in rows}["shop/once"] == "Overdue"
