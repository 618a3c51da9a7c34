"""Random sequences of operations on a real Valkey and on a model, which must agree in every key after each operation.

Time is an argument of every script, so a test can let hours pass.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobpools.core.jobs.job import History, JobState, Outcome, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.retry import Retry, settle
from jobpools.rescue import decide, vanished
from jobpools.store import keys, ledger
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection, connect
from jobpools.store.drain_locks import force_drain_locks, release_drain_locks, take_drain_locks
from jobpools.store.enqueue import Sending, enqueue_jobs
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope, decode_envelope, encode_envelope
from jobpools.store.history import decode_history
from jobpools.store.job_ids import new_id
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import claim_suffix, split_lease_id
from jobpools.store.leases import renew_leases
from jobpools.store.records import completed_record
from jobpools.store.rescue import rescue_jobs
from jobpools.store.step import Completed, Settled, StepReply, settle_and_claim
from jobpools.store.sync_connection import SyncConnection, connect_sync
from tests.store.model import PRIORITIES, REACHABLE, Queue, uncharged
from tests.store.snapshot import snapshot
from tests.support import dead_jobs
from tests.support.servers import Server

QUEUE = "emails"
OWN_IDS = [f"order:{number}.x" for number in range(4)] + ["a:web-1.y"]
WORKERS = ["web-1.aa", "web-1.bb", "web-10.aa"]
RESCUER = "operator.zz"
LEASE, MAX_CRASHES = 10_000, 2
POLICY = Retry(max_attempts=2, initial=1, jitter=0)
OUTCOMES = [
    OutcomeKind.FAILED,
    OutcomeKind.TIMED_OUT,
    OutcomeKind.INTERRUPTED,
    OutcomeKind.UNRUNNABLE,
    OutcomeKind.CANCELLED,
]

own_ids, workers = st.sampled_from(OWN_IDS), st.sampled_from(WORKERS)
letters = st.sampled_from(list(PRIORITIES))
delays = st.sampled_from([None, None, 0, 500, 5_000, 60_000])
places = st.lists(st.integers(0, 3), max_size=3)
outcomes = st.sampled_from(OUTCOMES)


class QueueMachine(RuleBasedStateMachine):
    """One queue, three workers of two pods, and a rescuer."""

    connection: Connection
    sync: SyncConnection
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.sync.execute("FLUSHALL")
        self.model = Queue()
        self.now = 1_900_000_000_000
        self.claims = 0
        self.issued: list[str] = []
        """Every lease that was ever claimed, the latest last; late workers use the lost ones."""
        self.keep = 1000
        """Number of completed jobs that the queue keeps."""
        self.histories: dict[str, History] = {}
        self.states: dict[str, JobState] = {}
        """States of the jobs after the last rule."""

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    @property
    def at(self) -> float:
        return self.now / 1000

    # Enqueueing

    @rule(jobs=st.lists(st.tuples(own_ids, letters, delays), min_size=1, max_size=3))
    def enqueue_own_ids(self, jobs: list[tuple[str, str, int | None]]) -> None:
        self.enqueue(jobs, own=True)

    @rule(jobs=st.lists(st.tuples(letters, delays), min_size=1, max_size=4))
    def enqueue_fresh(self, jobs: list[tuple[str, int | None]]) -> None:
        fresh = [
            (new_id(self.at, self.claims.to_bytes(5) + bytes([0, 0, 0, 0, n])), *job) for n, job in enumerate(jobs)
        ]
        self.claims += 1
        self.enqueue(fresh, own=False)

    def enqueue(self, jobs: list[tuple[str, str, int | None]], *, own: bool) -> None:
        timed = [(job_id, letter, None if delay is None else self.now + delay) for job_id, letter, delay in jobs]
        sending = []
        for job_id, letter, due in timed:
            envelope = Envelope(ENVELOPE_VERSION, job_id, "send", QUEUE, msgspec.Raw(b"{}"), PRIORITIES[letter])
            envelope.enqueued = self.at if own else None
            at = None if due is None else due / 1000
            sending.append(Sending(envelope, encode_envelope(envelope), at))
        accepted = self.run(enqueue_jobs(self.connection, sending, self.now))
        assert accepted == self.model.enqueue(timed, self.now, own=own)
        self.histories |= {job_id: History() for (job_id, *_), new in zip(jobs, accepted, strict=True) if new}

    # Time

    @rule(worker=workers, ms=st.sampled_from([0, 2_000]), how=outcomes)
    def all_attempts_fail(self, worker: str, ms: int, how: OutcomeKind) -> None:
        """Fail all attempts of a worker, then claim again."""
        held = self.model.lease_ids(lambda each: each == worker)
        self.send(worker, [], [(lease_id, self.settlement(lease_id, how)) for lease_id in held], 0, "hnl")
        self.now += ms
        self.send(worker, [], [], 3, "hnl")

    @rule(ms=st.sampled_from([1, 700, 2_000, 4_000, 11_000, 100_000, 90_000_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(keep=st.sampled_from([0, 1, 3, 1000, 1000]))
    def change_retention(self, keep: int) -> None:
        self.keep = keep

    # Working

    def lease_suffix(self, worker: str) -> str:
        self.claims += 1
        return claim_suffix(worker, self.claims)

    def held(self, worker: str, chosen: list[int]) -> list[str]:
        """Return leases of this worker: those that it holds come first, then those that it has lost."""
        ever = [lease_id for lease_id in reversed(self.issued) if split_lease_id(lease_id)[1] == worker]
        ever.sort(key=lambda lease_id: lease_id not in self.model.leases)
        return list(dict.fromkeys(ever[place] for place in chosen if place < len(ever)))

    @rule(
        worker=workers,
        done=places,
        ttl=st.sampled_from([0, 1_000, 1_020, 60_000]),
        failing=places,
        how=outcomes,
        claim=st.sampled_from([0, 1, 3, 5]),
        order=st.sampled_from(["hnl", "hnl", "lnh", "nhl", "h2n1l1nhl", "l1hnl"]),
        answer_lost=st.booleans(),
    )
    def step(  # noqa: PLR0913, PLR0917  # hypothesis draws each argument by name
        self, worker: str, done: list[int], ttl: int, failing: list[int], how: OutcomeKind, claim: int, order: str,
        answer_lost: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        completed = self.held(worker, done)
        settled = [
            (lease_id, self.settlement(lease_id, how))
            for lease_id in self.held(worker, failing)
            if lease_id not in completed
        ]
        self.send(worker, [(lease_id, ttl) for lease_id in completed], settled, claim, order)
        if answer_lost:
            # The worker sends the same settlements again, under the fence of a new claim.
            reply = self.send(worker, [(lease_id, ttl) for lease_id in completed], settled, claim, order)
            assert len(reply.stale) == len(completed) + len(settled), "the second is stale"

    def uncharge(self, lease_ids: list[str]) -> None:
        for job_id in [split_lease_id(lease_id)[0] for lease_id in filter(self.model.reclaims, lease_ids)]:
            self.histories[job_id] = uncharged(self.histories[job_id])

    def settlement(self, lease_id: str, how: OutcomeKind) -> Settlement:
        past = self.histories.get(split_lease_id(lease_id)[0], History())
        past = uncharged(past) if self.model.reclaims(lease_id) else past  # as its worker read it when it claimed
        return settle(Outcome(how, "Error", "no"), POLICY, past, self.at, 0.0, max_crashes=MAX_CRASHES).value

    def send(
        self,
        worker: str,
        completed: list[tuple[str, int]],
        settled: list[tuple[str, Settlement]],
        claim: int,
        order: str,
    ) -> StepReply:
        lease_suffix, letter = self.lease_suffix(worker), self.model.jobs
        groups: dict[int, Completed] = {}
        for lease_id, ttl in completed:
            group = groups.setdefault(ttl, Completed())
            group.lease_ids.append(lease_id)
            group.records.append(completed_record("send", b"1", 0.1))
        others = [
            Settled(lease_id, Priority(PRIORITIES[letter.get(split_lease_id(lease_id)[0], "n")]), settlement)
            for lease_id, settlement in settled
        ]
        applied = [each for each in settled if each[0] in self.model.leases or self.model.reclaims(each[0])]
        self.uncharge([lease_id for lease_id, _ in completed])
        reply: StepReply = self.run(
            settle_and_claim(
                self.connection, QUEUE, worker, completed=groups, settled=others, claim=claim,
                lease_suffix=lease_suffix, lease_ms=LEASE, order=order, now=self.now, keep=(self.keep, 1000),
            )
        )  # fmt: skip
        expected = self.model.step(
            worker,
            self.now,
            completed=completed,
            settled=settled,
            claim=claim,
            lease_suffix=lease_suffix,
            lease=LEASE,
            order=order,
            keep=self.keep,
        )
        for lease_id, settlement in applied:
            self.histories[split_lease_id(lease_id)[0]] = settlement.history
        ids = [job_id.decode() for job_id in reply.ids]
        assert ids == expected.ids
        assert not (reply.draining and ids), "a draining worker claims nothing"
        assert [decode_envelope(raw or b"").id for raw in reply.envelopes] == ids
        assert sorted(lease_id.decode() for lease_id in reply.stale) == sorted(expected.stale)
        assert (reply.draining, reply.left, reply.next_due) == (expected.draining, expected.left, expected.next_due)
        for job_id, raw in zip(ids, reply.histories, strict=bool(reply.histories)):
            assert decode_history(raw) == self.histories[job_id]
        self.issued += [job_id + lease_suffix for job_id in ids]
        return reply

    @rule(worker=workers, chosen=places)
    def renew(self, worker: str, chosen: list[int]) -> None:
        lease_ids = self.held(worker, chosen)
        self.uncharge([lease_id for lease_id in lease_ids if self.model.renews(lease_id)])
        gone, cancelling = renew_leases(self.sync, QUEUE, lease_ids, LEASE, self.now)
        assert gone == self.model.renew(lease_ids, self.now + LEASE)
        asked = {job_id for lease_id in lease_ids if (job_id := split_lease_id(lease_id)[0]) in self.model.cancelling}
        assert set(cancelling) == asked, "only those of its own leases"

    # Rescue

    @rule(holders=st.sampled_from([(), (), ("web-1",), ("web-10",)]), rescuer_dies=st.booleans())
    def rescue(self, holders: tuple[str, ...], rescuer_dies: bool) -> None:  # noqa: FBT001
        lease_suffix = self.lease_suffix(RESCUER)
        found = self.run(
            rescue_jobs(
                self.connection,
                QUEUE,
                lease_suffix=lease_suffix,
                lease_ms=LEASE,
                holders=holders,
                now=self.now,
                keep=(self.keep, 1000),
            )
        )
        taken, promoted = self.model.rescue(lease_suffix, LEASE, self.now, holders, keep=self.keep)
        assert [each.former_worker for each in found.taken] == [split_lease_id(lease_id)[1] for lease_id in taken]
        assert [each.id for each in found.taken] == [split_lease_id(lease_id)[0] for lease_id in taken]
        assert found.promoted == promoted
        assert all(each.history == self.histories[each.id] for each in found.taken)
        self.issued += [each.lease_id for each in found.taken]
        if not rescuer_dies:
            settled = [
                decide(each, vanished(each), lambda _: MAX_CRASHES, self.at, 0.0).settled for each in found.taken
            ]
            self.send(RESCUER, [], [(each.lease_id, each.settlement) for each in settled], 0, "hnl")

    # Locks

    @rule(worker=workers, how=st.sampled_from(["drain", "pause", "undrain", "undrain"]))
    def lock(self, worker: str, how: str) -> None:
        match how:
            case "drain":
                assert self.run(take_drain_locks(self.connection, [QUEUE], worker)) == self.model.drain(worker)
            case "pause":
                self.run(force_drain_locks(self.connection, [QUEUE], [worker]))
                self.model.draining.add(worker)
            case _:
                self.run(release_drain_locks(self.connection, [QUEUE], worker))
                self.model.draining.discard(worker)

    @rule()
    def take_a_token(self) -> None:
        assert (self.sync.execute("LPOP", keys.of_queue(QUEUE, "wake")) is not None) == self.model.token
        self.model.token = False

    # Cancel, replay and purge

    def any_id(self, place: int) -> str:
        known = sorted({*self.model.jobs, *self.model.ended, *OWN_IDS})
        return known[place % len(known)]

    @rule(place=st.integers(0, 1000), running=st.booleans())
    def cancel(self, place: int, running: bool) -> None:  # noqa: FBT001
        leases = sorted(self.model.leases)
        job_id = split_lease_id(leases[place % len(leases)])[0] if running and leases else self.any_id(place)
        state = self.run(cancel_job(self.connection, QUEUE, job_id, self.now))
        assert state == self.model.cancel(job_id, self.now)

    @precondition(lambda self: self.model.dead)
    @rule(chosen=places)
    def replay(self, chosen: list[int]) -> None:
        ids = list(dict.fromkeys(self.any_dead(place) for place in chosen))
        dead = [job_id for job_id in ids if job_id in self.model.dead]
        assert self.run(dead_jobs.replay(self.connection, QUEUE, ids, self.now)) == self.model.replay(ids, self.now)
        for job_id in dead:
            self.histories[job_id] = History(entries=self.histories[job_id].entries)

    @precondition(lambda self: self.model.dead)
    @rule(chosen=places)
    def purge(self, chosen: list[int]) -> None:
        ids = list(dict.fromkeys(self.any_dead(place) for place in chosen))
        assert self.run(dead_jobs.purge(self.connection, QUEUE, ids)) == self.model.purge(ids)

    def any_dead(self, place: int) -> str:
        candidates = [*sorted(self.model.dead), "order:0.x"]
        return candidates[place % len(candidates)]

    # Invariants

    @initialize(delays=st.lists(delays, max_size=12), claims=st.lists(workers, max_size=4))
    def start_with_jobs(self, delays: list[int | None], claims: list[str]) -> None:
        assert self.sync.execute("KEYS", "*") == []
        self.enqueue_fresh([("hnl"[place % 3], delay) for place, delay in enumerate(delays)])
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

    @rule(place=st.integers(0, 1000))
    def a_read_finds_the_state(self, place: int) -> None:
        job_id = self.any_id(place)
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
    # A failing run is not shortened, which takes minutes; Phase.shrink can be added for one run.
    test_settings = settings(
        max_examples=70,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=test_settings)
