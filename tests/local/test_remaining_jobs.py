"""What `jobpools up` says and does when all that is left is work that nobody here can do, or not yet."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from jobpools.local.remaining_jobs import Kept, judge
from tests.local.runs import Run

Up = Callable[..., Run]
STRANGER = "jobpools enqueue thumbnail n=1 --queue quick"
NOW = 1_800_000_000.0


def kept(queue: str = "emails", **known: object) -> Kept:
    return Kept(queue, apps=("shop:app",), **known)  # type: ignore[arg-type]  # a table's own fields


@pytest.mark.parametrize(
    ("queues", "reason", "said"),
    [
        ([], "Idle", []),
        ([kept()], "Idle", []),
        ([kept(ready=3)], "Moving", []),
        ([kept(running=1), kept("news", scheduled=2, notes={"no job 'x'": 2})], "Moving", []),
        ([kept(scheduled=1, next_due=NOW + 1)], "Moving", []),
        (
            [kept(scheduled=2, notes={"no job 'x'": 2})],
            "Stuck",
            ["2 jobs of queue emails cannot run: no job 'x'; put it right in shop:app and start again"],
        ),
        (
            [kept(ready=1, scheduled=2, nobody="pool office is paused")],
            "Stuck",
            ["3 jobs of queue emails cannot run: pool office is paused"],
        ),
        (
            [kept(ready=1, nobody="no pool serves it"), kept("news", scheduled=1, notes={"no job 'x'": 1})],
            "Stuck",
            [
                "1 job of queue emails cannot run: no pool serves it",
                "1 job of queue news cannot run: no job 'x'; put it right in shop:app and start again",
            ],
        ),
        # What comes later can be waited for, and is; what cannot run is said meanwhile.
        (
            [kept(scheduled=3, notes={"no job 'x'": 1}, next_due=NOW + 3600)],
            "Later",
            ["1 job of queue emails cannot run: no job 'x'; put it right in shop:app and start again"],
        ),
    ],
)
def test_what_is_left(queues: list[Kept], reason: str, said: list[str]) -> None:
    decision = judge(queues, NOW)
    assert decision.reason == reason
    assert list(decision.value) == said


def test_what_comes_later_is_said_with_its_time() -> None:
    later = [kept(scheduled=2, next_due=NOW + 7200), kept("news", scheduled=1, next_due=NOW + 3600)]
    assert re.fullmatch(
        r"nothing to do until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d, in 1h: 3 jobs are scheduled for then or later; "
        r"Ctrl-C ends the run before",
        judge(later, NOW).message,
    )


def test_a_job_that_nobody_registered_ends_the_run_and_is_kept(up: Up, valkey_url: str) -> None:
    run = up("--until-idle", "--redis", valkey_url, "--with", f"sh -c '{STRANGER} && {STRANGER} && {SENDS}'")
    assert run.end() == 1
    said = [line for line in run.lines if "cannot run" in line]
    assert len(said) == 1
    assert (
        "  2 jobs of queue quick cannot run: no job 'thumbnail' in the app of the workers of queue quick; " in said[0]
    )
    assert "put it right in pair:app and start again" in said[0]
    assert run.lines[-1].startswith("stopped: 3 completed, 0 retried, 0 dead, 0 lost, 2 still waiting; ")
    with Redis.from_url(valkey_url) as client:
        assert client.hlen("jobpools:{quick}:jobs") >= 2


SENDS = "python pair.py quick 3 1"


def test_a_queue_that_no_pool_serves_ends_the_run(up: Up) -> None:
    run = up("--until-idle", "--with", "jobpools enqueue quick n=1 --queue quik")
    assert run.end() == 1
    assert run._find(r"  1 job of queue quik cannot run: no pool of these files serves it; did you mean quick\?")
    assert run.lines[-1].startswith("stopped: 0 completed, 0 retried, 0 dead, 0 lost, 1 still waiting; ")


def test_a_paused_pool_ends_the_run(up: Up, folder: Path) -> None:
    file = folder / "pools.yaml"
    file.write_text(file.read_text().replace("queues: [quick]", "queues: [quick]\n  paused: true"))
    run = up("--until-idle", "--with", SENDS)
    assert run.end() == 1
    assert run._find("  3 jobs of queue quick cannot run: pool quick is paused; set paused: false")


def test_a_job_of_much_later_is_waited_for_and_said(up: Up) -> None:
    run = up("--until-idle", "--with", "jobpools enqueue pair:app quick n=1 --delay 1h")
    run.wait("nothing to do until .*: 1 job is scheduled for then; Ctrl-C ends the run before")
    assert run.process.poll() is None
    run.interrupt()
    assert run.end(20) == 130
    assert len([line for line in run.lines if "nothing to do until" in line]) == 1
    assert run.lines[-1].startswith("stopped: 0 completed, 0 retried, 0 dead, 0 lost, 1 still waiting; ")
