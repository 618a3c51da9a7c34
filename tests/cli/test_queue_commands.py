"""`jobpools queues`: pause, resume, limits, and what a user sees of them."""

import json

import pytest

from tests.cli.conftest import Shell

ENQUEUE = ("enqueue", "store:app", "send", "to=ada")


@pytest.fixture(autouse=True)
def queue(jobpools: Shell) -> str:
    """The queue of a job that waits."""
    jobpools(*ENQUEUE)
    (row,) = json.loads(jobpools("queues", "--output", "json").out)
    return str(row["queue"])


def test_a_pause_says_who_and_why_wherever_the_queue_is_shown(jobpools: Shell, queue: str) -> None:
    ran = jobpools("queues", "pause", queue, "--by", "ada", "--reason", "the mail server is down")
    assert (ran.code, ran.out) == (0, f"queue {queue} is paused; 1 job waits\n")
    assert jobpools("queues").out.splitlines()[1].endswith("by ada: the mail server is down")
    paused = json.loads(jobpools("queues", "show", queue, "-o", "json").out)["paused"]
    assert (paused["by"], paused["reason"]) == ("ada", "the mail server is down")
    assert jobpools("stats", "--over", "1ms").out.splitlines()[1].endswith("by ada: the mail server is down")
    (listed,) = json.loads(jobpools("jobs", "-o", "json").out)
    shown = json.loads(jobpools("jobs", "show", listed["id"], "-o", "json").out)
    assert listed["note"] == shown["note"] == "the queue is paused by ada: the mail server is down"
    assert jobpools("queues", "resume", queue).out == f"queue {queue} is resumed; 1 job waits\n"
    assert jobpools("queues", "resume", queue).out == f"queue {queue} was not paused; 1 job waits\n"
    resumed = json.loads(jobpools("queues", "resume", queue, "-o", "json").out)
    assert resumed == {"queue": queue, "paused": False, "was_paused": False, "queued": 1}


def test_a_pause_names_its_user_by_default(jobpools: Shell, queue: str) -> None:
    jobpools("queues", "pause", queue)
    assert "@" in json.loads(jobpools("queues", "show", queue, "-o", "json").out)["paused"]["by"]


def test_limits_are_set_one_by_one_and_shown_together(jobpools: Shell, queue: str) -> None:
    jobpools("queues", "set", queue, "--max-depth", "1")
    ran = jobpools("queues", "set", queue, "--overflow", "DropNewest", "-o", "json")
    assert json.loads(ran.out)["limits"] == {"maxDepth": 1, "overflow": "DropNewest", "maxScheduled": 10_000}
    assert jobpools(*ENQUEUE).code == 0
    (dead,) = json.loads(jobpools("dead", "-o", "json").out)
    assert dead["note"].startswith("Overflow: ")


def test_a_queue_is_shown_by_state_and_priority_before_and_after_it_is_cleared(jobpools: Shell, queue: str) -> None:
    jobpools(*ENQUEUE, "--delay", "1h")
    found = json.loads(jobpools("queues", "show", queue, "-o", "json").out)
    assert (found["queued"], found["scheduled"]) == ({"high": 0, "normal": 1, "low": 0}, 1)
    assert (found["running"], found["dead"], found["oldestSeconds"] >= 0) == (0, 0, True)
    assert jobpools("queues", "clear", queue, "--yes").out == "2 jobs cancelled\n"
    found = json.loads(jobpools("queues", "show", queue, "-o", "json").out)
    assert (found["queued"], found["scheduled"]) == ({"high": 0, "normal": 0, "low": 0}, 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pause", "a b"), "queues: 'a b' is not a queue name; use 1 to 63 letters and digits, with -_. between them"),
        (
            ("set", "emails"),
            "queues set emails: no limit given; add --max-depth N, --overflow POLICY or --max-scheduled N",
        ),
        (("pase", "emails"), "pase: no such command; did you mean pause? (jobpools queues --help)"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(jobpools: Shell, words: tuple[str, ...], says: str) -> None:
    ran = jobpools("queues", *words)
    assert (ran.code != 0, ran.err) == (True, f"jobpools: {says}\n")


@pytest.mark.parametrize("words", [("pause",), ("resume",), ("set", "--max-depth", "5")], ids=lambda words: words[0])
def test_a_command_for_a_mistyped_queue_prints_a_hint(jobpools: Shell, queue: str, words: tuple[str, ...]) -> None:
    command, *options = words
    ran = jobpools("queues", command, f"{queue}x", *options)
    assert (ran.code, ran.err) == (0, f"jobpools: queue {queue}x has had no job yet; did you mean {queue}?\n")
    assert jobpools("queues", command, queue, *options).err == ""
