"""Schedules of `jobpools up`, with real processes and a real Valkey."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis import Redis

from tests.local.runs import Run
from tests.support.waiting import eventually

Up = Callable[..., Run]


def schedule(name: str, **spec: str) -> str:
    lines = [f"  {key}: {value}" for key, value in spec.items()]
    head = f"apiVersion: jobpools.dev/v1\nkind: CronJobSpec\nmetadata: {{name: {name}}}\nspec:\n"
    return head + "\n".join([*lines, "  job: {name: quick, queue: quick, kwargs: {n: 1}}"]) + "\n"


def in_seconds(seconds: float) -> str:
    return f'"{(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}"'


def counts(url: str, name: str) -> tuple[int, int]:
    """Fired and missed, as `jobpools cron` reads them."""
    import json

    with Redis.from_url(url) as redis:
        raw = redis.hget("jobpools:{schedules}:state", f"default/{name}")
    known = json.loads(raw) if raw else {}  # type: ignore[arg-type]  # a synchronous client
    return known.get("fired", 0), known.get("missed", 0)


def test_every_schedule_fires_once_at_the_start_where_that_is_asked_for(up: Up, folder: Path) -> None:
    (folder / "schedules.yaml").write_text("---\n".join(schedule(f"c{n}", schedule='"0 0 1 1 *"') for n in range(3)))
    run = up("--until-idle", "--fire")
    assert run.end() == 0
    assert len([line for line in run.lines if ": quick goes to queue quick" in line]) == 3
    assert run.lines[-1].startswith("done: 3 completed, 0 retried, 0 dead, 0 lost; "), run.text


def test_a_run_until_idle_does_not_wait_for_ticks_to_come(up: Up, folder: Path) -> None:
    (folder / "schedules.yaml").write_text(schedule("yearly", schedule='"@yearly"'))
    run = up("--until-idle")
    assert run.end() == 0
    assert run._find(r"next ticks: yearly \d{4}-")
    assert run.lines[-1].startswith("done: 0 completed, ")


def test_a_tick_fires_and_its_job_runs_and_an_edit_is_followed(up: Up, folder: Path, valkey_url: str) -> None:
    (folder / "schedules.yaml").write_text(schedule("far", schedule='"@yearly"'))
    run = up("--redis", valkey_url)
    run.wait("; 1 schedule; ")
    (folder / "schedules.yaml").write_text(
        schedule("once", at=in_seconds(2)) + "---\n" + schedule("far", schedule='"@yearly"')
    )
    run.wait("schedule once: quick goes to queue quick")
    assert counts(valkey_url, "once") == (1, 0)
    (folder / "schedules.yaml").write_text(schedule("far", at=in_seconds(2)))
    run.wait("schedule default/once: removed")
    run.wait("schedule far: quick goes to queue quick")
    eventually("what is gone is forgotten", lambda: counts(valkey_url, "once") == (0, 0))

    def completed() -> int:
        with Redis.from_url(valkey_url) as redis:
            return int(redis.hget("jobpools:{quick}:totals", "completed") or 0)  # type: ignore[arg-type]  # as above

    eventually("both jobs ran", lambda: completed() == 2)
    run.interrupt()
    assert run.end(20) == 0


def test_a_killed_run_is_followed_by_one_that_fires_nothing_twice(up: Up, folder: Path, valkey_url: str) -> None:
    first = up("--redis", valkey_url)
    first.wait("0 schedules")
    both = [schedule("before", at=in_seconds(2)), schedule("between", at=in_seconds(4))]
    (folder / "schedules.yaml").write_text("---\n".join(both))
    first.wait("schedule before: quick goes to queue quick")
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert counts(valkey_url, "between") == (0, 0)
    second = up("--redis", valkey_url)
    second.wait("schedule between: quick goes to queue quick")
    second.interrupt()
    assert second.end(20) == 0
    assert not second._find("schedule before: ")
    assert counts(valkey_url, "before") == counts(valkey_url, "between") == (1, 0)
