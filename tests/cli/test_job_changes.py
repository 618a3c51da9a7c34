"""`jobpools jobs retry | run-now | reschedule | cancel | delete`."""

import json
import re
import time
from typing import Any

import pytest
from redis import Redis

from tests.cli.conftest import Shell
from tests.cli.test_bulk import make_dead, run_on_a_terminal

READY = "jobpools:{emails}:ready:normal"
SCHEDULED = "jobpools:{emails}:scheduled:normal"


def due_times(client: Redis) -> list[float]:
    found: list[Any] = client.zrange(SCHEDULED, 0, -1, withscores=True)  # type: ignore[assignment]
    return [float(each[1]) for each in found]


def test_dead_jobs_that_match_are_retried_after_a_dry_run(jobpools: Shell, client: Redis) -> None:
    ids = make_dead(client, 12)
    ran = jobpools("jobs", "retry", "--name", "send", "--dry-run")
    assert ran.out.splitlines() == [*ids[:10], "…", "12 jobs would be retried; nothing was changed"]
    shown = json.loads(jobpools("jobs", "retry", "-q", "emails", "--all", "--dry-run", "-o", "json").out)
    assert shown == {"queue": "emails", "found": 12, "ids": ids[:10], "retried": 0}
    assert client.llen(READY) == 0
    assert jobpools("jobs", "retry", ids[3]).out == "1 job retried\n"
    assert jobpools("jobs", "retry", "--name", "send", "--limit", "2").out == "2 jobs retried\n"
    assert client.lrange(READY, 0, -1) == [each.encode() for each in (ids[3], ids[0], ids[1])]
    assert jobpools("jobs", "retry", "--name", "other").out == "0 jobs retried\n"


def test_scheduled_jobs_are_queued_or_rescheduled(jobpools: Shell, client: Redis) -> None:
    first, second = (
        jobpools("enqueue", "send", "to=x", "--queue", "emails", "--delay", "1h", "--tag", tag).out.strip()
        for tag in ("vip", "other")
    )
    assert jobpools("jobs", "run-now", "--tag", "vip").out == "1 job queued\n"
    assert client.lrange(READY, 0, -1) == [first.encode()]
    assert jobpools("jobs", "reschedule", first, second, "--delay", "2h").out == "2 jobs rescheduled\n"
    assert set(client.zrange(SCHEDULED, 0, -1)) == {first.encode(), second.encode()}
    assert all(abs(at / 1000 - time.time() - 7200) < 60 for at in due_times(client))
    ran = jobpools("jobs", "reschedule", "-q", "emails", "--all", "--at", "2037-01-01T09:00:00Z", "-o", "json")
    assert json.loads(ran.out) == {"queue": "emails", "found": 2, "rescheduled": 2}
    assert due_times(client) == [2114413200000.0] * 2


def test_records_are_deleted(jobpools: Shell, client: Redis) -> None:
    make_dead(client, 3)
    waiting = jobpools("enqueue", "send", "to=x", "--queue", "emails", "--id", "a").out.strip()
    assert jobpools("jobs", "cancel", waiting).out == "job a of queue emails is cancelled\n"
    assert jobpools("jobs", "delete", "--state", "cancelled", "--ended-after", "1h").out == "1 job deleted\n"
    assert jobpools("jobs", "delete", "-q", "emails", "--all").out == "3 jobs deleted\n"
    assert json.loads(jobpools("jobs", "-o", "json").out) == []
    assert set(client.keys()) <= {b"jobpools:{emails}:done", b"jobpools:{emails}:totals", b"jobpools:{emails}:wake"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["retry"],
            "jobs retry: no jobs are selected; give ids, a condition such as --name NAME, or --queue NAME --all",
        ),
        (
            ["retry", "x", "--text", "y"],
            "jobs retry: ids exclude --all and all conditions but --queue; give ids, or a condition ",
        ),
        (["delete", "-s", "queued"], "state: a queued job cannot be deleted; use completed, dead or cancelled"),
        (["delete", "nothing"], "job nothing: not found in any queue"),
        (["run-now", "job-000000"], "job job-000000: it is dead, not scheduled; leave out this id"),
        (["reschedule", "x"], "jobs reschedule: give either --at or --delay, as in --delay 10m"),
        (["reschedule", "x", "--at", "tomorrow"], "--at: 'tomorrow' is not a time; write a time with its offset"),
        (["list", "--created-after", "2027-01-01"], "--created-after: '2027-01-01' is not a time; write how long ago"),
        (["list", "--ended-before", "soon"], "--ended-before: 'soon' is not a duration"),
    ],
)
def test_an_unclear_command_is_refused(jobpools: Shell, client: Redis, words: list[str], message: str) -> None:
    make_dead(client, 1)
    ran = jobpools("jobs", *words)
    assert (ran.code, message in ran.err) == (1, True), ran.err


@pytest.mark.usefixtures("folder")
def test_a_terminal_asks_first_and_shows_a_progress_bar(client: Redis, valkey_url: str) -> None:
    make_dead(client, 2000)
    words = ["jobs", "delete", "--state", "dead"]
    code, shown = run_on_a_terminal(valkey_url, words, b"n\n")
    assert (code, client.zcard("jobpools:{emails}:dead")) == (1, 2000)
    assert "Delete 2000 jobs of queue emails for good?" in shown
    code, shown = run_on_a_terminal(valkey_url, [*words, "--yes"])
    assert (code, client.zcard("jobpools:{emails}:dead")) == (0, 0)
    assert re.search(r"deleted .*/2000", shown), shown
