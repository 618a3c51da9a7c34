"""The engine on a real Valkey, with a clock that the test sets."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis import Redis

from jobpools.control.schedules import CONFLICT_INTERVAL, MAX_BATCH, ScheduleEngine
from jobpools.core.conditions import condition
from jobpools.core.reasons import SharedReason
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.requeue import RETRY_INTERVAL
from jobpools.core.schedules.specs import Schedule
from jobpools.store import keys
from jobpools.store.connection import Connection, connect
from jobpools.store.schedules import StoreSchedules, read_states
from tests.support.servers import running, valkey_binary

T0 = 1_800_000_000.0


def schedule(name: str = "tick", **spec: Any) -> Schedule:
    base: dict[str, Any] = {"job": {"name": "work", "queue": "ticks"}}
    base |= {} if "at" in spec else {"schedule": "* * * * *"}
    return Schedule.model_validate({"meta": {"name": name}, "spec": base | spec})


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


class Reported:
    """The port ScheduleReporter."""

    def __init__(self) -> None:
        self.plans: list[tuple[str, SchedulePlan]] = []
        self.news = asyncio.Event()

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        self.plans.append((schedule.meta.name, plan))
        self.news.set()

    def fired(self) -> list[tuple[str, float]]:
        return [(name, fire.due - T0) for name, plan in self.plans for fire in plan.fires]

    def reason(self) -> str:
        return str(condition(self.plans[-1][1].status, "Ready")["reason"])


@pytest.fixture
async def connection(valkey_url: str) -> AsyncIterator[Connection]:
    made = connect(valkey_url)
    yield made
    await made.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reported() -> Reported:
    return Reported()


@pytest.fixture
def engine(connection: Connection, reported: Reported, clock: Clock) -> ScheduleEngine:
    return ScheduleEngine(StoreSchedules(connection), reported, clock)


def queued(url: str) -> int:
    with Redis.from_url(url) as redis:
        return int(redis.llen(keys.of_queue("ticks", "ready:normal")))  # type: ignore[arg-type]  # a synchronous client


async def run_passes(engine: ScheduleEngine, clock: Clock, until: float) -> None:
    """Run each pass when it is due."""
    while (at := await engine.run_pass()) <= until:
        clock.now = max(clock.now, at)
    clock.now = until


async def test_a_pass_is_run_only_when_a_tick_is_due(
    engine: ScheduleEngine, reported: Reported, clock: Clock, valkey_url: str
) -> None:
    engine.put(schedule())
    engine.put(schedule("quarter", schedule="*/15 * * * *"))
    assert await engine.run_pass() == T0 + 60
    seen = len(reported.plans)
    clock.now = T0 + 59
    assert await engine.run_pass() == T0 + 60
    assert len(reported.plans) == seen, "no schedule was due, so none was read"
    await run_passes(engine, clock, T0 + 901)
    expected = [("tick", 60.0 * number) for number in range(1, 16)] + [("quarter", 900.0)]
    assert sorted(reported.fired()) == sorted(expected)
    assert queued(valkey_url) == engine.fired == 16


async def test_another_scheduler_continues_where_the_former_one_stopped(
    engine: ScheduleEngine, connection: Connection, reported: Reported, clock: Clock, valkey_url: str
) -> None:
    engine.put(schedule(catchUp="All"))
    await run_passes(engine, clock, T0 + 70)
    clock.now = T0 + 245
    other = ScheduleEngine(StoreSchedules(connection), reported, clock)
    other.put(schedule(catchUp="All"))
    await other.run_pass()
    await engine.run_pass()  # the former leader does not know that it was replaced
    await other.run_pass()
    assert reported.fired() == [("tick", 60.0), ("tick", 120.0), ("tick", 180.0), ("tick", 240.0)]
    assert queued(valkey_url) == 4


async def test_a_scheduler_that_is_stopped_records_the_ticks_that_it_has_fired(
    connection: Connection, reported: Reported, clock: Clock, valkey_url: str
) -> None:
    class Stopping(StoreSchedules):
        async def enqueue(self, due: Any, now: float) -> dict[str, str]:
            problems = await super().enqueue(due, now)
            if due:
                running_pass.cancel()
                await asyncio.sleep(0)
            return problems

    stopping = ScheduleEngine(Stopping(connection), reported, clock)
    stopping.put(schedule())
    running_pass = asyncio.create_task(run_passes(stopping, clock, T0 + 70))
    with pytest.raises(asyncio.CancelledError):
        await running_pass
    (found,) = (await read_states(connection, ["default/tick"])).values()
    assert (queued(valkey_url), found.fired) == (1, 1)


async def test_two_schedulers_at_the_same_time_fire_each_tick_once(
    connection: Connection, clock: Clock, valkey_url: str
) -> None:
    pair, reports = [], []
    for _ in range(2):
        reported = Reported()
        pair.append(ScheduleEngine(StoreSchedules(connection), reported, clock))
        reports.append(reported)
        for number in range(40):
            pair[-1].put(schedule(f"c{number}"))
    await pair[0].run_pass()
    await pair[1].run_pass()
    for minute in range(1, 6):
        clock.now = T0 + 60 * minute
        await asyncio.gather(*(each.run_pass() for each in pair))
        clock.now += CONFLICT_INTERVAL
        await asyncio.gather(*(each.run_pass() for each in pair))
    assert queued(valkey_url) == 200
    assert len(reports[0].fired()) + len(reports[1].fired()) == 200
    (known,) = {each.fired for each in (await StoreSchedules(connection).observe(_all(40), clock.now)).values()}
    assert known == 5


def _all(count: int) -> list[Schedule]:
    return [schedule(f"c{number}") for number in range(count)]


def has_requested_fire(engine: ScheduleEngine) -> bool:
    """Return the property anew: a type checker takes it for unchanged after an assertion."""
    return engine.has_requested_fire


async def test_a_requested_fire_is_enqueued_once_and_immediately(
    engine: ScheduleEngine, reported: Reported, clock: Clock, valkey_url: str
) -> None:
    engine.put(schedule(), fire=True)
    assert has_requested_fire(engine)
    assert await engine.run_pass() <= T0 + 60
    assert not has_requested_fire(engine)
    assert reported.fired() == [("tick", 0.0)]
    await run_passes(engine, clock, T0 + 61)
    assert reported.fired() == [("tick", 0.0), ("tick", 60.0)]
    assert queued(valkey_url) == 2


async def test_a_changed_schedule_is_planned_now_and_the_state_of_a_dropped_one_is_deleted(
    engine: ScheduleEngine, reported: Reported, clock: Clock, connection: Connection
) -> None:
    engine.put(schedule())
    await engine.run_pass()
    clock.now = T0 + 30
    engine.put(schedule(schedule="0 0 1 1 *"))
    await engine.run_pass()
    await run_passes(engine, clock, T0 + 90)
    assert reported.fired() == []
    engine.drop("default/tick", forget=False)
    await engine.run_pass()
    assert await connection.execute("HEXISTS", keys.schedules("state"), "default/tick") == 1
    engine.put(schedule())
    engine.drop("default/tick")
    await engine.run_pass()
    assert await connection.execute("EXISTS", keys.schedules("state"), keys.schedules("table")) == 0


async def test_a_schedule_that_changes_during_its_pass_gets_another_pass(
    connection: Connection, reported: Reported, clock: Clock
) -> None:
    class Slow(StoreSchedules):
        async def observe(self, schedules: Any, now: float) -> dict[str, ScheduleFacts]:
            found = await super().observe(schedules, now)
            if not reported.plans and slow.schedules["default/tick"].spec.schedule == "* * * * *":
                slow.put(schedule(schedule="30 * * * *"))
            return found

    slow = ScheduleEngine(Slow(connection), reported, clock)
    slow.put(schedule())
    assert await slow.run_pass() <= T0, "the new spec waits for its pass"
    assert reported.plans == []
    await slow.run_pass()
    assert reported.plans[-1][1].status["conditions"][0]["message"] == "fires at the times of '30 * * * *' in UTC"


async def test_a_schedule_whose_plan_raises_does_not_stop_the_others(
    engine: ScheduleEngine,
    reported: Reported,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def plan(made: Schedule, *rest: Any) -> SchedulePlan:
        if made.meta.name == "broken":
            raise ZeroDivisionError
        return plan_schedule(made, *rest)

    monkeypatch.setattr("jobpools.control.schedules.plan_schedule", plan)
    engine.put(schedule("broken"))
    engine.put(schedule())
    await run_passes(engine, clock, T0 + 61)
    assert reported.fired() == [("tick", 60.0)]
    assert "default/broken: the pass failed" in caplog.text


async def test_a_pass_that_raises_is_tried_again(
    connection: Connection, reported: Reported, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(StoreSchedules):
        fails = True

        async def enqueue(self, due: Any, now: float) -> dict[str, str]:
            if self.fails and due:
                raise ZeroDivisionError
            return await super().enqueue(due, now)

    store = Failing(connection)
    engine = ScheduleEngine(store, reported, clock)
    engine.put(schedule())
    await run_passes(engine, clock, T0 + 61)
    assert reported.fired() == []
    assert "the pass of 1 schedule failed" in caplog.text
    store.fails = False
    await run_passes(engine, clock, T0 + 63)
    assert reported.fired() == [("tick", 60.0)]


async def test_a_schedule_whose_state_raises_does_not_stop_the_others(
    connection: Connection, reported: Reported, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising(StoreSchedules):
        async def observe(self, schedules: Sequence[Schedule], now: float) -> dict[str, ScheduleFacts]:
            if any(schedule.meta.name == "poison" for schedule in schedules):
                raise OverflowError("date value out of range")
            return await super().observe(schedules, now)

    engine = ScheduleEngine(Raising(connection), reported, clock)
    for name in ("a", "poison", "z"):
        engine.put(schedule(name))
    await run_passes(engine, clock, T0 + 60)
    assert sorted(reported.fired()) == [("a", 60.0), ("z", 60.0)]
    assert "the pass of 3 schedules failed" in caplog.text


async def test_ticks_wait_while_redis_is_unreachable(reported: Reported, clock: Clock) -> None:
    with running(valkey_binary()) as server:
        connection = connect(server.url)
        try:
            engine = ScheduleEngine(StoreSchedules(connection), reported, clock)
            engine.put(schedule())
            await engine.run_pass()
            server.kill()
            clock.now = T0 + 60
            assert await engine.run_pass() == T0 + 60 + RETRY_INTERVAL
            assert reported.reason() == SharedReason.REDIS_UNKNOWN
            engine.drop("default/tick")
            assert await engine.run_pass() == T0 + 60 + RETRY_INTERVAL, "its state is deleted later"
            engine.put(schedule("new"), fire=True)
            await engine.run_pass()
            assert engine.has_requested_fire
            server.start()
            clock.now += RETRY_INTERVAL
            await engine.run_pass()
            assert [name for name, _ in reported.fired()] == ["new"]
            assert not engine.has_requested_fire
        finally:
            await connection.aclose()


async def test_a_fire_is_at_most_milliseconds_late(connection: Connection, reported: Reported, valkey_url: str) -> None:
    """With the real clock: the server records when each job was enqueued. A busy machine may add 50 ms."""
    engine = ScheduleEngine(StoreSchedules(connection), reported)
    now = time.time()
    for number in range(5):
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + 0.2 + number / 10))
        millis = int((now + 0.2 + number / 10) % 1 * 1000)
        engine.put(schedule(f"c{number}", at=f"{at}.{millis:03}Z"))
    running_ = asyncio.create_task(engine.run())
    async with asyncio.timeout(10):
        while len(reported.fired()) < 5:
            reported.news.clear()
            await reported.news.wait()
    running_.cancel()
    await asyncio.gather(running_, return_exceptions=True)
    with Redis.from_url(valkey_url) as redis:
        since = {key.decode(): float(value) for key, value in redis.hgetall(keys.of_queue("ticks", "since")).items()}  # type: ignore[union-attr]  # a synchronous client
    late = [since[fire.id] / 1000 - fire.due for _, plan in reported.plans for fire in plan.fires]
    assert min(late) >= -0.002
    assert sorted(late)[2] < 0.05, late


async def test_thousands_of_schedules_cost_nothing_between_their_ticks(
    engine: ScheduleEngine, reported: Reported, clock: Clock, valkey_url: str
) -> None:
    """The test counts commands of the server and plans; it measures no times."""
    for number in range(3_000):
        engine.put(schedule(f"c{number}", schedule=f"{number % 60} 0 1 1 *"))
    while await engine.run_pass() <= T0:
        pass
    assert len(reported.plans) == 3_000
    with Redis.from_url(valkey_url) as redis:
        before = redis.info("stats")["total_commands_processed"]  # type: ignore[index]  # a synchronous client
        for second in range(100):
            clock.now = T0 + second
            await engine.run_pass()
        assert redis.info("stats")["total_commands_processed"] - before <= 3  # type: ignore[index]  # likewise
    assert len(reported.plans) == 3_000
    engine.put(schedule("one", at="2027-01-15T08:01:45Z"))
    await engine.run_pass()
    clock.now = T0 + 105
    await engine.run_pass()
    assert reported.fired() == [("one", 105.0)]
    assert len(reported.plans) == 3_002, "only the due schedule was planned"
    assert MAX_BATCH < 3_000


async def test_a_queue_that_cannot_be_read_stops_only_its_own_schedules(
    engine: ScheduleEngine, reported: Reported, clock: Clock, valkey_url: str
) -> None:
    engine.put(schedule("a"))
    engine.put(schedule("b", job={"name": "work", "queue": "broken"}))
    engine.put(schedule("c"))
    await run_passes(engine, clock, T0 + 60)
    with Redis.from_url(valkey_url) as redis:
        for part in ("jobs", "done"):
            redis.delete(keys.of_queue("broken", part))
            redis.set(keys.of_queue("broken", part), "a string")
    reported.plans.clear()
    await run_passes(engine, clock, T0 + 120)
    assert sorted(reported.fired()) == [("a", 120.0), ("c", 120.0)]
    assert {name for name, plan in reported.plans if plan.decision.reason == SharedReason.REDIS_UNKNOWN} == {"b"}
