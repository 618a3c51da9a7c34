"""The port Schedules on every kind of server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobpools import App, Context
from jobpools.control.schedules import ScheduleEngine
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.specs import Schedule
from jobpools.store.connection import Connection, connect
from jobpools.store.schedule_table import lead, list_schedules
from jobpools.store.schedules import StoreCodeSchedules, StoreSchedules
from jobpools.testing import run_until_idle
from tests.contract.conftest import Endpoint

T0 = 1_800_000_000.0


class RecordingReporter:
    """The port ScheduleReporter: the latest plan of each schedule."""

    def __init__(self) -> None:
        self.plans: dict[str, SchedulePlan] = {}

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        self.plans[schedule.meta.name] = plan

    def says(self, name: str) -> dict[str, Any]:
        return {"state": "", **self.plans[name].status.get("lastJob", {}), **self.plans[name].status}


@pytest.fixture
async def connection(endpoint: Endpoint) -> AsyncIterator[Connection]:
    made = connect(endpoint.url)
    yield made
    await made.aclose()


def schedule(name: str, queue: str, **spec: Any) -> Schedule:
    base = {"schedule": "* * * * *", "job": {"name": "note", "queue": queue, "kwargs": {"name": name}}}
    return Schedule.model_validate({"meta": {"name": name}, "spec": base | spec})


async def test_schedules_of_two_queues_are_fired_recorded_and_forgotten(
    endpoint: Endpoint, connection: Connection
) -> None:
    now, reporter = [T0], RecordingReporter()
    engine = ScheduleEngine(StoreSchedules(connection), reporter, lambda: now[0])
    schedules = [
        schedule("a", "emails"),
        schedule("b", "reports"),
        schedule("c", "emails", concurrencyPolicy="Replace"),
    ]
    for each in schedules:
        engine.put(each)
    assert await engine.run_pass() == T0 + 60
    ran: list[tuple[str, str]] = []
    async with App("suite", redis=endpoint.url) as app:

        @app.job(queue="emails")
        async def note(ctx: Context, name: str) -> None:
            ran.append((name, ctx.id))

        now[0] = T0 + 60
        await engine.run_pass()
        now[0] = T0 + 120
        await engine.run_pass()
        assert [reporter.says(name)["fired"] for name in "abc"] == [2, 2, 2]
        assert [reporter.says(name)["active"] for name in "abc"] == [2, 2, 1]
        await run_until_idle(app, queues=["emails", "reports"])
        assert sorted(name for name, _ in ran) == ["a", "a", "b", "b", "c"]
        assert len({job_id for _, job_id in ran}) == 5
    now[0] = T0 + 122
    await engine.run_pass()
    assert [reporter.says(name)["state"] for name in "abc"] == ["completed"] * 3

    assert [(view.key, view.facts.fired) for view in await list_schedules(connection)] == [
        ("default/a", 2), ("default/b", 2), ("default/c", 2),
    ]  # fmt: skip
    for each in schedules:
        engine.drop(each.meta.key)
    await engine.run_pass()
    assert await list_schedules(connection) == []


async def test_a_schedule_of_code_is_made_fired_switched_and_deleted(
    endpoint: Endpoint, connection: Connection
) -> None:
    async with App("contract", redis=endpoint.url) as app:

        @app.job(queue="code")
        async def work() -> None: ...

        made = await app.scheduler.every(1, work, name="code-tick")
        store = StoreCodeSchedules(connection)
        (known,) = [each for each in await list_schedules(connection) if each.key == made.key]
        now = known.facts.created + 2
        facts = (await store.observe([known.schedule], now))[made.key]
        plan = plan_schedule(known.schedule, facts, now, None)
        for _ in range(2):  # the second one enqueues nothing
            assert await store.enqueue([(known.schedule, facts, plan)], now) == {}
        assert await store.record([(known.schedule, facts, plan)]) == [True]
        assert await store.record([(known.schedule, facts, plan)]) == [False]
        manual = await app.scheduler.run("code-tick")
        assert [each.manual for each in await app.scheduler.fires("code-tick")] == [True, False]
        assert {each.state for each in await app.scheduler.fires("code-tick")} == {"queued"}
        assert (await app.scheduler.disable("code-tick")).enabled is False
        await run_until_idle(app)
        assert (await manual.state()) == "completed"
        await app.scheduler.delete("code-tick")
        assert made.key not in [each.key for each in await app.scheduler.list()]
        fence, version = await lead(connection, "contract", 10)
        assert (await lead(connection, "another", 10)) == (0, version)
        assert fence > 0
        await lead(connection, "contract", 0)
