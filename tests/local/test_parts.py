"""The parts of `jobpools up` that decide or say something without starting anything."""

import io
import logging
import re
import time
from pathlib import Path
from typing import cast

import pytest

from jobpools.core.decision import Decision
from jobpools.core.objects import Meta
from jobpools.core.pools.facts import Memory
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.errors import ConfigurationError, SpecError
from jobpools.local import companion, up, worker_command
from jobpools.local.reporter import Board, Row
from jobpools.local.run_counts import Books
from jobpools.local.text_view import Lines, Log, described
from jobpools.settings import WorkerSettings
from jobpools.store.ledger import Ledger


def pool(**spec: object) -> Pool:
    return Pool(
        meta=Meta(name="emails"), spec=PoolSpec.model_validate({"app": "shop.jobs:app", "queues": ["emails"], **spec})
    )


# What a worker is started with


def test_a_worker_reads_back_what_its_pool_says() -> None:
    made = pool(concurrency=7, job={"timeout": "5s", "maxCrashes": 2}, queues=["emails", {"name": "news", "weight": 3}])
    command = worker_command.worker(made, "redis://127.0.0.1:1/0", "python", "/srv")
    settings = WorkerSettings.from_env(command.environ({"HOME": "/root"}, "emails-1"))
    assert (settings.pool, settings.worker, settings.app) == ("default/emails", "emails-1", "shop.jobs:app")
    assert (settings.concurrency, settings.job.timeout, settings.job.max_crashes) == (7, 5.0, 2)
    assert [(queue.name, queue.weight) for queue in settings.queues] == [("emails", 1), ("news", 3)]
    assert dict(command.env)["PYTHONPATH"] == "/srv"
    assert command.environ({"HOME": "/root"}, "emails-1")["HOME"] == "/root"


def test_a_pod_templates_plain_values_hold_here_and_the_rest_does_not() -> None:
    env = [
        {"name": "SMTP_HOST", "value": "smtp.example"},
        {"name": "TOWN", "valueFrom": {"configMapKeyRef": {"name": "town", "key": "host"}}},
        {"name": "JOBPOOLS_REDIS_URL", "value": "redis://far.example"},
    ]
    made = pool(template={"spec": {"containers": [{"name": "worker", "env": env}]}})
    assert worker_command.template_env(made) == {"SMTP_HOST": "smtp.example"}


def test_a_change_that_concerns_no_worker_changes_no_command() -> None:
    before, grown, busier = pool(), pool(scaling={"max": 3}), pool(concurrency=9)
    made = [worker_command.worker(each, "redis://127.0.0.1:1/0", "python") for each in (before, grown, busier)]
    assert made[0] == made[1] != made[2]


# The command beside the pools


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("python -m shop.day", "shop.day"),
        ("python3.13 -u -m shop.day --fast", "shop.day"),
        ("/usr/bin/python tools/send.py 3", "send.py"),
        ("python -c 'print(1)'", "python"),
        ("sh -c 'a; b'", "sh"),
    ],
)
def test_the_name_of_a_command(text: str, name: str) -> None:
    assert companion.short(companion.split(text)) == name


@pytest.mark.parametrize("text", ["", "  ", "sh -c 'a"])
def test_no_command(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--with"):
        companion.split(text)


# The books


def test_the_books_begin_with_the_run() -> None:
    books = Books()
    books.take({"emails": Ledger(enqueued=10, completed=10)})
    total = books.take({"emails": Ledger(enqueued=13, completed=11, failed=2, ready=2)})
    assert (total.enqueued, total.completed, total.retried, total.waiting, total.lost) == (3, 1, 2, 2, 0)


def test_a_queue_that_comes_later_counts_from_then_on() -> None:
    books = Books()
    books.take({"emails": Ledger(enqueued=1, completed=1)})
    books.take({"emails": Ledger(enqueued=1, completed=1), "news": Ledger()})
    assert books.take({"emails": Ledger(2, 2), "news": Ledger(3, 3)}).completed == 4


def test_jobs_that_vanished_with_their_server_are_lost() -> None:
    books = Books()
    books.take({"emails": Ledger()})
    books.take({"emails": Ledger(enqueued=5, completed=2, ready=3)})
    emptied = books.take({"emails": Ledger()})
    assert (emptied.completed, emptied.lost) == (2, 3)
    after = books.take({"emails": Ledger(enqueued=1, completed=1)})
    assert (after.completed, after.lost) == (3, 3)


# What is said


def test_a_row_in_words() -> None:
    row = Row("emails", ready=1, desired=2, busy=3, queued=40, oldest=90, reason="ScalingUp")
    assert described(row) == "emails: 1 worker, 2 wanted; 3 busy, 40 queued (ScalingUp)"
    assert row.cells == ("emails", "1", "2", "3", "40", "90s", "ScalingUp")
    assert described(Row("emails", reason="QueuesUnknown")) == "emails: ? workers; ? busy, ? queued (QueuesUnknown)"


async def test_only_news_is_said() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    board = Board(lines.say, lines.changed, sampling=True)
    made = pool()

    async def look(ready: int, desired: int | None, reason: str, queued: int = 0) -> None:
        ready_condition = {"type": "Ready", "status": "True", "reason": reason, "message": ""}
        known = {"readyReplicas": ready, "queued": queued, "inFlight": 0, "conditions": [ready_condition]}
        await board.report(made, _plan(desired, known))

    await look(0, 0, "ScaledToZero")
    await look(0, 2, "WorkersStarting", 9)
    await look(1, 2, "ScalingUp", 9)
    await look(2, 2, "Working", 5)
    await look(2, None, "QueuesUnknown")
    await look(2, 2, "Idle")
    await look(2, 2, "WorkerDied")
    said = [line.partition("  ")[2] for line in stream.getvalue().splitlines()]
    assert said == [
        "emails: 0 workers, 2 wanted; 0 busy, 9 queued (WorkersStarting)",
        "emails: 2 workers; 0 busy, 5 queued (Working)",
        "emails: 2 workers; 0 busy, 0 queued (WorkerDied)",
    ]
    assert [sample.queued for sample in board.samples["emails"]] == [0, 9, 9, 5, 0]
    board.leaving(made, 1, {"emails": Ledger(enqueued=4, ready=3, running=1)})
    assert described(board.rows["default/emails"]) == "emails: 1 worker, 0 wanted; 1 busy, 3 queued (Stopping)"
    board.leaving(made, 1, {"emails": Ledger(enqueued=40, ready=3, running=30)})
    assert described(board.rows["default/emails"]) == "emails: 1 worker, 0 wanted; 5 busy, 28 queued (Stopping)", (
        "five slots run, and what was claimed beyond them waits"
    )
    assert board.started <= time.monotonic()


def _plan(desired: int | None, known: dict[str, object]) -> Plan:
    return Plan((), Decision(desired, "Demand", ""), known, (), Memory(), 1.0)


def test_a_bug_in_the_loop_is_one_line_that_says_where() -> None:
    stream = io.StringIO()
    logger = logging.Logger("jobpools.control")  # noqa: LOG001  # one that nobody else shares
    logger.addHandler(Log(Lines(stream)))
    logger.warning("the board tells this one")
    try:
        cast("dict[str, str]", {})["emails"]
    except KeyError:
        logger.exception("default/emails: the pass failed")
    (line,) = stream.getvalue().splitlines()
    assert re.search(r"  default/emails: the pass failed: KeyError: 'emails' \(.*test_parts.py:\d+\)$", line)


def test_a_run_that_ends_takes_its_log_along(tmp_path: Path) -> None:
    """Also one that never begins: whoever called it logs to their own places afterwards."""
    log = logging.getLogger("jobpools")
    before = list(log.handlers)
    with pytest.raises(SpecError, match="no such file or folder"):
        up.run(up.Options((tmp_path / "none.yaml",)), Lines(io.StringIO()))
    assert log.handlers == before
