"""What `jobpools up` does when only jobs remain that cannot run, or not yet."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from jobpools.local.remaining_jobs import QueueContents, decide
from tests.local.up_process import UpProcess

Up = Callable[..., UpProcess]
ENQUEUE = "python pair.py quick 3 1"
ENQUEUE_UNKNOWN = "jobpools enqueue thumbnail n=1 --queue quick"
NOW = 1_800_000_000.0


def contents(queue: str = "emails", **known: object) -> QueueContents:
    return QueueContents(queue, apps=("shop:app",), **known)  # type: ignore[arg-type]  # a table's own fields


@pytest.mark.parametrize(
    ("queues", "reason", "lines"),
    [
        ([], "NoJobs", []),
        ([contents()], "NoJobs", []),
        ([contents(ready=3)], "Active", []),
        ([contents(running=1), contents("news", scheduled=2, handed_back={"no job 'x'": 2})], "Active", []),
        ([contents(scheduled=1, next_due=NOW + 1)], "Active", []),
        (
            [contents(scheduled=2, handed_back={"no job 'x'": 2})],
            "Stuck",
            ["2 jobs of queue emails cannot run: no job 'x'; fix shop:app and start again"],
        ),
        (
            [contents(ready=1, scheduled=2, unserved="pool office is paused")],
            "Stuck",
            ["3 jobs of queue emails cannot run: pool office is paused"],
        ),
        (
            [
                contents(ready=1, unserved="no pool serves it"),
                contents("news", scheduled=1, handed_back={"no job 'x'": 1}),
            ],
            "Stuck",
            [
                "1 job of queue emails cannot run: no pool serves it",
                "1 job of queue news cannot run: no job 'x'; fix shop:app and start again",
            ],
        ),
        # A scheduled job is waited for; the jobs that cannot run are mentioned meanwhile.
        (
            [contents(scheduled=3, handed_back={"no job 'x'": 1}, next_due=NOW + 3600)],
            "Scheduled",
            ["1 job of queue emails cannot run: no job 'x'; fix shop:app and start again"],
        ),
    ],
)
def test_the_meaning_of_the_remaining_jobs(queues: list[QueueContents], reason: str, lines: list[str]) -> None:
    decision = decide(queues, NOW)
    assert decision.reason == reason
    assert list(decision.value) == lines


def test_the_time_of_the_next_scheduled_job_is_mentioned() -> None:
    later = [contents(scheduled=2, next_due=NOW + 7200), contents("news", scheduled=1, next_due=NOW + 3600)]
    assert re.fullmatch(
        r"idle until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d, in 1h: 3 jobs are scheduled for that time or later; "
        r"press Ctrl-C to stop now",
        decide(later, NOW).message,
    )


def test_a_job_without_a_handler_ends_the_run_and_is_kept(up: Up, valkey_url: str) -> None:
    run = up(
        "--until-idle", "--redis", valkey_url, "--with", f"sh -c '{ENQUEUE_UNKNOWN} && {ENQUEUE_UNKNOWN} && {ENQUEUE}'"
    )
    assert run.wait() == 1
    (line,) = [line for line in run.lines if "cannot run" in line]
    assert "  2 jobs of queue quick cannot run: the workers of queue quick have no handler 'thumbnail'; " in line
    assert "fix pair:app and start again" in line
    assert run.lines[-1].startswith("stopped: 3 completed, 0 retried, 0 dead, 0 lost, 2 unfinished; ")
    with Redis.from_url(valkey_url) as client:
        assert client.hlen("jobpools:{quick}:jobs") >= 2


def test_a_queue_that_no_pool_serves_ends_the_run(up: Up) -> None:
    run = up("--until-idle", "--with", "jobpools enqueue quick n=1 --queue quik")
    assert run.wait() == 1
    assert run.find(r"  1 job of queue quik cannot run: no pool in these files serves it; did you mean quick\?")
    assert run.lines[-1].startswith("stopped: 0 completed, 0 retried, 0 dead, 0 lost, 1 unfinished; ")


def test_a_paused_pool_ends_the_run(up: Up, folder: Path) -> None:
    file = folder / "pools.yaml"
    file.write_text(file.read_text().replace("queues: [quick]", "queues: [quick]\n  paused: true"))
    run = up("--until-idle", "--with", ENQUEUE)
    assert run.wait() == 1
    assert run.find("  3 jobs of queue quick cannot run: pool quick is paused; set paused: false")


def test_a_job_that_is_due_later_is_waited_for(up: Up) -> None:
    run = up("--until-idle", "--with", "jobpools enqueue pair:app quick n=1 --delay 1h")
    run.wait_for_line("idle until .*: 1 job is scheduled for that time; press Ctrl-C to stop now")
    assert run.process.poll() is None
    run.press_ctrl_c()
    assert run.wait(20) == 130
    assert run.count("idle until") == 1
    assert run.lines[-1].startswith("stopped: 0 completed, 0 retried, 0 dead, 0 lost, 1 unfinished; ")
