"""Random sequences of operations on a real Valkey and on a model, which must agree in every key after each operation.

Time is an argument of every script, so a test can let hours pass.
"""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.store import keys, ledger
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection, connect
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.search import search
from jobpools.store.sync_connection import connect_sync
from tests.store import model_changes
from tests.store.drawn_values import (
    OWN_IDS,
    delays,
    indices,
    letters,
    workers,
)
from tests.store.model_values import REACHABLE, replayed
from tests.store.queue_machine import JobsMachine
from tests.store.snapshot import snapshot
from tests.support import dead_jobs
from tests.support.servers import Server
from tests.support.state_machines import run_state_machine

QUEUE = "emails"


class QueueMachine(JobsMachine):
    """The operations of users, and what holds after every operation."""

    # Cancel, replay and purge

    def any_id(self, index: int) -> str:
        known = sorted({*self.model.jobs, *self.model.ended, *OWN_IDS})
        return known[index % len(known)]

    @rule(index=st.integers(0, 1000), running=st.booleans())
    def cancel(self, index: int, running: bool) -> None:  # noqa: FBT001
        leases = sorted(self.model.leases)
        job_id = split_lease_id(leases[index % len(leases)])[0] if running and leases else self.any_id(index)
        state = self.run(cancel_job(self.connection, QUEUE, job_id, self.now))
        assert state == self.model.cancel(job_id, self.now)

    @precondition(lambda self: self.model.dead)
    @rule(chosen=indices)
    def replay(self, chosen: list[int]) -> None:
        ids = list(dict.fromkeys(self.any_dead(index) for index in chosen))
        dead = [job_id for job_id in ids if job_id in self.model.dead]
        assert self.run(dead_jobs.replay(self.connection, QUEUE, ids, self.now)) == self.model.replay(ids, self.now)
        for job_id in dead:
            self.histories[job_id] = replayed(self.histories[job_id])

    @precondition(lambda self: self.model.dead)
    @rule(chosen=indices)
    def purge(self, chosen: list[int]) -> None:
        ids = list(dict.fromkeys(self.any_dead(index) for index in chosen))
        assert self.run(dead_jobs.purge(self.connection, QUEUE, ids)) == self.model.purge(ids)

    # Run now, reschedule and delete

    @rule(chosen=st.lists(st.integers(0, 1000), max_size=4))
    def run_now(self, chosen: list[int]) -> None:
        ids = [self.any_id(index) for index in chosen]
        arguments = [self.now, keys.WAKE_CHANNEL, QUEUE, *ids]
        moved = self.run(self.connection.call("run_now", QUEUE, arguments))
        assert moved == model_changes.run_now(self.model, ids, self.now)

    @rule(index=st.integers(0, 1000), letter=letters, right=st.integers(0, 3), ms=st.sampled_from([0, 500, 60_000]))
    def reschedule(self, index: int, letter: str, right: int, ms: int) -> None:
        job_id = self.any_id(index)
        letter = self.model.jobs.get(job_id, letter) if right else letter
        due = f"@{self.now + ms}" if ms == 500 else str(ms)
        moved = self.run(self.connection.call("reschedule", QUEUE, [self.now, due, job_id, letter]))
        assert moved == model_changes.reschedule(self.model, job_id, letter, self.now + ms)

    @rule(index=st.integers(0, 1000), any_time=st.booleans())
    def delete(self, index: int, any_time: bool) -> None:  # noqa: FBT001
        job_id = self.any_id(index)
        ended_at = None if any_time else self.model.ended.get(job_id, ("", self.now, 0))[1]
        arguments = [job_id, "" if ended_at is None else ended_at]
        deleted = self.run(self.connection.call("delete", QUEUE, arguments))
        assert deleted == model_changes.delete(self.model, job_id, ended_at)
        if deleted:
            self.states.pop(job_id, None)

    def any_dead(self, index: int) -> str:
        candidates = [*sorted(self.model.dead), "order:0.x"]
        return candidates[index % len(candidates)]

    # Invariants

    @initialize(delays=st.lists(delays, max_size=12), claims=st.lists(workers, max_size=4))
    def start_with_jobs(self, delays: list[int | None], claims: list[str]) -> None:
        assert self.sync.execute("KEYS", "*") == []
        self.enqueue_fresh([("hnl"[index % 3], delay) for index, delay in enumerate(delays)])
        for worker in claims:
            self.send(worker, [], [], 2, "hnl")

    @invariant()
    def redis_agrees_with_the_model(self) -> None:
        assert snapshot(self.sync, QUEUE, self.model.lists) == self.model.keys()

    @invariant()
    def every_job_is_in_one_state_that_may_follow_the_former(self) -> None:
        now = {job_id: JobState(self.model.where(job_id, self.now)) for job_id in self.model.known(self.now)}
        for job_id in now.keys() & self.states.keys():
            assert now[job_id] is self.states[job_id] or now[job_id] in REACHABLE[self.states[job_id]]
        self.states = now

    @invariant()
    def ledger_balances(self) -> None:
        counts = self.run(ledger.read(self.connection, [QUEUE]))[QUEUE]
        assert counts.lost == 0
        totals = self.model.totals
        assert (counts.enqueued, counts.completed, counts.cancelled) == (
            totals["enqueued"],
            totals["completed"],
            totals["cancelled"],
        )
        assert (counts.ready, counts.running, counts.dead) == (
            self.model.left,
            len(self.model.leases),
            len(self.model.dead),
        )

    @rule(limit=st.sampled_from([1, 3, 100]))
    def a_search_finds_every_job_once(self, limit: int) -> None:
        found: list[str] = []
        cursor = None
        while True:
            page = self.run(search(self.connection, JobFilter(), limit=limit, cursor=cursor))
            found += [view.id for view in page.views]
            cursor = page.cursor
            if cursor is None:
                break
        # The server's clock is behind the time of the test: it has no expired records.
        assert sorted(found) == sorted([*self.model.jobs, *self.model.ended])

    @rule(index=st.integers(0, 1000))
    def a_read_finds_the_state(self, index: int) -> None:
        job_id = self.any_id(index)
        view = self.run(read_job(self.connection, QUEUE, job_id, self.now))
        assert (view.state if view else "") == self.model.where(job_id, self.now)


@pytest.fixture(scope="module")
def machine(valkey_server: Server) -> Iterator[type[QueueMachine]]:
    loop = asyncio.new_event_loop()
    sync = connect_sync(valkey_server.url)

    async def opened() -> Connection:
        return connect(valkey_server.url)

    connection = loop.run_until_complete(opened())
    yield type("QueueMachine", (QueueMachine,), {"loop": loop, "sync": sync, "connection": connection})
    loop.run_until_complete(connection.aclose())
    sync.close()
    loop.close()


def test_the_server_agrees_with_the_model(machine: type[QueueMachine]) -> None:
    run_state_machine(machine, examples=70, steps=50)
