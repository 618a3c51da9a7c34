"""The output of each command when it succeeds, as a table, as JSON and as YAML."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from typer.main import get_command

from jobpools.cli.app import app
from tests.cli.conftest import Ran, Shell, dump, rows, run_all_jobs, send, table

COMMANDS = (
    "up", "worker", "enqueue", "pools", "workers", "stats", "plan",
    "jobs", "jobs list", "jobs show", "jobs retry", "jobs run-now", "jobs reschedule", "jobs cancel", "jobs delete",
    "queues", "queues list", "queues show", "queues pause", "queues resume", "queues set", "queues clear",
    "dead", "dead list", "dead replay", "dead purge", "cron", "cron list",
)  # fmt: skip
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(jobpools: Shell, name: str) -> None:
    ran = jobpools(*name.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"Usage: jobpools {name} " in ran.out
    examples = ran.out.partition("Examples:\n")[2].strip().splitlines()
    assert examples
    assert all(line.strip().startswith(f"jobpools {name.split(maxsplit=1)[0]}") for line in examples)


def test_help_names_every_command(jobpools: Shell) -> None:
    ran = jobpools()
    assert ran == jobpools("--help")
    for name in COMMANDS:
        assert re.search(rf"^  {name.split()[0]} ", ran.out, re.MULTILINE)


RUN_UNTIL_STOPPED = {("up",), ("worker",), ("scheduler",)}


def test_every_command_that_ends_prints_json_and_yaml() -> None:
    commands = [(path, each) for path, each in leaves(get_command(app)) if path not in RUN_UNTIL_STOPPED]
    assert len(commands) > 30
    without = [path for path, each in commands if not any("--output" in option.opts for option in each.params)]
    assert without == []


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command of the command line that has no commands of its own, with its name."""
    inner = getattr(command, "commands", {})
    for name, each in inner.items():
        yield from leaves(each, (*path, name))
    if not inner:
        yield path, command


def test_version_prints_the_version(jobpools: Shell) -> None:
    assert re.fullmatch(r"jobpools \d+\.\d+\.\d+\S*\n", jobpools("--version").out)


def test_an_empty_redis_is_not_an_error(jobpools: Shell) -> None:
    for name, message in {
        "queues": "no queue has had a job yet", "pools": "no pool has a worker", "jobs": "no jobs found",
        "workers": "no worker has reported in the last 30 seconds", "dead": "no dead letters",
        "stats": "no queue has had a job yet", "cron": "no schedule has been seen yet",
    }.items():  # fmt: skip
        assert jobpools(name) == Ran(0, "", f"{message}\n")
        assert jobpools(name, "-o", "json") == Ran(0, "[]\n", "")
        assert jobpools(name, "-o", "yaml") == Ran(0, "[]\n", "")


def test_enqueue_prints_the_id_and_reports_an_existing_job(jobpools: Shell, client: Redis) -> None:
    assert UUID.fullmatch(jobpools("enqueue", "store:app", "send", "to=ada").out)
    assert jobpools("enqueue", "store:app", "send", "to=ada", "--id", "mail-7") == Ran(0, "mail-7\n", "")
    before = dump(client)
    again = jobpools("enqueue", "store:app", "send", "to=ada", "--id", "mail-7")
    assert again == Ran(0, "mail-7\n", "job mail-7 already exists in queue emails; nothing was enqueued\n")
    assert dump(client) == before
    as_json = jobpools("enqueue", "store:app", "send", "to=ada", "--id", "mail-7", "-o", "json")
    assert json.loads(as_json.out) == {"id": "mail-7", "queue": "emails", "new": False}


def test_arguments_are_decoded_as_json_if_possible(jobpools: Shell) -> None:
    given = ["text=ada", "quoted='7'", 'string="7"', "number=7", "none=null", 'list=["a"]', "empty=", "a=b=c"]
    job_id = jobpools("enqueue", "any", *given, "--queue", "other").out.strip()
    shown = json.loads(jobpools("jobs", "show", job_id, "-o", "json").out)
    assert shown["args"] == {
        "text": "ada", "quoted": "'7'", "string": "7", "number": 7, "none": None, "list": ["a"], "empty": "",
        "a": "b=c",
    }  # fmt: skip


def test_options_of_a_job_are_given_on_the_command_line(jobpools: Shell) -> None:
    words = "--priority high --delay 10m --expires 1h --timeout 90s --tag vip --tag new --metadata tenant=acme"
    given = [*words.split(), "--metadata", 'order={"id": 7}', "--id", "mail-8"]
    assert jobpools("enqueue", "store:app", "send", "to=ada", *given) == Ran(0, "mail-8\n", "")
    shown = json.loads(jobpools("jobs", "show", "mail-8", "-o", "json").out)
    assert (shown["state"], shown["priority"], shown["timeout"]) == ("scheduled", "high", 90.0)
    assert shown["tags"] == ["vip", "new"]
    assert shown["metadata"] == {"tenant": "acme", "order": {"id": 7}}
    assert shown["due"] < shown["expires"]


def test_arguments_too_deep_or_too_long_for_json_are_text(jobpools: Shell) -> None:
    deep, digits = "[" * 100_000, "1" * 5000
    job_id = jobpools("enqueue", "any", f"a={deep}", f"b={digits}", "--queue", "other").out.strip()
    assert json.loads(jobpools("jobs", "show", job_id, "-o", "json").out)["args"] == {"a": deep, "b": digits}


@pytest.mark.parametrize("args", ['{"n":' + "1" * 5000 + "}", '{"n":' + "[" * 300 + "1" + "]" * 300 + "}"])
def test_arguments_that_cannot_be_decoded_are_shown_as_text(jobpools: Shell, client: Redis, args: str) -> None:
    send(jobpools, "to=ada", "--id", "strange")
    kept = client.hget("jobpools:{emails}:jobs", "strange")
    assert isinstance(kept, bytes)
    client.hset("jobpools:{emails}:jobs", "strange", kept.replace(b'{"to":"ada"}', args.encode()))
    for form in ("json", "yaml"):
        ran = jobpools("jobs", "show", "strange", "-o", form)
        assert (ran.code, ran.err) == (0, "")
        assert args[:200] in ran.out.replace('\\"', '"')


def test_options_reach_the_job(jobpools: Shell) -> None:
    job_id = send(jobpools, "to=ada", "--priority", "high", "--delay", "1h", "--tag", "vip", "--tag", "new")
    (row,) = rows(jobpools("jobs", "--state", "scheduled", "-o", "json"))
    assert (row["id"], row["priority"], row["tags"]) == (job_id, "high", ["vip", "new"])
    assert 3590 < row["due"] <= 3600


def test_queues_and_stats_count_jobs(jobpools: Shell, folder: Path) -> None:
    for to in ("ada", "grace", "unknown"):
        send(jobpools, f"to={to}")
    run_all_jobs(folder)
    send(jobpools, "to=edsger")
    header, row = table(jobpools("queues"))
    assert header == ["QUEUE", "QUEUED", "SCHEDULED", "RUNNING", "DEAD", "OLDEST", "COMPLETED", "FAILED", "PAUSED"]
    assert row[:5] + row[6:] == ["emails", "1", "0", "0", "1", "2", "1", "-"]
    (counted,) = rows(jobpools("stats", "--over", "10ms", "-o", "json"))
    counts = {name: counted[name] for name in ("enqueued", "completed", "failed", "dead", "cancelled", "lost")}
    assert counts == {"enqueued": 4, "completed": 2, "failed": 1, "dead": 1, "cancelled": 0, "lost": 0}
    assert counted["failures"] == 0.333
    assert counted["enqueued/s"] == counted["completed/s"] == 0


def test_jobs_are_listed_shown_and_cancelled(jobpools: Shell, folder: Path) -> None:
    kept, cancelled = send(jobpools, "to=ada", "copies=2"), send(jobpools, "to=grace")
    assert [row["id"] for row in rows(jobpools("jobs", "-o", "json"))] == [kept, cancelled]
    assert jobpools("jobs", "cancel", cancelled).out == f"job {cancelled} of queue emails is cancelled\n"
    run_all_jobs(folder)
    shown = yaml.safe_load(jobpools("jobs", "show", kept).out)
    assert (shown["state"], shown["result"]) == ("completed", "2 to ada")
    assert shown["seconds"] >= 0, "the record of an ended job has no arguments"
    assert {row["id"]: row["state"] for row in rows(jobpools("jobs", "-o", "json"))} == {
        kept: "completed",
        cancelled: "cancelled",
    }
    first = jobpools("jobs", "--limit", "1", "-o", "json")
    (cursor,) = re.findall(r"^examined 1 of about 2 jobs; continue with --cursor (\S+)$", first.err, re.MULTILINE)
    rest = rows(jobpools("jobs", "--limit", "9", "-o", "json", "--cursor", cursor))
    assert sorted(row["id"] for row in [*json.loads(first.out), *rest]) == sorted([kept, cancelled])
    assert [row["id"] for row in rows(jobpools("jobs", "list", "-q", "emails", "-s", "cancelled", "-o", "json"))] == [
        cancelled
    ]


def test_a_job_whose_time_is_out_of_range_is_shown(jobpools: Shell, client: Redis) -> None:
    """No client creates such a job; an earlier version did."""
    job = send(jobpools, "to=ada", "--delay", "1d")
    client.zadd("jobpools:{emails}:scheduled:normal", {job: 1e22})
    shown = yaml.safe_load(jobpools("jobs", "show", job).out)
    assert (shown["state"], shown["due"]) == ("scheduled", "out of range")


def test_dead_letters_show_why_and_can_be_replayed_or_purged(jobpools: Shell, folder: Path) -> None:
    first, second = send(jobpools, "to=unknown"), send(jobpools, "to=unknown")
    run_all_jobs(folder)
    header, *cells = table(jobpools("dead"))
    assert header == ["ID", "QUEUE", "NAME", "REASON", "ATTEMPTS", "AGE", "NOTE"]
    assert {row[3] for row in cells} == {"attempts"}
    assert {row[0] for row in cells} == {first, second}
    assert all("no such address in the second line" in row[-1] for row in cells), "one line a job"
    assert jobpools("dead", "replay", first).out == "1 job replayed\n"
    assert [row["id"] for row in rows(jobpools("jobs", "-s", "queued", "-o", "json"))] == [first]
    run_all_jobs(folder)
    shown = yaml.safe_load(jobpools("jobs", "show", first).out)
    assert [attempt["outcome"] for attempt in shown["attempts"]][-1] == "failed"
    assert jobpools("dead", "replay", "--queue", "emails", "--all").out == "2 jobs replayed\n"
    run_all_jobs(folder)
    assert jobpools("dead", "purge", first).out == "1 job purged\n"
    assert jobpools("dead", "purge", "-q", "emails", "--all").out == "1 job purged\n"
    assert jobpools("dead").err == "no dead letters\n"


def test_workers_and_pools_come_from_heartbeats(jobpools: Shell, client: Redis) -> None:
    assert pools_and_workers(jobpools) == ([], [])
    now = client.time()[0]
    for worker, busy, idle in (("mail-1.aa", 2, None), ("mail-2.bb", 0, now - 60)):
        report = {"slots": 5, "busy": busy, "started": now - 90, "idle_since": idle, "version": "1.2", "rss_bytes": 5e7}
        client.hset("jobpools:{pool:default/mail}:workers", worker, f"{now * 1000} {json.dumps(report)}")
    pools, workers = pools_and_workers(jobpools)
    assert [(row["pool"], row["workers"], row["slots"], row["busy"], row["versions"]) for row in pools] == [
        ("default/mail", 2, 10, 2, ["1.2"])
    ]
    assert [(row["worker"], row["busy"], row["memory"], row["draining"]) for row in workers] == [
        ("mail-1", 2, "50MB", False), ("mail-2", 0, "50MB", False),
    ]  # fmt: skip
    assert table(jobpools("workers"))[1][:5] == ["mail-1", "default/mail", "running", "5", "2"]
    assert table(jobpools("pools"))[1][:4] == ["default/mail", "2", "10", "2"]


def pools_and_workers(jobpools: Shell) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return rows(jobpools("pools", "-o", "json")), rows(jobpools("workers", "-o", "json"))


def test_plan_shows_the_decision_and_changes_nothing(jobpools: Shell, client: Redis, folder: Path) -> None:
    (row,) = rows(jobpools("plan", "pool.yaml", "-o", "json"))
    assert (row["pool"], row["workers"], row["desired"], row["reason"]) == ("default/mail", 0, 0, "Idle")
    for _ in range(2):
        send(jobpools, "to=ada")
    before = dump(client)
    (row,) = rows(jobpools("plan", ".", "-o", "json"))
    assert (row["desired"], row["queued"], row["reason"]) == (2, 2, "Demand")
    assert row["message"] == "2 jobs are queued, due or running and need 2 workers (jobsPerWorker is 1)"
    for _ in range(2):
        send(jobpools, "to=ada")
    assert table(jobpools("plan", "pool.yaml"))[1][:4] == ["default/mail", "0", "3", "4"]
    (folder / "pool.yaml").write_text((folder / "pool.yaml").read_text().replace("max: 3", "mode: Manual"))
    assert rows(jobpools("plan", "pool.yaml", "-o", "json"))[0]["reason"] == "Manual"
    assert dump(client).keys() == before.keys()


def test_plan_scales_an_idle_pool_down_without_stabilization(jobpools: Shell, client: Redis) -> None:
    now = client.time()[0]
    report = {"slots": 5, "busy": 0, "started": now - 900, "idle_since": now - 600, "completed": 1}
    client.hset("jobpools:{pool:default/mail}:workers", "mail-1.aa", f"{now * 1000} {json.dumps(report)}")
    (row,) = rows(jobpools("plan", "pool.yaml", "-o", "json"))
    assert (row["workers"], row["desired"], row["reason"]) == (1, 0, "Idle")
