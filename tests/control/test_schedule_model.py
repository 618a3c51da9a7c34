"""Random sequences of changes, ticks and crashes of schedulers on a real Valkey, compared with a model.

Each due tick is fired once or counted once as missed, and no key remains of a schedule that is deleted.
"""

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar, cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from redis import Redis

from jobpools.control import code_schedules
from jobpools.control.code_schedules import TableFollower
from jobpools.control.schedules import ScheduleEngine
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.code_specs import CodeSpec, code_schedule
from jobpools.core.schedules.identity import fire_id
from jobpools.core.schedules.specs import CatchUp, Schedule
from jobpools.core.schedules.ticks import MAX_LATENESS
from jobpools.errors import StoreError
from jobpools.store import keys, schedule_table
from jobpools.store.connection import Connection, connect
from jobpools.store.schedules import StoreCodeSchedules
from tests.support.servers import Server
from tests.support.state_machines import run_state_machine

T = TypeVar("T")
T0 = 1_800_000_000
DAY = 86_400
QUEUES = ("emails", "reports")
names = st.sampled_from(["a", "b", "c"])
queues = st.sampled_from(QUEUES)
indices = st.integers(0, 2)
waits = st.sampled_from([0, 1, 29, 601, 8_000, DAY + 1])
"""Seconds before a pass."""
makes = st.tuples(
    st.just("make"), names, st.sampled_from([600, 7_000, 0]), st.sampled_from([-5, 1, 700]), queues,
    st.sampled_from(list(CatchUp)),
)  # fmt: skip
changes = st.one_of(
    makes,
    makes,
    makes,
    st.tuples(st.just("switch"), indices, st.booleans()),
    st.tuples(st.just("delete"), indices),
    st.tuples(st.just("run_by_hand"), indices),
    st.just(("wait",)),
)


@dataclass
class Expected:
    """A schedule in the model; times in seconds since the epoch."""

    times: dict[str, int]
    """`every` or `at`."""
    queue: str
    catch_up: CatchUp
    handled: int
    """The tick up to which all are handled, or when its times began."""
    enabled: bool = True
    fired: int = 0
    missed: int = 0
    unrecorded: set[int] = field(default_factory=set)
    """Ticks that a scheduler fired and did not record."""

    def due(self, now: int) -> list[int]:
        """Return the ticks that are not handled."""
        if "at" in self.times:
            return [self.times["at"]] if self.handled < self.times["at"] <= now else []
        every = self.times["every"]
        return list(range((self.handled // every + 1) * every, now + 1, every))

    def choose(self, now: int) -> list[int]:
        """Return the ticks that are fired now."""
        due = self.due(now)
        if not self.enabled:
            return []
        if self.catch_up is CatchUp.ALL:
            return due
        return [tick for tick in due[-1:] if self.catch_up is CatchUp.LATEST or now - tick <= MAX_LATENESS]


class Silent:
    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        pass


class Crashing(StoreCodeSchedules):
    """A store whose process dies between the fires of a pass and their record."""

    async def record(self, done: Any) -> list[bool]:  # noqa: ARG002  # the port's signature
        raise StoreError("killed")


class ScheduleMachine(RuleBasedStateMachine):
    """Changes by users, and passes of two schedulers that both act as the leader."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    connection: ClassVar[Connection]
    sync: ClassVar[Redis]

    def __init__(self) -> None:
        super().__init__()
        self.sync.flushall()
        self.now = T0
        self.known: dict[str, Expected] = {}
        self.jobs: dict[str, set[str]] = {queue: set() for queue in QUEUES}
        self.leaders = [self.leader(StoreCodeSchedules) for _ in range(2)]
        self.save("a", {"every": 600}, QUEUES[0], CatchUp.ALL)

    def leader(self, store: type[StoreCodeSchedules]) -> TableFollower:
        engine = ScheduleEngine(store(self.connection), Silent(), lambda: float(self.now))
        return TableFollower(self.connection, engine)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def fields(self, key: str) -> set[str]:
        return set(cast("list[str]", self.sync.hkeys(key)))

    # Changes

    @rule(change=changes, seconds=waits, leader=st.sampled_from([0, 1, 0, 1, None]))
    def change_and_pass(self, change: tuple[Any, ...], seconds: int, leader: int | None) -> None:
        """One rule, because hypothesis would leave some of several rules out of most of its runs."""
        what, *values = change
        if what == "make" or self.known:
            getattr(self, what)(*values)
        self.now += seconds
        if leader is None:
            self.pass_of_a_leader_that_is_killed()
        else:
            self.pass_of_a_leader(leader)

    def make(self, name: str, interval: int, single: int, queue: str, catch_up: CatchUp) -> None:
        self.save(name, {"every": interval} if interval else {"at": self.now + single}, queue, catch_up)

    def save(self, name: str, times: dict[str, int], queue: str, catch_up: CatchUp) -> None:
        before = self.known.get(name)
        if before and before.unrecorded:
            queue = before.queue  # docs/schedules.md: the exception of a tick that was not recorded
        spec = CodeSpec.model_validate(
            {"job": {"name": "work", "queue": queue}, "catch_up": catch_up} | times_of(times)
        )
        saved = code_schedule("shop", name, spec)
        self.run(schedule_table.save_schedule(self.connection, saved, "", 0, self.now * 1000))
        if before is None:
            self.known[name] = Expected(times, queue, catch_up, self.now)
            return
        if before.times != times:
            before.times, before.handled = times, max(before.handled, self.now)
        before.queue, before.catch_up = queue, catch_up

    def switch(self, index: int, enabled: bool) -> None:  # noqa: FBT001
        name = sorted(self.known)[index % len(self.known)]
        self.run(schedule_table.switch_schedule(self.connection, key_of(name), enabled=enabled))
        self.known[name].enabled = enabled

    def delete(self, index: int) -> None:
        name = sorted(self.known)[index % len(self.known)]
        key = key_of(name)
        assert not self.run(schedule_table.delete_schedule(self.connection, key, b"{}")), "it was changed meanwhile"
        assert self.run(schedule_table.delete_schedule(self.connection, key))
        del self.known[name]

    def run_by_hand(self, index: int) -> None:
        name = sorted(self.known)[index % len(self.known)]
        found = self.run(schedule_table.read_schedule(self.connection, key_of(name)))
        assert found is not None
        job_id = self.run(schedule_table.run_schedule(self.connection, found.schedule))
        self.jobs[self.known[name].queue].add(job_id)

    # Passes

    def wait(self) -> None:
        """Change nothing."""

    def pass_of_a_leader(self, index: int) -> None:
        self.run(self.passes(self.leaders[index]))
        for expected, fired in self.chosen():
            expected.fired += len(fired)
            expected.missed += len(expected.due(self.now)) - len(fired)
            expected.handled = max([expected.handled, *expected.due(self.now)])
            expected.unrecorded.clear()

    def pass_of_a_leader_that_is_killed(self) -> None:
        self.run(self.passes(self.leader(Crashing), limit=1))
        for expected, fired in self.chosen(limit=100):
            expected.unrecorded.update(fired)

    async def passes(self, leader: TableFollower, limit: int = 100) -> None:
        _, version = await schedule_table.lead(self.connection, "test", 0)
        await leader.follow(version)
        for _ in range(limit):
            if await leader.engine.run_pass() > self.now:
                break

    def chosen(self, limit: int | None = None) -> list[tuple[Expected, list[int]]]:
        """Return what is fired of each schedule, whose jobs exist now."""
        self.forget_finished()
        found = [(expected, expected.choose(self.now)[:limit]) for expected in self.known.values()]
        for name, (expected, fired) in zip(self.known, found, strict=True):
            self.jobs[expected.queue] |= {fire_id(key_of(name), tick) for tick in fired}
        return found

    def forget_finished(self) -> None:
        """Delete single times of more than a day ago that are handled, as the leader does before its pass."""
        for name, each in list(self.known.items()):
            at = each.times.get("at", self.now)
            if at < self.now - DAY and each.handled >= at:
                del self.known[name]

    # Invariants

    @invariant()
    def each_tick_has_one_job(self) -> None:
        for queue, expected in self.jobs.items():
            assert self.fields(keys.of_queue(queue, "jobs")) == expected

    @invariant()
    def counts_agree(self) -> None:
        found = self.run(schedule_table.list_schedules(self.connection))
        assert [each.key for each in found] == sorted(map(key_of, self.known))
        for each in found:
            expected = self.known[each.schedule.meta.name]
            assert (each.facts.fired, each.facts.missed) == (expected.fired, expected.missed)

    @invariant()
    def no_key_remains(self) -> None:
        live = set(map(key_of, self.known))
        table, state, code, disabled, recent = (
            self.fields(keys.schedules(part)) for part in ("table", "state", "code", "disabled", "recent")
        )
        assert table == state == code == live
        assert disabled == {key_of(name) for name, each in self.known.items() if not each.enabled}
        assert recent <= live
        for queue in QUEUES:
            assert self.fields(keys.of_queue(queue, "fires")) <= {
                key_of(name) for name, each in self.known.items() if each.queue == queue
            }

    def teardown(self) -> None:
        for name in list(self.known):
            self.run(schedule_table.delete_schedule(self.connection, key_of(name)))
        kept = set(cast("list[str]", self.sync.keys("*")))
        parts = ("jobs", "ready:normal", "since", "totals", "wake")
        assert kept <= {keys.schedules("changes"), *itertools.starmap(keys.of_queue, itertools.product(QUEUES, parts))}


def key_of(name: str) -> str:
    return f"code:shop/{name}"


def times_of(times: dict[str, int]) -> dict[str, Any]:
    return {"at": datetime.fromtimestamp(times["at"], UTC)} if "at" in times else dict(times)


@pytest.fixture(scope="module")
def machine(valkey_server: Server) -> Iterator[type[ScheduleMachine]]:
    loop = asyncio.new_event_loop()

    async def opened() -> Connection:
        return connect(valkey_server.url)

    connection = loop.run_until_complete(opened())
    with Redis.from_url(valkey_server.url, decode_responses=True) as sync:
        yield type("ScheduleMachine", (ScheduleMachine,), {"loop": loop, "sync": sync, "connection": connection})
    loop.run_until_complete(connection.aclose())
    loop.close()


def test_schedules_agree_with_the_model(
    machine: type[ScheduleMachine], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(code_schedules, "RELOAD_INTERVAL", 0)
    caplog.set_level(logging.ERROR, logger="jobpools")  # most passes log a line
    run_state_machine(machine, examples=15, steps=40)
