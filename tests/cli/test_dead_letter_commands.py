"""`jobpools dead`: by reason, name, error and age."""

import json
import time

import pytest
import yaml
from redis import Redis

from tests.cli.conftest import Shell
from tests.cli.test_bulk import make_dead

HISTORY, DEAD = "jobpools:{emails}:history", "jobpools:{emails}:dead"
DAY = 86_400_000


@pytest.fixture
def ids(client: Redis) -> list[str]:
    """Return the ids of five dead jobs: the first died of a timeout, the second was discarded a week ago."""
    found = make_dead(client, 5)
    attempt = {
        "attempt": 1,
        "outcome": "timed_out",
        "at": 1.0,
        "error": "TimeoutError",
        "message": "ran longer than 5m",
    }
    client.hset(HISTORY, found[0], json.dumps({"attempts": 1, "entries": [attempt], "reason": "timeout"}))
    client.hset(HISTORY, found[1], json.dumps({"note": "Discarded: no order 7", "reason": "discarded"}))
    client.hset(HISTORY, found[2], json.dumps({"note": "?", "reason": "a reason of a later version"}))
    now = int(time.time() * 1000)
    client.zadd(DEAD, {job_id: now - (7 * DAY if job_id == found[1] else 0) for job_id in found})
    return found


def listed(jobpools: Shell, *options: str) -> set[str]:
    return {row["id"] for row in json.loads(jobpools("dead", "list", *options, "-o", "json").out)}


def test_dead_letters_are_listed_by_reason_error_and_age(jobpools: Shell, ids: list[str]) -> None:
    assert listed(jobpools) == set(ids)
    assert listed(jobpools, "--reason", "timeout") == {ids[0]}
    assert listed(jobpools, "--reason", "expired") == set()
    assert listed(jobpools, "--error", "Ran LONGER") == {ids[0]}
    assert listed(jobpools, "--error", "order 7") == {ids[1]}
    assert listed(jobpools, "--older-than", "6d") == {ids[1]}
    assert listed(jobpools, "--newer-than", "6d") == set(ids) - {ids[1]}
    assert listed(jobpools, "--older-than", "6d", "--reason", "timeout") == set()
    assert listed(jobpools, "--name", "other") == set()
    rows = json.loads(jobpools("jobs", "list", "--reason", "discarded", "-o", "json").out)
    assert [row["id"] for row in rows] == [ids[1]]


def test_one_dead_letter_is_shown(jobpools: Shell, client: Redis, ids: list[str]) -> None:
    shown = yaml.safe_load(jobpools("dead", "show", ids[0]).out)
    assert (shown["state"], shown["reason"], shown["attempts"][0]["error"]) == ("dead", "timeout", "TimeoutError")
    assert jobpools("dead", "replay", ids[0]).out == "1 job replayed\n"
    ran = jobpools("dead", "show", ids[0])
    assert ran.code == 1
    assert f"job {ids[0]}: it is queued, not dead; use jobpools jobs show {ids[0]}" in ran.err
    assert client.llen("jobpools:{emails}:ready:normal") == 1


def test_matching_dead_letters_are_replayed_or_purged_after_a_count(
    jobpools: Shell, client: Redis, ids: list[str]
) -> None:
    ran = jobpools("dead", "replay", "--reason", "timeout", "--dry-run")
    assert ran.out == f"{ids[0]}\n1 job would be replayed; nothing was changed\n"
    assert client.zcard(DEAD) == 5
    assert jobpools("dead", "replay", "--reason", "timeout").out == "1 job replayed\n"
    assert json.loads(client.hget(HISTORY, ids[0]) or b"")["replays"] == 1
    assert jobpools("dead", "purge", "--older-than", "30d").out == "0 jobs purged\n"
    assert jobpools("dead", "purge", "--older-than", "6d", "--dry-run").out.endswith(
        "1 job would be purged; nothing was changed\n"
    )
    assert jobpools("dead", "purge", "--older-than", "6d").out == "1 job purged\n"
    assert listed(jobpools) == set(ids[2:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["purge"], "dead purge: no jobs are selected; give ids, a condition "),
        (["purge", "0197", "--reason", "timeout"], "dead purge: ids exclude --all and all conditions "),
        (["replay", "--all"], "--all: no queue given"),
        (["list", "--older-than", "soon"], "--older-than: 'soon' is not a duration"),
        (["list", "--newer-than", "2027-01-01"], "--newer-than: '2027-01-01' is not a time"),
    ],
)
def test_an_invalid_selection_is_refused_in_one_line(jobpools: Shell, options: list[str], message: str) -> None:
    ran = jobpools("dead", *options)
    assert ran.code == 1
    assert message in ran.err


def test_an_unknown_reason_is_refused(jobpools: Shell) -> None:
    ran = jobpools("dead", "list", "--reason", "bored")
    assert ran.code == 2
    assert "--reason: 'bored' is not one of 'attempts', 'crashed', 'timeout'" in ran.err
