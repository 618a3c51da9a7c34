"""Operations of producers, workers and the rescue on a real Valkey and on the model of a queue, drawn at random.

Time is an argument of every script, so a test can let hours pass.
"""

import asyncio
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
)

from jobpools.core.jobs.job import History, JobState, Outcome, Priority, Settlement
from jobpools.core.jobs.overflow import Overflow
from jobpools.core.jobs.policies import Keep
from jobpools.core.jobs.retry import settle
from jobpools.rescue import decide, vanished
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import force_drain_locks, release_drain_locks, take_drain_locks
from jobpools.store.enqueue import Batch, Sending, enqueue_batch
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope, decode_envelope, encode_envelope
from jobpools.store.history import decode_history
from jobpools.store.job_ids import new_id
from jobpools.store.lease_ids import lease_suffix_of, split_lease_id
from jobpools.store.leases import renew_leases
from jobpools.store.records import completed_record
from jobpools.store.rescue import rescue_jobs
from jobpools.store.step import Completed, Settled, StepReply, settle_and_claim
from jobpools.store.sync_connection import SyncConnection
from tests.store.drawn_values import (
    LEASE,
    MAX_CRASHES,
    POLICY,
    RESCUER,
    delays,
    expiries,
    indices,
    letters,
    outcomes,
    own_ids,
    workers,
)
from tests.store.model import PRIORITIES, Queue
from tests.store.model_values import uncharged

QUEUE = "emails"


class JobsMachine(RuleBasedStateMachine):
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
        self.expiries: dict[str, int | None] = {}
        """Id → when the job expires, in ms."""
        self.states: dict[str, JobState] = {}
        """States of the jobs after the last rule."""

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    @property
    def at(self) -> float:
        return self.now / 1000

    # Enqueueing

    @rule(jobs=st.lists(st.tuples(own_ids, letters, delays), min_size=1, max_size=3), expiry=expiries)
    def enqueue_own_ids(self, jobs: list[tuple[str, str, int | None]], expiry: int) -> None:
        self.enqueue(jobs, own=True, expiry=expiry)

    @rule(jobs=st.lists(st.tuples(letters, delays), min_size=1, max_size=4), expiry=expiries)
    def enqueue_fresh(self, jobs: list[tuple[str, int | None]], expiry: int = 0) -> None:
        fresh = [
            (new_id(self.at, self.claims.to_bytes(5) + bytes([0, 0, 0, 0, n])), *job) for n, job in enumerate(jobs)
        ]
        self.claims += 1
        self.enqueue(fresh, own=False, expiry=expiry)

    def enqueue(self, jobs: list[tuple[str, str, int | None]], *, own: bool, expiry: int = 0) -> None:
        timed = [(job_id, letter, None if delay is None else self.now + delay) for job_id, letter, delay in jobs]
        sending = []
        for job_id, letter, due in timed:
            envelope = Envelope(ENVELOPE_VERSION, job_id, "send", QUEUE, msgspec.Raw(b"{}"), PRIORITIES[letter])
            envelope.enqueued = self.at if own else None
            at = None if due is None else due / 1000
            sending.append(Sending(envelope, encode_envelope(envelope), at, expires=expiry / 1000))
        receipts = self.run(enqueue_batch(self.connection, Batch(QUEUE, sending), self.now))
        assert receipts == self.model.enqueue(timed, self.now, own=own)
        accepted = [job_id for (job_id, *_), receipt in zip(jobs, receipts, strict=True) if receipt > 0]
        self.histories |= dict.fromkeys(accepted, History())
        self.expiries |= dict.fromkeys(accepted, self.now + expiry if expiry else None)

    @rule(
        max_depth=st.sampled_from(["", "", "0", "1", "4"]),
        overflow=st.sampled_from(["", *Overflow]),
        max_scheduled=st.sampled_from(["", "", "2"]),
    )
    def limit(self, max_depth: str, overflow: str, max_scheduled: str) -> None:
        self.set_policy({"max_depth": max_depth, "overflow": overflow, "max_scheduled": max_scheduled})

    @rule(paused=st.sampled_from(["", "", "1"]))
    def pause(self, paused: str) -> None:
        self.set_policy({"paused": paused})

    def set_policy(self, fields: dict[str, str]) -> None:
        arguments = [self.now, keys.WAKE_CHANNEL, QUEUE, *(part for field in fields.items() for part in field)]
        self.run(self.connection.call("policy", QUEUE, arguments))
        self.model.set_policy(fields)

    # Time

    @rule(worker=workers, ms=st.sampled_from([0, 2_000]), how=outcomes)
    def all_attempts_fail(self, worker: str, ms: int, how: Outcome) -> None:
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
        return lease_suffix_of(worker, self.claims)

    def held(self, worker: str, chosen: list[int]) -> list[str]:
        """Return leases of this worker: those that it holds come first, then those that it has lost."""
        ever = [lease_id for lease_id in reversed(self.issued) if split_lease_id(lease_id)[1] == worker]
        ever.sort(key=lambda lease_id: lease_id not in self.model.leases)
        return list(dict.fromkeys(ever[index] for index in chosen if index < len(ever)))

    @rule(
        worker=workers,
        done=indices,
        ttl=st.sampled_from([0, 1_000, 1_020, 60_000]),
        failing=indices,
        how=outcomes,
        claim=st.sampled_from([0, 1, 3, 5]),
        order=st.sampled_from(["hnl", "hnl", "lnh", "nhl", "h2n1l1nhl", "l1hnl"]),
        answer_lost=st.booleans(),
    )
    def step(  # noqa: PLR0913, PLR0917  # hypothesis draws each argument by name
        self, worker: str, done: list[int], ttl: int, failing: list[int], how: Outcome, claim: int, order: str,
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

    def settlement(self, lease_id: str, how: Outcome) -> Settlement:
        past = self.histories.get(split_lease_id(lease_id)[0], History())
        past = uncharged(past) if self.model.reclaims(lease_id) else past  # as its worker read it when it claimed
        return settle(how, POLICY, past, self.at, 0.0, max_crashes=MAX_CRASHES).value

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
                lease_suffix=lease_suffix, lease_ms=LEASE, order=order, now=self.now, keep=Keep(self.keep, 1000),
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
        assert reply.paused == ("paused" in self.model.policy and reply.left > 0)
        assert not (reply.paused and ids), "no worker claims from a paused queue"
        envelopes = [decode_envelope(raw or b"") for raw in reply.envelopes]
        assert [(each.id, each.expires_at) for each in envelopes] == [(id_, self.expiries[id_]) for id_ in ids]
        assert sorted(lease_id.decode() for lease_id in reply.stale) == sorted(expected.stale)
        assert (reply.draining, reply.left, reply.next_due) == (expected.draining, expected.left, expected.next_due)
        for job_id, raw in zip(ids, reply.histories, strict=bool(reply.histories)):
            assert decode_history(raw) == self.histories[job_id]
        self.issued += [job_id + lease_suffix for job_id in ids]
        return reply

    @rule(worker=workers, chosen=indices)
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
                keep=Keep(self.keep, 1000),
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
