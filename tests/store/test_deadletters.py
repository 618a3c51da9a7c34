"""Dead letters are listed, replayed with all their attempts, and purged."""

from redis import Redis

from jobpools.core.jobs.job import History, JobState, Outcome, OutcomeKind, Priority
from jobpools.core.jobs.retry import Retry, settle
from jobpools.store import deadletters, keys, ledger
from jobpools.store.connection import Connection
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.step import Settled, settle_and_claim
from tests.store.conftest import QUEUE, Send
from tests.support import dead_jobs
from tests.support.job_lists import read_jobs
from tests.support.sending import enqueue_jobs

NOW = 1_900_000_000_000


async def kill(store: Connection, *ids: str) -> None:
    """Claim these jobs and let them die, in this order."""
    for number, job_id in enumerate(ids):
        lease_suffix = lease_suffix_of("w.1", number)
        reply = await settle_and_claim(store, QUEUE, "w.1", claim=1, lease_suffix=lease_suffix, lease_ms=1000, now=NOW)
        assert reply.ids == [job_id.encode()]
        outcome = Outcome(OutcomeKind.FAILED, "OSError", "no")
        history = History(attempts=2, crashes=1)
        end = settle(outcome, Retry(), history, NOW / 1000, 0.0, max_crashes=3).value
        settled = [Settled(job_id + lease_suffix, Priority.NORMAL, end)]
        await settle_and_claim(
            store, QUEUE, "w.1", settled=settled, lease_suffix=lease_suffix, lease_ms=1, now=NOW + number
        )


async def test_replayed_jobs_have_all_their_attempts_again(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a", "high"), job("b"), job("c")], NOW)
    await kill(store, "a", "b")
    assert [view.id for view in await read_jobs(store, QUEUE, JobState.DEAD)] == ["b", "a"]
    raw.delete(keys.of_queue(QUEUE, "wake"))
    assert await dead_jobs.replay(store, QUEUE, ["a", "c", "never", "a"], NOW) == 1
    view = await read_job(store, QUEUE, "a")
    assert view is not None
    assert view.state is JobState.QUEUED
    assert (view.history.attempts, view.history.crashes, view.history.note) == (0, 0, "")
    assert [attempt.message for attempt in view.history.entries] == ["no"], "the earlier attempts stay in the history"
    assert raw.lrange(keys.of_queue(QUEUE, "ready:high"), 0, -1) == [b"a"], "with its priority"
    assert raw.llen(keys.of_queue(QUEUE, "wake")) == 1
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (counts.dead, counts.died, counts.unfinished, counts.lost) == (1, 2, 2, 0)


async def test_a_purge_removes_envelope_history_and_death(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a"), job("b")], NOW)
    await kill(store, "a")
    assert await dead_jobs.purge(store, QUEUE, ["a", "b", "never"]) == 1
    assert await dead_jobs.purge(store, QUEUE, []) == 0
    assert raw.hkeys(keys.of_queue(QUEUE, "jobs")) == [b"b"], "a queued job is not purged"
    assert raw.exists(keys.of_queue(QUEUE, "history"), keys.of_queue(QUEUE, "dead")) == 0
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (counts.purged, counts.lost) == (1, 0)


async def test_an_unreadable_dead_job_can_be_replayed(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    await kill(store, "a")
    raw.hset(keys.of_queue(QUEUE, "jobs"), "a", '{"v":9}')
    assert await dead_jobs.replay(store, QUEUE, ["a"], NOW) == 1
    assert await dead_jobs.replay(store, QUEUE, [], NOW) == 0


async def test_a_job_that_died_again_after_the_snapshot_is_skipped(store: Connection, raw: Redis, job: Send) -> None:
    await enqueue_jobs(store, [job("a"), job("b")], NOW)
    await kill(store, "a", "b")
    letters = await deadletters.snapshot(store, QUEUE)
    assert [(letter.id, letter.died_at) for letter in letters] == [("a", NOW), ("b", NOW + 1)]
    raw.zadd(keys.of_queue(QUEUE, "dead"), {"a": NOW + 5})
    assert [page async for page in deadletters.purge(store, QUEUE, letters)] == [deadletters.Page(2, 1)]
    assert [page async for page in deadletters.replay(store, QUEUE, letters, NOW)] == [deadletters.Page(2, 0)]
    assert raw.zrange(keys.of_queue(QUEUE, "dead"), 0, -1) == [b"a"]
