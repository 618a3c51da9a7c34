"""Schedules in a real Valkey: their state, the jobs that they enqueue, and two leaders at once."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import Redis

from jobpools import App
from jobpools.client import Client
from jobpools.core.jobs.job import JobState
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.specs import Schedule
from jobpools.errors import StoreError, StoreUnavailableError
from jobpools.options import Options
from jobpools.store import keys, scripts
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection, connect
from jobpools.store.envelope import decode_envelope
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.schedule_table import list_schedules
from jobpools.store.schedules import StoreSchedules
from jobpools.testing import run_until_idle
from tests.support.job_lists import read_jobs
from tests.support.servers import Server, running, valkey_binary

T0 = 1_800_000_000.0
MINUTE = 60.0


def schedule(name: str = "tick", **spec: Any) -> Schedule:
    base: dict[str, Any] = {"job": {"name": "work", "queue": "ticks"}}
    base |= {} if "at" in spec else {"schedule": "* * * * *"}
    return Schedule.model_validate({"meta": {"name": name}, "spec": base | spec})


@pytest.fixture
async def connection(valkey_url: str) -> AsyncIterator[Connection]:
    made = connect(valkey_url)
    yield made
    await made.aclose()


@pytest.fixture
def store(connection: Connection) -> StoreSchedules:
    return StoreSchedules(connection)


async def fire(
    store: StoreSchedules, made: Schedule, now: float, state: ScheduleFacts | None = None
) -> tuple[SchedulePlan, bool]:
    """One whole pass."""
    seen = state or (await store.observe([made], now))[made.meta.key]
    plan = plan_schedule(made, seen, now, None)
    assert await store.enqueue([(made, seen, plan)], now) == {}
    return plan, plan.handled is None or (await store.record([(made, seen, plan)])) == [True]


async def test_a_new_schedule_begins_when_it_is_first_seen(store: StoreSchedules) -> None:
    assert await store.observe([schedule()], T0) == {"default/tick": ScheduleFacts(created=T0)}
    assert await store.observe([schedule()], T0 + 100) == {"default/tick": ScheduleFacts(created=T0)}


async def test_fired_ticks_are_recorded(store: StoreSchedules, connection: Connection) -> None:
    await store.observe([schedule()], T0)
    plan, recorded = await fire(store, schedule(), T0 + 181)
    assert recorded
    fresh = StoreSchedules(connection)  # another process
    known = (await fresh.observe([schedule()], T0 + 200))["default/tick"]
    assert known == ScheduleFacts(created=T0, last_due=T0 + 180, last_fire=T0 + 180, jobs=plan.jobs, fired=1, missed=2)
    assert [job.state for job in known.jobs] == ["queued"]


async def test_a_fired_job_has_the_envelope_of_an_enqueued_one(valkey_url: str, store: StoreSchedules) -> None:
    job = {"name": "mail.send", "queue": "mails", "priority": "high", "kwargs": {"to": "ä", "n": [1, None]},
           "tags": ["a", "b"], "metadata": {"tenant": 7}, "expires": "90s"}  # fmt: skip
    await store.observe([schedule(job=job)], T0)
    plan, _ = await fire(store, schedule(job=job), T0 + 60)
    client = Client(valkey_url)
    options = Options.make(queue="mails", priority="high", tags=["a", "b"], id=plan.fires[0].id, metadata={"tenant": 7})
    expected = client.call_json("mail.send", {"to": "ä", "n": [1, None]}, options).envelope
    await client.aclose()
    with Redis.from_url(valkey_url) as redis:
        raw = redis.hget(keys.of_queue("mails", "jobs"), plan.fires[0].id)
        assert redis.lrange(keys.of_queue("mails", "ready:high"), 0, -1) == [plan.fires[0].id.encode()]
    assert isinstance(raw, bytes)
    found = decode_envelope(raw)
    assert (found.enqueued, found.expires_at) == (T0 + 60, (T0 + 60 + 90) * 1000)
    found.enqueued, found.expires_at = expected.enqueued, None
    assert found == expected


async def test_a_fire_changes_the_same_keys_as_enqueue(valkey_url: str, store: StoreSchedules) -> None:
    """All keys but the record of the tick are equal; idle workers are woken, and the queue is published."""
    with Redis.from_url(valkey_url) as redis, redis.pubsub() as channel:
        channel.subscribe(keys.WAKE_CHANNEL)
        channel.get_message(timeout=1)
        await store.observe([schedule()], T0)
        plan, _ = await fire(store, schedule(), T0 + 60)
        fired = _contents(redis)
        assert fired.pop("fires") == {b"default/tick": f"{T0:.0f}000 {T0 + 60:.0f}000".encode()}
        message = channel.get_message(timeout=5)
        assert message is not None
        assert message["data"] == b"ticks"
        redis.flushall()
        client = Client(valkey_url)
        await client.enqueue(client.call_json("work", {}, Options.make(queue="ticks", id=plan.fires[0].id)))
        await client.aclose()
        assert fired == _contents(redis)


def _contents(redis: Redis) -> dict[str, Any]:
    """Return the contents by part; for hashes of times or envelopes only the names."""
    read: dict[str, Any] = {"hash": redis.hgetall, "list": lambda name: redis.lrange(name, 0, -1)}
    found = {}
    for part in keys.PARTS:
        name = keys.of_queue("ticks", part)
        if redis.exists(name):
            value = read[keys.kind(part)](name)
            found[part] = set(value) if part in ("jobs", "since") else value
    return found


async def test_a_tick_is_not_fired_again_when_its_job_has_no_record(
    store: StoreSchedules, connection: Connection, valkey_url: str
) -> None:
    """The job has completed without a result, and its scheduler was killed before it recorded the tick."""
    seen = (await store.observe([schedule()], T0))["default/tick"]
    plan = plan_schedule(schedule(), seen, T0 + 60, None)
    await store.enqueue([(schedule(), seen, plan)], T0 + 60)
    app = App("suite", redis=valkey_url)

    @app.job(name="work", queue="ticks", result_ttl=0)
    async def work() -> None: ...

    await run_until_idle(app)
    await app.client.aclose()
    assert await read_job(connection, "ticks", plan.fires[0].id) is None
    again, recorded = await fire(store, schedule(), T0 + 61)
    assert [each.id for each in again.fires] == [each.id for each in plan.fires]
    assert recorded
    assert await read_jobs(connection, "ticks", JobState.QUEUED) == []
    assert (await fire(store, schedule(), T0 + 120))[1]
    assert len(await read_jobs(connection, "ticks", JobState.QUEUED)) == 1


async def test_a_schedule_that_was_created_again_fires_again(store: StoreSchedules, connection: Connection) -> None:
    ahead = T0 + 1e6  # a clock that was wrong
    await store.observe([schedule()], ahead)
    await fire(store, schedule(), ahead + 60)
    made_anew = Schedule.model_validate({"meta": {"name": "tick", "uid": "2"}, "spec": schedule().spec})
    await connection.execute(
        "HDEL", keys.schedules("state"), "default/tick"
    )  # the queue still knows the former schedule
    await store.observe([made_anew], T0)
    await fire(store, made_anew, T0 + 60)
    assert len(await read_jobs(connection, "ticks", JobState.QUEUED)) == 2


async def test_a_tick_that_was_fired_but_not_recorded_is_not_enqueued_twice(
    store: StoreSchedules, connection: Connection
) -> None:
    seen = (await store.observe([schedule()], T0))["default/tick"]
    plan = plan_schedule(schedule(), seen, T0 + 60, None)
    await store.enqueue([(schedule(), seen, plan)], T0 + 60)  # and then its process was killed
    again, recorded = await fire(store, schedule(), T0 + 65)
    assert [each.id for each in again.fires] == [each.id for each in plan.fires]
    assert recorded
    assert len(await read_jobs(connection, "ticks", JobState.QUEUED)) == 1
    assert (await store.observe([schedule()], T0 + 70))["default/tick"].fired == 1


async def test_a_former_leader_records_nothing(store: StoreSchedules) -> None:
    seen = (await store.observe([schedule()], T0))["default/tick"]
    assert (await fire(store, schedule(), T0 + 125, seen))[1]
    known = await store.observe([schedule()], T0 + 125)
    assert not (await fire(store, schedule(), T0 + 65, seen))[1], "a former leader that does not know it yet"
    assert await store.observe([schedule()], T0 + 125) == known


async def test_changed_times_begin_now_and_fire_no_tick_twice(store: StoreSchedules) -> None:
    await store.observe([schedule()], T0)
    await fire(store, schedule(), T0 + 60)
    hourly = schedule(schedule="0 * * * *")
    known = (await store.observe([hourly], T0 + 90))["default/tick"]
    assert (known.created, known.last_due, known.fired) == (T0 + 90, T0 + 60, 1)
    back = (await store.observe([schedule()], T0 + 200))["default/tick"]
    assert plan_schedule(schedule(), back, T0 + 239, None).fires == (), "ticks of the time between do not count"
    other = schedule(job={"name": "other"})
    assert (await store.observe([other], T0 + 230))["default/tick"].created == T0 + 200, "another job, the same times"


async def test_a_pass_with_outdated_times_records_nothing(store: StoreSchedules, connection: Connection) -> None:
    seen = (await store.observe([schedule()], T0))["default/tick"]
    await StoreSchedules(connection).observe([schedule(schedule="0 * * * *")], T0 + 1)
    assert not (await fire(store, schedule(), T0 + 60, seen))[1]


async def test_a_single_time_is_fired_once_to_the_millisecond(store: StoreSchedules) -> None:
    once = schedule(at="2027-01-15T08:00:00.123456Z")
    await store.observe([once], T0)
    plan, recorded = await fire(store, once, T0 + 1)
    assert [each.due for each in plan.fires] == [T0 + 0.123]
    assert recorded
    assert (await fire(store, once, T0 + 2))[0].fires == ()


async def test_replace_cancels_the_former_job(store: StoreSchedules, connection: Connection) -> None:
    made = schedule(concurrencyPolicy="Replace")
    await store.observe([made], T0)
    first, _ = await fire(store, made, T0 + 60)
    second, _ = await fire(store, made, T0 + 120)
    former = await read_job(connection, "ticks", first.fires[0].id)
    assert former is not None
    assert former.state is JobState.CANCELLED
    (known,) = (await store.observe([made], T0 + 121)).values()
    assert [(job.id, job.state) for job in known.jobs] == [(second.fires[0].id, "queued")]


async def test_the_states_of_jobs_are_read(connection: Connection) -> None:
    script = scripts.get("states")
    client = Client(connection.url)
    names = ("queued", "scheduled", "running", "completed", "cancelled", "dead")
    for name in names:
        delay = "1h" if name == "scheduled" else "0s"
        await client.enqueue(client.call_json("work", {}, Options.make(queue="q", id=name, delay=delay)))
    await client.aclose()
    await cancel_job(connection, "q", "cancelled")
    lease_suffix = lease_suffix_of("host.a", 1)
    with Redis.from_url(connection.url) as redis:
        redis.zadd(keys.of_queue("q", "dead"), {"dead": 1})
        redis.zadd(keys.of_queue("q", "leases"), {f"running{lease_suffix}": 1})
        redis.hdel(keys.of_queue("q", "jobs"), "completed")
        redis.hset(
            keys.of_queue("q", "results"),
            "completed",
            b"c" + int(T0 * 1000).to_bytes(6) + (10**12).to_bytes(6) + b"1 n 1",
        )
    found = await connection.call_keys(script, keys.for_script("q", script.keys), ["", *names, "never"])
    expected = ["running:host.a" if name == "running" else name for name in names]
    assert [state.decode() for state in found] == [*expected, ""]


async def test_forgotten_schedules_leave_no_keys(
    store: StoreSchedules, connection: Connection, valkey_url: str
) -> None:
    both = [schedule("a"), schedule("b")]
    await store.observe(both, T0)
    await fire(store, schedule("a"), T0 + 60)
    await store.forget(["default/a", "default/unknown"])
    assert [view.key for view in await list_schedules(connection)] == ["default/b"]
    await store.forget(["default/b"])
    with Redis.from_url(valkey_url) as redis:
        assert redis.keys("*schedules*") == redis.keys("*fires*") == []
    assert (await store.observe(both, T0 + 50))["default/a"].created == T0 + 50


async def test_schedules_are_listed_with_their_fires_and_without_secrets(
    store: StoreSchedules, connection: Connection
) -> None:
    made = [schedule("b", timeZone="Europe/Berlin", redis={"url": "redis://:secret@r"}), schedule("a")]
    await store.observe(made, T0)
    await fire(store, made[1], T0 + 60)
    views = await list_schedules(connection)
    assert [(view.key, view.schedule.spec.time_zone, view.facts.fired) for view in views] == [
        ("default/a", "UTC", 1),
        ("default/b", "Europe/Berlin", 0),
    ]
    assert b"secret" not in json.dumps(await connection.execute("HVALS", keys.schedules("table")), default=str).encode()


async def test_a_schedule_of_a_newer_version_is_not_listed(store: StoreSchedules, connection: Connection) -> None:
    await store.observe([schedule("a"), schedule("b")], T0)
    newer = b'{"schedule":"* * * * *","job":{"name":"work"},"moon":"full"}'
    await connection.execute("HSET", keys.schedules("table"), "default/a", newer)
    assert [view.key for view in await list_schedules(connection)] == ["default/b"]
    await store.forget(["default/a"])


async def test_thousands_of_schedules_take_a_few_round_trips(store: StoreSchedules, valkey_url: str) -> None:
    many = [schedule(f"c{number}") for number in range(2000)]
    await store.observe(many, T0)
    with Redis.from_url(valkey_url) as redis:
        before = redis.info("commandstats")
        seen = await store.observe(many, T0 + 60)
        plans = [(each, seen[each.meta.key], plan_schedule(each, seen[each.meta.key], T0 + 60, None)) for each in many]
        assert await store.enqueue(plans, T0 + 60) == {}
        assert await store.record(plans) == [True] * 2000
        after = redis.info("commandstats")
        calls = {name: _calls(after, name) - _calls(before, name) for name in ("hmget", "evalsha", "script|load")}
        assert calls["hmget"] == 1, "one read for all"
        assert calls["evalsha"] <= 2000 + 4 + 1, "one record each, four batches of jobs"
        assert redis.llen(keys.of_queue("ticks", "ready:normal")) == 2000
    known = await store.observe(many, T0 + 61)
    assert {each.fired for each in known.values()} == {1}


def _calls(stats: Any, name: str) -> int:
    return int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"])


async def test_a_queue_that_cannot_be_written_does_not_stop_the_others(store: StoreSchedules, valkey_url: str) -> None:
    with Redis.from_url(valkey_url) as redis:
        redis.set(keys.of_queue("broken", "jobs"), "a string")
    good, bad = schedule("good"), schedule("bad", job={"name": "work", "queue": "broken"})
    seen = await store.observe([good, bad], T0)
    due = [(each, (known := seen[each.meta.key]), plan_schedule(each, known, T0 + 60, None)) for each in (bad, good)]
    failed = await store.enqueue(due, T0 + 60)
    assert list(failed) == ["default/bad"]
    assert "jobpools:{broken}:jobs is a string" in failed["default/bad"]


async def test_schedules_begin_again_when_the_server_lost_its_data() -> None:
    with running(valkey_binary()) as server:
        connection = connect(server.url)
        try:
            await _lost_and_away(server, StoreSchedules(connection))
        finally:
            await connection.aclose()


async def _lost_and_away(server: Server, store: StoreSchedules) -> None:
    await store.observe([schedule()], T0)
    await fire(store, schedule(), T0 + 60)
    server.kill()
    with pytest.raises(StoreUnavailableError):
        await store.observe([schedule()], T0 + 70)
    plan = plan_schedule(schedule(), ScheduleFacts(created=T0), T0 + 120, None)
    assert (
        "cannot be reached"
        in (await store.enqueue([(schedule(), ScheduleFacts(created=T0), plan)], T0 + 120))["default/tick"]
    )
    with pytest.raises(StoreError):
        await store.record([(schedule(), ScheduleFacts(created=T0), plan)])
    server.start()
    assert await store.observe([schedule()], T0 + 130) == {"default/tick": ScheduleFacts(created=T0 + 130)}
    assert (await fire(store, schedule(), T0 + 180))[1]
