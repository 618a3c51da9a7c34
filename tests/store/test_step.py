"""Edge cases of a step: cancelled running jobs, tokens for idle workers, and keys of another type."""

from typing import Any

import pytest
from redis import Redis

from jobpools.core.jobs.job import Disposition, History, JobState, Outcome, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.retry import Retry, settle
from jobpools.errors import StoreDataError, StoreError
from jobpools.store import keys, ledger
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import force_drain_locks, take_drain_locks
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.job_ids import new_id
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of, split_lease_id
from jobpools.store.records import completed_record
from jobpools.store.rescue import rescue_jobs
from jobpools.store.step import Completed, Settled, StepReply, settle_and_claim
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs

NOW = 1_900_000_000_000
LEASE = 10_000


def key(part: str) -> str:
    return keys.of_queue(QUEUE, part)


async def claim(store: Connection, number: int, worker: str = "web-1.aa", claim: int = 10, now: int = NOW) -> list[str]:
    """Claim jobs and return their lease_ids."""
    lease_suffix = lease_suffix_of(worker, number)
    reply = await settle_and_claim(
        store, QUEUE, worker, claim=claim, lease_suffix=lease_suffix, lease_ms=LEASE, now=now
    )
    return [job_id.decode() + lease_suffix for job_id in reply.ids]


async def end(
    store: Connection, lease_id: str, settlement: Settlement | None = None, ttl: int = 1000, now: int = NOW
) -> StepReply:
    """Settle one attempt, as completed unless there is a settlement."""
    worker = split_lease_id(lease_id)[1]
    completed = {} if settlement else {ttl: Completed([lease_id], [completed_record("send", b"1", 0.1)])}
    settled = [Settled(lease_id, Priority.NORMAL, settlement)] if settlement else []
    return await settle_and_claim(
        store,
        QUEUE,
        worker,
        completed=completed,
        settled=settled,
        lease_suffix=lease_suffix_of(worker, 999),
        lease_ms=LEASE,
        now=now,
    )


def failed(history: History | None = None, attempts: int = 3) -> Settlement:
    policy = Retry(max_attempts=attempts, initial=1, jitter=0)
    outcome = Outcome(OutcomeKind.FAILED, "Error", "no")
    return settle(outcome, policy, history or History(), NOW / 1000, 0.0, max_crashes=3).value


RETURNED = Settlement(Disposition.RETURN)


@pytest.mark.parametrize("settlement", [failed(), RETURNED], ids=["retried", "handed back"])
async def test_a_cancelled_running_job_does_not_run_again(store: Connection, job: Send, settlement: Settlement) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    (lease_id,) = await claim(store, 1)
    assert await cancel_job(store, QUEUE, "a", NOW) is JobState.RUNNING
    await end(store, lease_id, settlement)
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert view.state is JobState.CANCELLED
    assert (await ledger.read(store, [QUEUE]))[QUEUE].lost == 0


async def test_a_job_that_ends_before_it_is_stopped_leaves_cancelling(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a"), job("b")], NOW)
    first, second = await claim(store, 1)
    for job_id in ("a", "b"):
        assert await cancel_job(store, QUEUE, job_id, NOW) is JobState.RUNNING
    await end(store, first, ttl=0)
    await end(store, second, failed(attempts=1))
    assert raw.exists(key("cancelling")) == 0
    await enqueue_jobs(store, [job("a")], NOW)
    assert await claim(store, 2) != [], "a new job of the same id is not cancelled with it"


async def test_a_stale_settlement_does_not_undo_a_cancellation(store: Connection, raw: Redis, job: Send) -> None:
    """The worker that lost the job settles it; the worker that runs it must still stop it."""
    await enqueue_jobs(store, [job("a")], NOW)
    (late,) = await claim(store, 1)
    await rescue_jobs(store, QUEUE, lease_suffix=lease_suffix_of("web-2.bb", 1), lease_ms=LEASE, now=NOW + LEASE)
    await cancel_job(store, QUEUE, "a", NOW)
    assert (await end(store, late)).stale == [late.encode()]
    assert raw.smembers(key("cancelling")) == {b"a"}


async def test_a_step_that_leaves_ready_jobs_adds_a_token(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    (lease_id,) = await claim(store, 1)
    raw.delete(key("wake"))
    await end(store, lease_id, RETURNED)
    assert raw.llen(key("wake")) == 1, "an idle worker is woken for a job that was handed back"
    raw.delete(key("wake"))
    await force_drain_locks(store, [QUEUE], ["web-1.aa"])
    assert await claim(store, 2) == []
    assert raw.llen(key("wake")) == 1, "a draining worker that took the token returns it"


async def test_the_age_of_a_job_is_counted_since_it_was_handed_back(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job(new_id(NOW / 1000 - 3600, bytes(10)), enqueued=None)], NOW)
    (lease_id,) = await claim(store, 1)
    await end(store, lease_id, RETURNED)
    facts = (await read_endpoint(store, {"p": [QUEUE]}, NOW + 5000)).queues
    assert [each.oldest_seconds for each in facts.values()] == [5.0]


async def test_a_note_is_removed_by_the_next_hand_back(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    (lease_id,) = await claim(store, 1)
    await end(store, lease_id, Settlement(Disposition.RETURN, history=History(note="no worker knows it")))
    (lease_id,) = await claim(store, 2)
    await end(store, lease_id, RETURNED)
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert view.history.note == "", "the hand-back without a reason removes the note"
    assert raw.exists(key("history")) == 0


async def test_a_claim_is_limited_to_1000_jobs(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job(f"job{number}") for number in range(5000)], NOW)
    assert len(await claim(store, 1, claim=5000)) == 1000
    assert (await ledger.read(store, [QUEUE]))[QUEUE].lost == 0


async def test_a_job_id_in_the_form_of_a_lease_id_is_not_mistaken_for_one(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a:web-2.bb:0000000001")], NOW)
    (lease_id,) = await claim(store, 1)
    assert split_lease_id(lease_id) == ("a:web-2.bb:0000000001", "web-1.aa")
    assert (
        await rescue_jobs(store, QUEUE, lease_suffix=":x.y:0000000001", lease_ms=1, holders=["web-2"], now=NOW)
    ).taken == []
    assert await take_drain_locks(store, [QUEUE], "web-2.bb")
    assert not await take_drain_locks(store, [QUEUE], "web-1.aa")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a", "n", "", "{}", "b", "x", "", "{}"], "unknown priority x; use h, n or l"),
        *[
            (["b", "n", "", "{}", "a", "n", due, "{}"], f"invalid due time {due};")
            for due in (
                "soon",
                "nan",
                "inf",
                "1e300",
                "0x10",
                "7.5",
                "9" * 16,
                "-",
                "-5",
                "@",
                "@soon",
                "@7.5",
                "@" + "9" * 16,
                "1@2",
            )
        ],
        (["a", "n", ""], "incomplete job"),
    ],
)
async def test_wrong_arguments_of_enqueue_are_refused_before_anything_is_written(
    store: Connection, raw: Redis, arguments: list[Any], why: str
) -> None:
    with pytest.raises(StoreError, match=why):
        await store.call("enqueue", QUEUE, ["", keys.WAKE_CHANNEL, QUEUE, *arguments])
    assert raw.keys() == []


@pytest.mark.parametrize("part", keys.PARTS)
async def test_no_job_is_lost_when_a_key_has_another_type(store: Connection, raw: Redis, job: Send, part: str) -> None:
    """Every operation on it fails and names it, and afterwards each job can still be found."""
    await enqueue_jobs(store, [job("a"), job("b"), job("c"), job("d"), job("later", due=NOW / 1000 + 1)], NOW)
    first, second, third = await claim(store, 1, claim=3)
    await end(store, third, failed(attempts=1))
    held = raw.dump(key(part))
    raw.delete(key(part))
    raw.set(key(part), "something else")
    refused = []
    for verb in (
        enqueue_jobs(store, [job("e", "low"), job("f", due=NOW / 1000 + 9)], NOW),
        end(store, first),
        end(store, second, failed()),
        claim(store, 2, now=NOW + 2000),
        cancel_job(store, QUEUE, "d", NOW),
        store.call("purge", QUEUE, ["c", ""]),
        store.call("replay", QUEUE, [NOW, keys.WAKE_CHANNEL, QUEUE, "c", "", "n", "{}"]),
        rescue_jobs(store, QUEUE, lease_suffix=":x.y:0000000001", lease_ms=LEASE, now=NOW + 2000),
    ):
        try:
            await verb
        except StoreDataError as error:
            refused.append(str(error))
    kind = keys.kind(part)
    assert set(refused) <= {
        f"key {key(part)} is a string, not a {kind}: something else uses its name; rename or delete it"
    }
    raw.delete(key(part))
    if held is not None:
        raw.restore(key(part), 0, held)
    assert await found(raw) >= set(await store.execute("HKEYS", key("jobs")))
    assert (await ledger.read(store, [QUEUE]))[QUEUE].lost <= 0 or part == "totals"


async def found(raw: Any) -> set[bytes]:
    """Return the ids in all places of the queue."""
    ids: set[bytes] = set()
    for priority in Priority:
        ids |= set(raw.lrange(key(f"ready:{priority}"), 0, -1))
        ids |= set(raw.zrange(key(f"scheduled:{priority}"), 0, -1))
    ids |= set(raw.zrange(key("dead"), 0, -1)) | set(raw.hkeys(key("results")))
    ids |= {split_lease_id(lease_id.decode())[0].encode() for lease_id in raw.zrange(key("leases"), 0, -1)}
    return ids
