"""Schedules of `jobpools up`, with real processes and a real Valkey."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis import Redis

from tests.local.up_process import UpProcess
from tests.support.waiting import eventually

Up = Callable[..., UpProcess]


def schedule(name: str, **spec: str) -> str:
    lines = [f"  {key}: {value}" for key, value in spec.items()]
    head = f"apiVersion: jobpools.dev/v1\nkind: CronJobSpec\nmetadata: {{name: {name}}}\nspec:\n"
    return head + "\n".join([*lines, "  job: {name: quick, queue: quick, kwargs: {n: 1}}"]) + "\n"


def in_seconds(seconds: float) -> str:
    return f'"{(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}"'


def counts(url: str, name: str) -> tuple[int, int]:
    """Return (fired, missed) of a schedule, as `jobpools cron` shows them."""
    with Redis.from_url(url) as redis:
        raw = redis.hget("jobpools:{schedules}:state", f"default/{name}")
    known = json.loads(raw) if raw else {}  # type: ignore[arg-type]  # a synchronous client
    return known.get("fired", 0), known.get("missed", 0)


def test_fire_fires_every_schedule_once_at_the_start(up: Up, folder: Path) -> None:
    (folder / "schedules.yaml").write_text("---\n".join(schedule(f"c{n}", schedule='"0 0 1 1 *"') for n in range(3)))
    run = up("--until-idle", "--fire")
    assert run.wait() == 0
    assert run.count(": enqueued quick in queue quick") == 3
    assert run.lines[-1].startswith("done: 3 completed, 0 retried, 0 dead, 0 lost; "), run.text


def test_until_idle_does_not_wait_for_future_ticks(up: Up, folder: Path) -> None:
    (folder / "schedules.yaml").write_text(schedule("yearly", schedule='"@yearly"'))
    run = up("--until-idle")
    assert run.wait() == 0
    assert run.find(r"next ticks: yearly \d{4}-")
    assert run.lines[-1].startswith("done: 0 completed, ")


def test_a_tick_is_fired_and_an_edit_takes_effect(up: Up, folder: Path, valkey_url: str) -> None:
    (folder / "schedules.yaml").write_text(schedule("far", schedule='"@yearly"'))
    run = up("--redis", valkey_url)
    run.wait_for_line("; 1 schedule; ")
    (folder / "schedules.yaml").write_text(
        schedule("once", at=in_seconds(2)) + "---\n" + schedule("far", schedule='"@yearly"')
    )
    run.wait_for_line("schedule once: enqueued quick in queue quick")
    assert counts(valkey_url, "once") == (1, 0)
    (folder / "schedules.yaml").write_text(schedule("far", at=in_seconds(2)))
    run.wait_for_line("schedule default/once: removed")
    run.wait_for_line("schedule far: enqueued quick in queue quick")
    eventually("the removed schedule is forgotten", lambda: counts(valkey_url, "once") == (0, 0))

    def completed() -> int:
        with Redis.from_url(valkey_url) as redis:
            return int(redis.hget("jobpools:{quick}:totals", "completed") or 0)  # type: ignore[arg-type]  # as above

    eventually("both jobs ran", lambda: completed() == 2)
    run.press_ctrl_c()
    assert run.wait(20) == 0


def test_the_run_after_a_killed_one_fires_no_tick_twice(up: Up, folder: Path, valkey_url: str) -> None:
    first = up("--redis", valkey_url)
    first.wait_for_line("0 schedules")
    both = [schedule("before", at=in_seconds(2)), schedule("between", at=in_seconds(4))]
    (folder / "schedules.yaml").write_text("---\n".join(both))
    first.wait_for_line("schedule before: enqueued quick in queue quick")
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert counts(valkey_url, "between") == (0, 0)
    second = up("--redis", valkey_url)
    second.wait_for_line("schedule between: enqueued quick in queue quick")
    second.press_ctrl_c()
    assert second.wait(20) == 0
    assert not second.find("schedule before: ")
    assert counts(valkey_url, "before") == counts(valkey_url, "between") == (1, 0)
