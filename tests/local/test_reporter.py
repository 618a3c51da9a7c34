"""Which changes of a pool are shown, and the figures of its row."""

import io

from jobpools.core.conditions import Condition
from jobpools.core.decision import Decision
from jobpools.core.objects import Meta
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.core.pools.status import PoolStatus
from jobpools.local.pool_rows import PoolRow
from jobpools.local.reporter import RunReporter
from jobpools.local.text_view import TextView, describe
from jobpools.store.ledger import Ledger

POOL = Pool(meta=Meta(name="emails"), spec=PoolSpec.model_validate({"app": "shop.jobs:app", "queues": ["emails"]}))


def plan(desired: int | None, status: PoolStatus) -> Plan:
    return Plan((), Decision(desired, "Demand", ""), status, (), Memory(), 1.0)


async def test_changes_of_size_and_problems_are_shown() -> None:
    stream = io.StringIO()
    view = TextView(stream)
    reporter = RunReporter(notify=view.notify, on_change=view.pool_changed, keep_samples=True)

    async def report(ready: int, desired: int | None, reason: str, queued: int = 0) -> None:
        condition = Condition(type="Ready", status="True", reason=reason, message="")
        status = PoolStatus(1, (condition,), ready_replicas=ready, queued=queued, in_flight=0)
        await reporter.report(POOL, plan(desired, status))

    await report(0, 0, "ScaledToZero")
    await report(0, 2, "WorkersStarting", 9)
    await report(1, 2, "ScalingUp", 9)
    await report(2, 2, "Working", 5)
    await report(2, None, "QueuesUnknown")
    await report(2, 2, "Idle")
    await report(2, 2, "WorkerDied")
    assert [line.partition("  ")[2] for line in stream.getvalue().splitlines()] == [
        "emails: 0 workers, 2 desired; 0 busy, 9 queued (WorkersStarting)",
        "emails: 2 workers; 0 busy, 5 queued (Working)",
        "emails: 2 workers; 0 busy, 0 queued (WorkerDied)",
    ]
    assert [sample.queued for sample in reporter.samples["emails"]] == [0, 9, 9, 5, 0]


async def test_the_row_of_a_stopping_pool() -> None:
    reporter = RunReporter(notify=lambda _: None, on_change=lambda _: None)
    await reporter.report(POOL, plan(2, PoolStatus(1, (), ready_replicas=2, queued=0, in_flight=0)))
    reporter.report_stopping(POOL, 1, {"emails": Ledger(enqueued=4, ready=3, running=1)})
    assert describe(reporter.rows["default/emails"]) == "emails: 1 worker, 0 desired; 1 busy, 3 queued (Stopping)"
    reporter.report_stopping(POOL, 1, {"emails": Ledger(enqueued=40, ready=3, running=30)})
    assert describe(reporter.rows["default/emails"]) == "emails: 1 worker, 0 desired; 5 busy, 28 queued (Stopping)", (
        "five slots are busy; jobs that were claimed beyond them wait"
    )


def test_elapsed_counts_from_the_start_of_the_run() -> None:
    times = iter((100.0, 102.5))
    reporter = RunReporter(notify=lambda _: None, on_change=lambda _: None, clock=lambda: next(times))
    assert reporter.elapsed() == 2.5


def test_a_row_as_text() -> None:
    row = PoolRow("emails", ready=1, desired=2, busy=3, queued=40, oldest=90, reason="ScalingUp")
    assert describe(row) == "emails: 1 worker, 2 desired; 3 busy, 40 queued (ScalingUp)"
    assert row.cells == ("emails", "1", "2", "3", "40", "90s", "ScalingUp")
    assert describe(PoolRow("emails", reason="QueuesUnknown")) == "emails: ? workers; ? busy, ? queued (QueuesUnknown)"
