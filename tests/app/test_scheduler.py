"""`app.scheduler` and `@app.cron`, on a real Valkey."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobpools import App, ConfigurationError, JobpoolsError, Retry, ScheduleLimitError, ScheduleNotFoundError
from jobpools.core.objects import Meta
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.specs import Schedule, ScheduleSpec
from jobpools.store import schedule_table
from jobpools.store.envelope import decode_envelope
from jobpools.store.keys import of_queue
from jobpools.store.schedules import StoreCodeSchedules, StoreSchedules
from jobpools.store.server import server_time


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("shop", redis=valkey_url) as made:

        @made.job(queue="reports", timeout="2m", retry=Retry(max_attempts=7), tags=["t"], priority="high")
        async def report(day: str = "today") -> str:
            return day

        yield made


async def keys(app: App) -> list[str]:
    return [each.key for each in await app.scheduler.list()]


async def make_object(app: App) -> None:
    """Store a CronJobSpec, as an operator does."""
    spec = ScheduleSpec.model_validate({"schedule": "@hourly", "job": {"name": "report", "queue": "reports"}})
    made = Schedule(meta=Meta(name="nightly", namespace="prod"), spec=spec)
    await StoreSchedules(app.client.connection()).observe([made], await server_time(app.client.connection()))


async def test_a_schedule_is_made_listed_changed_and_deleted(app: App) -> None:
    made = await app.scheduler.cron("0 6 * * *", app.handlers["report"], time_zone="Europe/Berlin", name="daily")
    assert (made.key, made.source, made.times, made.time_zone) == (
        "code:shop/daily",
        "code",
        "0 6 * * *",
        "Europe/Berlin",
    )
    assert made.next_run is not None
    assert await app.scheduler.list() == [made]
    changed = await app.scheduler.every("15m", app.handlers["report"], name="daily")
    assert (changed.key, changed.times) == ("code:shop/daily", "every 15m")
    await app.scheduler.delete("daily")
    assert await app.scheduler.list() == []
    with pytest.raises(ScheduleNotFoundError, match="schedule daily: not found"):
        await app.scheduler.get("daily")


async def test_a_fired_job_has_the_options_of_its_call(app: App) -> None:
    call = (
        app.handlers["report"]
        .options(timeout="30s", priority="low", result_ttl=60, max_crashes=9, expires=5, metadata={"n": 1})
        .call(day="mon")
    )
    await app.scheduler.every(1, call)
    job = await app.scheduler.run("report")
    assert str(await job.state()) == "queued"
    raw = await app.client.connection().execute("HGET", of_queue("reports", "jobs"), job.id)
    now = await server_time(app.client.connection())
    assert now < (decode_envelope(raw).expires_at or 0) / 1000 <= now + 5
    (known,) = await schedule_table.list_schedules(app.client.connection())
    assert known.schedule.spec.job.model_dump(exclude_defaults=True) == {
        "name": "report", "queue": "reports", "priority": "low", "kwargs": {"day": "mon"}, "tags": ("t",),
        "timeout": 30.0, "ttl": 60.0, "max_crashes": 9, "expires": 5.0,
        "metadata": {"n": 1},
    }  # fmt: skip


async def test_a_disabled_schedule_stays_so_when_it_is_declared_again(app: App) -> None:
    app.cron("@hourly")(app.handlers["report"])
    await app.scheduler.declare("shop:app")
    assert (await app.scheduler.disable("report")).enabled is False
    await app.scheduler.declare("shop:app")
    found = await app.scheduler.get("report")
    assert (found.enabled, found.next_run, found.reason) == (False, None, "Suspended")
    assert found.declared_by == "shop:app"
    assert (await app.scheduler.enable("report")).enabled is True


async def test_a_declaration_that_is_gone_deletes_its_schedule_and_no_other(app: App, valkey_url: str) -> None:
    report = app.handlers["report"]
    app.cron("@hourly", name="old")(report)
    app.cron("@daily", name="kept")(report)
    await app.scheduler.declare("shop:app")
    await app.scheduler.every("1h", report, name="by-call")
    await app.scheduler.edit("kept", cron="@weekly")
    async with App("shop", redis=valkey_url) as other:
        await other.scheduler.declare("shop.other:app")
        assert await keys(app) == ["code:shop/by-call", "code:shop/kept", "code:shop/old"]
    del app.scheduler.declared["old"]
    await app.scheduler.declare("shop:app")
    assert await keys(app) == ["code:shop/by-call", "code:shop/kept"]
    assert (await app.scheduler.get("kept")).times == "@daily", "the declaration applies again"


async def test_a_declaration_that_is_the_same_changes_nothing(app: App) -> None:
    app.cron("@hourly", args={"day": "x"})(app.handlers["report"])
    await app.scheduler.declare("shop:app")
    _, before = await schedule_table.lead(app.client.connection(), "test", 0)
    await app.scheduler.declare("shop:app")
    assert await schedule_table.lead(app.client.connection(), "test", 0) == (0, before)


async def test_new_times_count_from_now_and_other_changes_do_not_affect_ticks(app: App) -> None:
    async def created() -> float:
        (known,) = await schedule_table.list_schedules(app.client.connection())
        return known.facts.created

    await app.scheduler.every("1h", app.handlers["report"])
    first = await created()
    await asyncio.sleep(0.01)
    await app.scheduler.edit("report", concurrency_policy="Forbid")
    assert await created() == first
    await app.scheduler.edit("report", every="2h")
    assert await created() > first
    assert (await app.scheduler.edit("report", at=datetime(2030, 1, 1, tzinfo=UTC))).times == "2030-01-01T00:00:00Z"


async def test_an_edit_changes_what_is_named_and_a_dry_run_changes_nothing(app: App) -> None:
    call = app.handlers["report"].options(timeout="30s", metadata={"a": 1}, retry=Retry(initial="5s")).call(day="mon")
    await app.scheduler.every("1h", call, concurrency_policy="Forbid")
    before = await app.scheduler.get("report")
    changes: Any = {"cron": "0 6 * * *", "time_zone": "Asia/Tokyo", "args": {"day": "tue"}, "timeout": "1m",
                    "metadata": {"b": 2}, "expires": "2h", "starting_deadline": "5m"}  # fmt: skip
    dry = await app.scheduler.edit("report", dry_run=True, **changes)
    assert await app.scheduler.get("report") == before
    after = await app.scheduler.edit("report", **changes)
    assert after == dry
    assert (after.times, after.time_zone, after.args) == ("0 6 * * *", "Asia/Tokyo", {"day": "tue"})
    assert after.options == {
        "priority": "high", "tags": ["t"], "metadata": {"a": 1, "b": 2}, "expires": 7200.0, "timeout": 60.0,
        "retry": {"initial": 5.0}, "concurrency_policy": "Forbid", "starting_deadline": 300,
    }  # fmt: skip
    await app.scheduler.disable("report")
    assert (await app.scheduler.edit("report", queue="slow", dry_run=True)).enabled is False
    assert (await app.scheduler.edit("report", queue="slow")).enabled is False


WRONG_EDITS: dict[str, tuple[dict[str, Any], str]] = {
    "two times": ({"cron": "@daily", "every": 5}, "schedule report: cron, every and at exclude each other"),
    "expression": ({"cron": "61 * * * *"}, "schedule report: schedule '61 * * * *'"),
    "time zone": ({"cron": "@daily", "time_zone": "Berlin"}, "timeZone 'Berlin' is unknown"),
    "naive time": ({"at": datetime(2030, 1, 1)}, "schedule report: at: "),  # noqa: DTZ001  # the mistake
    "arguments": ({"args": {"dya": "tue"}}, "dya"),
    "option": ({"timeuot": 5}, "schedule report: timeuot: no such option; did you mean timeout"),
    "value": ({"timeout": 0}, "schedule report: timeout: must be more than 0"),
    "retry": ({"retry": Retry(function=lambda *_: None)}, "a retry function cannot be stored"),
}  # fmt: skip


async def test_an_invalid_edit_is_refused_and_changes_nothing(app: App) -> None:
    await app.scheduler.every("1h", app.handlers["report"])
    before = await app.scheduler.list()
    for changes, message in WRONG_EDITS.values():
        with pytest.raises(JobpoolsError) as caught:
            await app.scheduler.edit("report", **changes)
        assert message in str(caught.value)
    assert await app.scheduler.list() == before


async def test_sync_code_has_the_same_methods(app: App) -> None:
    """In a thread with an event loop, which blocks, as under ASGI."""
    scheduler, report = app.scheduler, app.handlers["report"]
    made = scheduler.cron_sync("0 6 * * *", report, time_zone="Europe/Berlin", name="a")
    scheduler.every_sync("15m", report, name="b")
    scheduler.at_sync(datetime(2030, 1, 1, tzinfo=UTC), report, name="c")
    assert [each.key for each in scheduler.list_sync()] == [f"code:shop/{name}" for name in "abc"]
    assert scheduler.get_sync("a") == made
    assert len(scheduler.next_sync("b")) == 10
    assert scheduler.disable_sync("b").enabled is False
    assert scheduler.enable_sync("b").enabled is True
    assert scheduler.edit_sync("b", every="5m").times == "every 5m"
    job = scheduler.run_sync("b")
    assert job.state_sync() == "queued"
    assert [each.job for each in scheduler.fires_sync("b")] == [job.id]
    scheduler.delete_sync("b")
    with pytest.raises(ScheduleNotFoundError):
        scheduler.get_sync("b")


async def test_the_next_runs_and_the_past_fires_are_returned(app: App) -> None:
    await app.scheduler.every("15m", app.handlers["report"])
    coming = await app.scheduler.next("report")
    assert len(coming) == 10
    assert {later - earlier for earlier, later in itertools.pairwise(coming)} == {timedelta(minutes=15)}
    await app.scheduler.disable("report")
    job = await app.scheduler.run("report")
    (fire,) = await app.scheduler.fires("report")
    assert (fire.job, fire.state, fire.manual) == (job.id, "queued", True)


async def test_the_last_20_fires_are_kept(app: App) -> None:
    connection = app.client.connection()
    await app.scheduler.every(1, app.handlers["report"], catch_up="All")
    store = StoreCodeSchedules(connection)
    (known,) = await schedule_table.list_schedules(connection)
    until = known.facts.created + 25
    facts = (await store.observe([known.schedule], until))[known.key]
    plan = plan_schedule(known.schedule, facts, until, None)
    assert await store.enqueue([(known.schedule, facts, plan)], until) == {}
    assert await store.record([(known.schedule, facts, plan)]) == [True]
    fires = await app.scheduler.fires("report")
    assert [each.due.timestamp() for each in fires] == [fire.due for fire in plan.fires][:-21:-1]
    assert {(each.state, each.manual) for each in fires} == {("queued", False)}


async def test_a_cron_job_spec_is_listed_and_run_and_otherwise_refused(app: App) -> None:
    await make_object(app)
    found = await app.scheduler.get("prod/nightly")
    assert (found.source, found.declared_by, found.enabled) == ("CronJobSpec", None, True)
    assert len(await app.scheduler.next("prod/nightly")) == 10
    assert (await (await app.scheduler.run("prod/nightly")).state()) == "queued"
    assert [each.manual for each in await app.scheduler.fires("prod/nightly")] == [True]
    for change in (app.scheduler.disable, app.scheduler.enable, app.scheduler.delete, app.scheduler.edit):
        with pytest.raises(
            ConfigurationError, match=r"prod/nightly: a CronJobSpec declares it, and its YAML decides; "
        ):
            await change("prod/nightly")
    assert await keys(app) == ["prod/nightly"]


async def test_schedules_are_limited_and_those_that_exist_can_be_changed_at_the_limit(valkey_url: str) -> None:
    async with App("shop", redis=valkey_url, max_schedules=2) as app:

        @app.job
        async def work() -> None: ...

        await app.scheduler.every("1m", work, name="a")
        await app.scheduler.every("1m", work, name="b")
        await app.scheduler.every("2m", work, name="b")
        with pytest.raises(ScheduleLimitError, match="schedule c: there are 2 schedules made in code already"):
            await app.scheduler.every("1m", work, name="c")
        await app.scheduler.delete("a")
        await app.scheduler.every("1m", work, name="c")


PRINT: Any = print
OPTIONS: Any = {"catchup": "All"}
POLICY: Any = {"catch_up": "Some"}
WRONG: dict[str, tuple[Callable[[App], Any], str]] = {
    "expression": (lambda app: app.scheduler.cron("61 * * * *", app.handlers["report"]), "61"),
    "time zone": (lambda app: app.scheduler.cron("@daily", app.handlers["report"], time_zone="Europe/Berln"), "Berlin"),
    "interval": (lambda app: app.scheduler.every("soon", app.handlers["report"]), "scheduler.every: interval: "),
    "too often": (lambda app: app.scheduler.every(0.1, app.handlers["report"]), "schedule report: every: "),
    "naive time": (lambda app: app.scheduler.at(datetime(2030, 1, 1), app.handlers["report"]), "has no time zone"),  # noqa: DTZ001  # the mistake
    "name": (lambda app: app.scheduler.every("1m", app.handlers["report"], name="a b"), "'a b' is not a name"),
    "not a job": (lambda app: app.scheduler.every("1m", PRINT), "is not a job"),
    "id": (lambda app: app.scheduler.every("1m", app.handlers["report"].options(id="x").call()), "id= contradicts"),
    "delay": (lambda app: app.scheduler.every("1m", app.handlers["report"].options(delay=5).call()), "a delay or at="),
    "arguments": (lambda app: app.scheduler.every("1m", app.handlers["report"].call(today=1)), "today"),
    "option": (lambda app: app.scheduler.every("1m", app.handlers["report"], **OPTIONS), "did you mean catch_up"),
    "policy": (lambda app: app.scheduler.every("1m", app.handlers["report"], **POLICY), "'Some' is not a choice; use "),
    "decorator": (lambda app: app.cron("@daily")(PRINT), "write @app.cron"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_a_mistake_is_named_and_nothing_is_written(app: App, case: str) -> None:
    make, message = WRONG[case]
    with pytest.raises(JobpoolsError) as caught:
        await make(app)
    assert message in str(caught.value)
    assert await app.scheduler.list() == []


def test_two_declarations_of_one_name_are_refused() -> None:
    app = App("shop")

    @app.cron("@daily")
    @app.job
    async def work() -> None: ...

    with pytest.raises(ConfigurationError, match=r"^@app\.cron: duplicate schedule work"):
        app.cron("@hourly")(work)
    assert app.cron("@hourly", name="other")(work) is work


async def test_a_declaration_without_its_arguments_is_named(valkey_url: str) -> None:
    async with App("shop", redis=valkey_url) as app:

        @app.cron("@daily")
        @app.job
        async def report(day: str) -> None: ...

        with pytest.raises(
            ConfigurationError, match=r"^schedule report: .*day: is missing; give the arguments as in @app"
        ):
            await app.scheduler.declare("shop:app")
