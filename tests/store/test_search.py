"""A search finds each job that matches, in pages, while workers and producers change the queue."""

import itertools
from typing import Any

import pytest
from redis import Redis

from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.job_filter import Ago, JobFilter
from jobpools.errors import ConfigurationError, JobNotFoundError
from jobpools.store import keys, search as searching
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.job_ids import new_id
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.read_size import next_size
from jobpools.store.records import completed_record
from jobpools.store.search import search
from jobpools.store.step import Completed, settle_and_claim
from tests.store.attempts import AT, claim, failed, settled
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs

LABELS = b'{"tags":["vip","new"]}'
NOW = 1_900_000_000_000


async def ids(store: Connection, chosen: JobFilter, limit: int = 100) -> list[str]:
    """Return the ids of all pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = await search(store, chosen, limit=limit, cursor=cursor)
        found += [view.id for view in page.views]
        assert len(page.views) <= limit
        if page.cursor is None:
            return found
        cursor = page.cursor


async def complete(store: Connection, lease_ids: list[str], ttl: int, now: int) -> None:
    done = {ttl: Completed(lease_ids, [completed_record("send", b"1", 0.1, LABELS)] * len(lease_ids))}
    suffix = lease_suffix_of("w.1", 77)
    await settle_and_claim(store, QUEUE, "w.1", completed=done, lease_suffix=suffix, lease_ms=1, now=now)


@pytest.fixture
async def every_state(store: Connection, job: Send) -> None:
    names = ("dead", "done", "retried", "held", "waits", "next")
    await enqueue_jobs(store, [job(each) for each in names] + [job("later", due=AT + 60)], NOW)
    dead, done, retried, _ = await claim(store, "w.1", 1, claim=4)
    await settled(store, dead, failed(attempts=1))
    await settled(store, retried, failed(attempts=3))
    await complete(store, [done], 10**12, NOW)
    await cancel_job(store, QUEUE, "waits")


@pytest.mark.usefixtures("every_state")
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (JobFilter(), ["retried", "later", "next", "held", "dead", "done", "waits"]),
        (JobFilter(states=(JobState.DEAD, JobState.RUNNING)), ["held", "dead"]),
        (JobFilter(states=(JobState.COMPLETED,)), ["done"]),
        (JobFilter(states=(JobState.CANCELLED,)), ["waits"]),
        (JobFilter(queue=QUEUE, name="send", states=(JobState.QUEUED,)), ["next"]),
        (JobFilter(name="send", states=(JobState.CANCELLED,)), ["waits"]),
        (JobFilter(name="other"), []),
        (JobFilter(text="NO SUCH address"), ["retried", "dead"]),
        (JobFilter(worker="w"), ["retried", "held", "dead"]),
        (JobFilter(worker="w.1", states=(JobState.RUNNING,)), ["held"]),
        (JobFilter(worker="w.2"), []),
        (JobFilter(ended_after=AT - 1, ended_before=AT + 1), ["dead", "done"]),
        (JobFilter(ended_after=AT + 1), []),
        (JobFilter(ended_before=AT), ["waits"]),
        (JobFilter(created_after=Ago(3600)), ["done", "waits"][:0]),
        (JobFilter(created_before=2.0, states=(JobState.QUEUED,)), ["next"]),
        (JobFilter(tags=("vip",)), ["done"]),
        (JobFilter(tags=("vip", "old")), []),
    ],
)
async def test_a_filter_selects_jobs(store: Connection, chosen: JobFilter, expected: list[str]) -> None:
    found = await ids(store, chosen)
    assert sorted(found) == sorted(expected)
    for size in (1, 2, 3):
        assert sorted(await ids(store, chosen, size)) == sorted(expected), "in pages of every size"


async def test_jobs_come_by_priority_and_then_in_their_order(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("n1"), job("l1", "low"), job("h1", "high"), job("n2")], NOW)
    later = [job("s3", "high", AT + 30), job("s1", "normal", AT + 10), job("s0", "normal", AT + 5)]
    await enqueue_jobs(store, later, NOW)
    assert await ids(store, JobFilter()) == ["s3", "s0", "s1", "h1", "n1", "n2", "l1"]


async def test_an_unknown_queue_is_named_with_a_suggestion(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a")])
    with pytest.raises(JobNotFoundError, match="queue emials: it has never had a job; did you mean emails"):
        await search(store, JobFilter(queue="emials"), limit=1)


async def test_queues_without_jobs_cost_no_reads(store: Connection, job: Send, raw: Redis) -> None:
    await enqueue_jobs(store, [job("a")])
    for number in range(50):
        raw.hset(keys.of_queue(f"empty-{number}", "totals"), "enqueued", 1)
    raw.config_resetstat()
    assert await ids(store, JobFilter()) == ["a"]
    calls: Any = raw.info("commandstats")
    assert calls["cmdstat_lrange"]["calls"] + calls["cmdstat_zrange"]["calls"] <= 9


async def test_a_cursor_belongs_to_its_filter(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a"), job("b")])
    page = await search(store, JobFilter(name="send"), limit=1)
    assert page.cursor
    with pytest.raises(ConfigurationError, match="cursor: it belongs to another filter; repeat the filter"):
        await search(store, JobFilter(), limit=1, cursor=page.cursor)
    for damaged in ("", "x", page.cursor[:-3], "é"):
        with pytest.raises(ConfigurationError, match="cursor: it is damaged; copy the whole cursor"):
            await search(store, JobFilter(name="send"), limit=1, cursor=damaged)


async def test_a_page_examines_a_bounded_number_of_jobs_and_continues(
    store: Connection, job: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "READ_LIMIT", 40)
    monkeypatch.setattr(searching, "FIRST_READ", 7)
    await enqueue_jobs(store, [job(f"job-{n:03}") for n in range(100)])
    page = await search(store, JobFilter(text="nothing"), limit=5)
    assert (page.views, page.examined, page.total) == ([], 40, 100)
    page = await search(store, JobFilter(text="nothing"), limit=5, cursor=page.cursor)
    assert (page.views, page.examined, page.total) == ([], 80, 100)
    page = await search(store, JobFilter(text="nothing"), limit=5, cursor=page.cursor)
    assert (page.views, page.examined, page.cursor) == ([], 100, None)


async def test_a_page_ends_after_its_time_limit(store: Connection, job: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "FIRST_READ", 7)
    monkeypatch.setattr(searching, "TIME_LIMIT", 0.15)
    await enqueue_jobs(store, [job(f"job-{n:03}") for n in range(100)])
    ticks = itertools.count()
    page = await search(store, JobFilter(text="nothing"), limit=5, clock=lambda: float(next(ticks)))
    assert page.examined == 7, "one chunk is examined in any case"
    assert page.cursor


@pytest.mark.parametrize(
    ("size", "read", "seconds", "following"),
    [
        (50, 50 * 300, 0.0005, 200),  # four times as many at most
        (800, 800 * 300, 0.008, 1000),
        (800, 800 * 300, 0.016, 500),  # a busy server or client
        (800, 800 * 300, 1.0, 200),  # a distant server
        (50, 50 * 100_000, 0.001, 10),  # large payloads
        (1, 10_000_000, 1.0, 1),
        (50, 0, 0.0, 200),
    ],
)
def test_the_size_of_a_read_follows_what_the_one_before_took(
    size: int, read: int, seconds: float, following: int
) -> None:
    assert next_size(size, read, seconds) == following
    assert next_size(size, read, seconds, 250) == min(250, following)


async def test_claims_between_two_pages_make_a_search_skip_and_repeat_no_job(store: Connection, job: Send) -> None:
    names = [f"job-{n:03}" for n in range(50)]
    await enqueue_jobs(store, [job(each) for each in names])
    chosen = JobFilter(states=(JobState.QUEUED,))
    page = await search(store, chosen, limit=10)
    await claim(store, "w.1", 1, claim=5)
    page = await search(store, chosen, limit=10, cursor=page.cursor)
    assert [view.id for view in page.views] == names[10:20]
    await claim(store, "w.1", 2, claim=25)  # beyond the last id that was read
    await enqueue_jobs(store, [job("new")])
    page = await search(store, chosen, limit=100, cursor=page.cursor)
    assert [view.id for view in page.views] == [*names[30:], "new"]


async def test_scheduled_jobs_of_one_time_are_each_found_once(store: Connection, job: Send, raw: Redis) -> None:
    names = [f"job-{n:03}" for n in range(50)]
    await enqueue_jobs(store, [job(each, due=AT + 60) for each in names])
    chosen = JobFilter(states=(JobState.SCHEDULED,))
    page = await search(store, chosen, limit=10)
    gone: list[Any] = names[:3] + names[8:12]
    raw.zrem(keys.of_queue(QUEUE, "scheduled:normal"), *gone)
    raw.zadd(keys.of_queue(QUEUE, "scheduled:normal"), {"sooner": NOW})
    page = await search(store, chosen, limit=100, cursor=page.cursor)
    assert [view.id for view in page.views] == names[12:]


async def test_dead_jobs_are_found_newest_first_and_once_each(store: Connection, job: Send, raw: Redis) -> None:
    names = [f"job-{n:03}" for n in range(40)]
    await enqueue_jobs(store, [job(each) for each in names])
    raw.zadd(keys.of_queue(QUEUE, "dead"), {each: NOW + n // 10 for n, each in enumerate(names)})
    for part in keys.READY:
        raw.delete(keys.of_queue(QUEUE, part))
    page = await search(store, JobFilter(states=(JobState.DEAD,)), limit=15)
    raw.zrem(keys.of_queue(QUEUE, "dead"), names[25], names[24], names[39])
    raw.zadd(keys.of_queue(QUEUE, "dead"), {"newer": NOW + 100})
    rest = await search(store, JobFilter(states=(JobState.DEAD,)), limit=100, cursor=page.cursor)
    assert [view.id for view in page.views] == names[:24:-1]
    assert [view.id for view in rest.views] == names[23::-1]


async def test_ended_jobs_of_several_ttls_are_found_newest_first_while_more_end(
    store: Connection, job: Send, raw: Redis
) -> None:
    now = int(raw.time()[0]) * 1000  # type: ignore[index]  # redis-py types every reply as sync or async
    names = [f"job-{n:03}" for n in range(60)]
    await enqueue_jobs(store, [job(each) for each in names], now)
    lease_ids = await claim(store, "w.1", 1, claim=60, now=now)
    for n in range(0, 60, 5):
        await complete(store, lease_ids[n : n + 5], 3_600_000 if n % 2 else 86_400_000, now + n)
    chosen = JobFilter(states=(JobState.COMPLETED,))
    newest = [each for n in range(55, -1, -5) for each in reversed(names[n : n + 5])]
    assert await ids(store, chosen) == newest
    page = await search(store, chosen, limit=13)
    await enqueue_jobs(store, [job("new")], now)
    await complete(store, await claim(store, "w.1", 2, now=now), 3_600_000, now + 100)
    rest = await search(store, chosen, limit=100, cursor=page.cursor)
    assert [view.id for view in (*page.views, *rest.views)] == newest
    between = JobFilter(ended_after=(now + 10) / 1000, ended_before=(now + 20) / 1000)
    assert await ids(store, between, 3) == newest[40:50]


async def test_the_time_in_an_id_narrows_a_search(store: Connection, job: Send) -> None:
    names = [new_id(AT + n, bytes([0] * 9 + [n])) for n in range(20)]
    await enqueue_jobs(store, [job(each, enqueued=None) for each in names])
    assert await ids(store, JobFilter(created_after=AT + 5, created_before=AT + 8)) == names[5:8]


async def test_a_text_is_found_in_arguments_however_it_is_spelt(store: Connection) -> None:
    for job_id, args in (("escaped", r'{"to":"Andr\u00e9"}'), ("plain", '{"to":"ANDRÉ"}'), ("quote", r'{"to":"a\"b"}')):
        envelope = f'{{"v":1,"id":"{job_id}","name":"send","queue":"emails","args":{args},"tags":["a","b"]}}'
        await store.call("enqueue", QUEUE, ["", keys.WAKE_CHANNEL, QUEUE, job_id, "n", "", envelope])
    assert await ids(store, JobFilter(text="andré")) == ["escaped", "plain"]
    assert await ids(store, JobFilter(text='a"B')) == ["quote"]
    assert await ids(store, JobFilter(tags=("b", "a"), text="quote")) == []
    assert len(await ids(store, JobFilter(tags=("b", "a")))) == 3
