"""The memory of a queue is bounded: expired and surplus records are removed as fast as they arrive."""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from redis import Redis

from jobpools.core.jobs.job import JobState, Priority
from jobpools.core.jobs.policies import Keep
from jobpools.core.objects import Meta
from jobpools.core.pools.actions import Action, MaintainQueues
from jobpools.core.pools.facts import ClusterFacts, PoolFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import plan_pool
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.rescue import Rescuer
from jobpools.store import deadletters, draws, keys, ledger
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection, connect
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.records import completed_record, decode_result
from jobpools.store.rescue import rescue_jobs
from jobpools.store.script_arguments import KEEP
from jobpools.store.step import Completed, Settled, settle_and_claim
from tests.store.attempts import failed
from tests.store.conftest import QUEUE, Send, sending
from tests.support.job_lists import read_jobs
from tests.support.queues import operator_queues
from tests.support.sending import enqueue_jobs
from tests.support.servers import Server, redis_binary, running, valkey_binary

NOW = 1_900_000_000_000
WORKER = "w.1"
numbers = count(1)


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own, whose memory nothing else uses."""
    binary = valkey_binary() if request.param == "valkey" else redis_binary()
    if binary is None:
        pytest.skip("no redis-server: apt-get install redis-server")
    with running(binary) as found:
        yield found


@pytest.fixture
async def alone(server: Server) -> AsyncIterator[Connection]:
    made = connect(server.url)
    yield made
    await made.aclose()


async def drain(  # noqa: PLR0913  # the tests vary each
    store: Connection, jobs: int, ttl: int, now: int | str = NOW, *, keep: Keep = KEEP, batch: int = 500,
    name: str = "send",
) -> None:  # fmt: skip
    """Enqueue jobs with ids of the default form and complete them, one batch after the other."""
    for start in range(0, jobs, batch):
        number = min(batch, jobs - start)
        sent = [sending(draws.job_id(NOW / 1000), enqueued=None) for _ in range(number)]
        await enqueue_jobs(store, sent, now)
        reply = await settle_and_claim(
            store,
            QUEUE,
            WORKER,
            claim=number,
            lease_suffix=lease_suffix_of(WORKER, next(numbers)),
            lease_ms=60_000,
            now=now,
        )
        lease_suffix = lease_suffix_of(WORKER, next(numbers) - 1)
        done = Completed(
            [job_id.decode() + lease_suffix for job_id in reply.ids],
            [completed_record(name, b"null", 0.0125)] * number,
        )
        settled = await settle_and_claim(
            store,
            QUEUE,
            WORKER,
            completed={ttl: done},
            lease_suffix=lease_suffix_of(WORKER, 0),
            lease_ms=1,
            now=now,
            keep=keep,
        )
        assert settled.stale == []


@pytest.mark.parametrize(
    ("jobs", "batch", "name"), [(100_000, 500, "send"), (70_000, 500, "shop.jobs." + "x" * 200), (10_000, 1, "n" * 30)]
)
async def test_a_completed_job_costs_less_than_200_bytes(
    alone: Connection, server: Server, jobs: int, batch: int, name: str
) -> None:
    """With short and long names of handlers, in batches and one at a time, for full and for half-full hash tables."""
    with server.client() as raw:
        await drain(alone, 500, 86_400_000)  # leave out what the first jobs cost: scripts and buffers
        before = raw.info("memory")["used_memory"]
        await drain(alone, jobs, 86_400_000, keep=Keep(200_000, 0), batch=batch, name=name)
        assert raw.hlen(keys.of_queue(QUEUE, "results")) == jobs + 500
        cost = (raw.info("memory")["used_memory"] - before) / jobs
    assert cost < 200, f"{cost:.0f} bytes"


async def test_names_of_handlers_are_restored_and_stored_once(store: Connection, raw: Redis) -> None:
    """Also names that look like numbers or contain blanks, and those of more handlers than are numbered."""
    names = [
        "send",
        "#1",
        "#",
        '"send"',
        "two words",
        "größe",
        "{a}",
        "a{",
        *[f"handler-{number}" for number in range(1100)],
    ]
    for number, name in enumerate(names):
        await drain(store, 1, 86_400_000, NOW + number, name=name)
    kept = await read_jobs(store, QUEUE, JobState.COMPLETED, 5000)
    assert [each.name for each in reversed(kept)] == names
    for each in (kept[0], kept[-1], kept[-2]):
        found = await read_job(store, QUEUE, each.id, NOW)
        assert found is not None
        assert found.name == each.name
    assert raw.hlen(keys.of_queue(QUEUE, "handlers")) == 1000


async def test_tags_and_metadata_after_the_name_of_a_handler_do_not_make_it_another_handler(
    store: Connection, raw: Redis, job: Send
) -> None:
    labels = [b'{"tags":["vip"]}', b'{"meta":{"a":"{"}}', b""]
    await enqueue_jobs(store, [job(f"j{number}") for number in range(3)], NOW)
    suffix = lease_suffix_of(WORKER, next(numbers))
    await settle_and_claim(store, QUEUE, WORKER, claim=3, lease_suffix=suffix, lease_ms=1000, now=NOW)
    records = [completed_record("send", b"null", 0.1, each) for each in labels]
    done = Completed([f"j{number}{suffix}" for number in range(3)], records)
    await settle_and_claim(store, QUEUE, WORKER, completed={1000: done}, lease_suffix=suffix, lease_ms=1, now=NOW)
    kept = [await read_job(store, QUEUE, f"j{number}", NOW) for number in range(3)]
    assert [each and (each.name, each.tags, each.metadata) for each in kept] == [
        ("send", ("vip",), None), ("send", (), {"a": "{"}), ("send", (), None),
    ]  # fmt: skip
    assert raw.hgetall(keys.of_queue(QUEUE, "handlers")) == {b"send": b"1"}


async def kept(raw: Any) -> set[str]:
    return {name.decode() for name in raw.hkeys(keys.of_queue(QUEUE, "results"))}


async def test_the_oldest_records_are_removed_first_whatever_their_ttl(store: Connection, raw: Any) -> None:
    for number in range(30):
        await drain(store, 1, (1_000_000, 50_000_000, 9_000)[number % 3], NOW + number, keep=Keep(20, 0))
    ended = sorted(decode_result(record).at for record in raw.hvals(keys.of_queue(QUEUE, "results")))
    assert ended == [(NOW + number) / 1000 for number in range(10, 30)]
    assert (await ledger.read(store, [QUEUE]))[QUEUE].lost == 0


@pytest.mark.parametrize("keep", [0, 1, 700])
async def test_a_rescuer_removes_records_down_to_a_smaller_limit(store: Connection, raw: Redis, keep: int) -> None:
    await drain(store, 3000, 86_400_000)
    found = await rescue_jobs(store, QUEUE, lease_suffix=":x.y:0000000001", lease_ms=1, now=NOW, keep=Keep(keep, 0))
    assert found.more
    await Rescuer(store, "x.y", lease_ms=1, keep=Keep(keep, 0)).sweep(QUEUE)
    assert raw.hlen(keys.of_queue(QUEUE, "results")) == keep
    assert len(await read_jobs(store, QUEUE, JobState.COMPLETED, 5000)) == keep


async def test_short_ttls_never_wait_behind_long_ones(store: Connection, raw: Redis) -> None:
    for number in range(10):
        await drain(store, 100, 86_400_000, NOW + number)
        await drain(store, 100, 1000, NOW + number)
    await drain(store, 1, 0, NOW + 1010)
    assert raw.hlen(keys.of_queue(QUEUE, "results")) == 2000 - 200 - 202, "200 more than twice what a step adds"
    await rescue_jobs(store, QUEUE, lease_suffix=":x.y:0000000001", lease_ms=1, now=NOW + 1010)
    assert raw.hlen(keys.of_queue(QUEUE, "results")) == 1000


async def test_expired_records_are_removed_as_fast_as_jobs_complete(alone: Connection, server: Server) -> None:
    """60,000 jobs in a minute with a TTL of a second; tests/bench has 300,000."""
    with server.client() as raw:
        most, size = 0, []
        for number in range(120):
            await drain(alone, 500, 1000, NOW + 500 * number)
            most = max(most, raw.hlen(keys.of_queue(QUEUE, "results")))
            size.append(raw.info("memory")["used_memory_dataset"])
        assert most <= 2000, "not more than the jobs of a second"
        assert max(size[60:]) < max(size[10:60]) * 1.2, "flat"


async def test_one_sweep_removes_all_expired_records(store: Connection, raw: Redis) -> None:
    await drain(store, 20_000, 1, "")
    begun = time.monotonic()
    swept = await Rescuer(store, "x.y", lease_ms=1).sweep(QUEUE)
    assert not swept.has_more
    assert raw.hlen(keys.of_queue(QUEUE, "results")) == 0
    assert not raw.exists(keys.of_queue(QUEUE, "done"))
    assert time.monotonic() - begun < 10


async def test_facts_say_that_records_have_expired(store: Connection) -> None:
    await drain(store, 10, 1000)
    for later, expired in ((0, False), (999, False), (1000, True)):
        facts = await read_endpoint(store, {"default/shop": [QUEUE]}, NOW + later)
        assert [each.expired for each in facts.queues.values()] == [expired]


async def test_the_operator_removes_records_of_jobs_that_were_cancelled_without_a_worker(
    store: Connection, raw: Redis, job: Send
) -> None:
    """A producer that enqueues and cancels (a debounce) leaves records that no worker's step removes."""
    keep = 5
    for number in range(8):
        await enqueue_jobs(store, [job(f"job{number}")])
        await cancel_job(store, QUEUE, f"job{number}")
    facts = (await read_endpoint(store, {"default/shop": [QUEUE]})).queues
    assert [each.ended for each in facts.values()] == [8]
    pool = Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate(
        {"app": "shop:app", "queues": [QUEUE], "queue": {"keepCompleted": keep}}
    ))  # fmt: skip
    cluster = ClusterFacts(replicas=0, current=True)
    assert MaintainQueues() in plan_pool(pool, PoolFacts(facts, (), cluster), Memory(), 1001, None).actions
    await operator_queues(store).maintain(pool)
    assert raw.hlen(keys.of_queue(QUEUE, "results")) == keep
    facts = (await read_endpoint(store, {"default/shop": [QUEUE]})).queues
    assert MaintainQueues() not in plan_pool(pool, PoolFacts(facts, (), cluster), Memory(), 1001, None).actions


async def test_the_operator_drops_dead_letters_that_are_too_old_while_there_is_no_worker(
    store: Connection, raw: Redis
) -> None:
    died = 1_000_000_000_000  # long ago by the server's clock
    raw.zadd(keys.of_queue(QUEUE, "dead"), {f"j{number}": died + number for number in range(1500)})
    pool = Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate(
        {"app": "shop:app", "queues": [QUEUE], "queue": {"keepDeadFor": "1m"}}
    ))  # fmt: skip

    async def actions(now: int | str = "") -> Sequence[Action]:
        facts = PoolFacts(
            (await read_endpoint(store, {"default/shop": [QUEUE]}, now)).queues, (), ClusterFacts(0, current=True)
        )
        return plan_pool(pool, facts, Memory(), 1001, None).actions

    assert await actions(died + 59_999) == ()
    assert await actions(died + 60_000) == (MaintainQueues(),)
    await operator_queues(store).maintain(pool)
    assert raw.zcard(keys.of_queue(QUEUE, "dead")) == 0
    assert (await ledger.read(store, [QUEUE]))[QUEUE].dropped == 1500
    assert await actions() == ()


async def test_an_id_is_free_again_when_its_record_has_expired(store: Connection, raw: Redis, job: Send) -> None:
    """Even before the record is removed; and the record of the second job is kept when that of the first is removed."""

    async def complete(ttl: int, now: int) -> None:
        lease_suffix = lease_suffix_of(WORKER, next(numbers))
        (job_id,) = (
            await settle_and_claim(store, QUEUE, WORKER, claim=1, lease_suffix=lease_suffix, lease_ms=1000, now=now)
        ).ids
        done = Completed([job_id.decode() + lease_suffix], [completed_record("send", b"1", 1)])
        await settle_and_claim(
            store, QUEUE, WORKER, completed={ttl: done}, lease_suffix=lease_suffix, lease_ms=1, now=now
        )

    await enqueue_jobs(store, [job("blocks")], NOW)
    await complete(2000, NOW)
    await enqueue_jobs(store, [job("own")], NOW)
    await complete(1100, NOW)
    assert await enqueue_jobs(store, [job("own")], NOW + 1099) == [False]
    assert await enqueue_jobs(store, [job("own")], NOW + 1100) == [True]
    await complete(60_000, NOW + 1100)
    await rescue_jobs(store, QUEUE, lease_suffix=":x.y:0000000001", lease_ms=1, now=NOW + 5000)
    assert await kept(raw) == {"own"}
    assert (await ledger.read(store, [QUEUE]))[QUEUE].completed == 3


async def dies(store: Connection, job_id: str, now: int, keep: int) -> int:
    """Let a job die; return how many dead letters were dropped."""
    lease_suffix = lease_suffix_of(WORKER, next(numbers))
    (claimed,) = (
        await settle_and_claim(store, QUEUE, WORKER, claim=1, lease_suffix=lease_suffix, lease_ms=1000, now=now)
    ).ids
    assert claimed.decode() == job_id
    each = failed(attempts=1)
    settled = [Settled(job_id + lease_suffix, Priority.NORMAL, each)]
    reply = await settle_and_claim(
        store, QUEUE, WORKER, settled=settled, lease_suffix=lease_suffix, lease_ms=1, now=now, keep=Keep(1, keep)
    )
    return reply.dropped


async def test_dead_letters_are_kept_up_to_a_number_and_dropped_ones_are_counted(
    store: Connection, raw: Redis, job: Send
) -> None:
    dropped = 0
    for number in range(8):
        await enqueue_jobs(store, [job(f"j{number}")], NOW)
        dropped += await dies(store, f"j{number}", NOW + number, keep=5)
    assert dropped == 3
    assert {letter.id for letter in await deadletters.snapshot(store, QUEUE)} == {f"j{n}" for n in range(3, 8)}
    assert raw.hlen(keys.of_queue(QUEUE, "jobs")) == raw.hlen(keys.of_queue(QUEUE, "history")) == 5
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (counts.dead, counts.dropped, counts.died, counts.lost) == (5, 3, 8, 0)
    swept = await Rescuer(store, "x.y", lease_ms=1, keep=Keep(1, 0)).sweep(QUEUE)
    assert swept.dropped == 5
    assert (await ledger.read(store, [QUEUE]))[QUEUE].lost == 0


async def test_dead_letters_are_kept_for_a_time(store: Connection, job: Send) -> None:
    for number in range(4):
        await enqueue_jobs(store, [job(f"j{number}")], NOW)
        await dies(store, f"j{number}", NOW + 1000 * number, keep=5)

    async def dropped(age: float, now: int) -> int:
        rescue = await rescue_jobs(
            store, QUEUE, lease_suffix=":x.y:0000000001", lease_ms=1, keep=Keep(1, 5, age), now=now
        )
        return rescue.dropped

    assert await dropped(0, NOW + 10**12) == 0, "0 is unlimited"
    assert await dropped(60, NOW + 59_999) == 0
    assert await dropped(60, NOW + 61_000) == 2
    assert {letter.id for letter in await deadletters.snapshot(store, QUEUE)} == {"j2", "j3"}
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (counts.dead, counts.dropped, counts.died, counts.lost) == (2, 2, 4, 0)


async def test_each_call_drops_a_limited_number_of_old_dead_letters(store: Connection, raw: Redis) -> None:
    raw.zadd(keys.of_queue(QUEUE, "dead"), {f"j{number}": NOW for number in range(2500)})
    sizes = []
    for _ in range(4):
        rescue = await rescue_jobs(
            store, QUEUE, lease_suffix=":x.y:0000000001", lease_ms=1, keep=Keep(dead_for=1.0), now=NOW + 1000
        )
        sizes.append((rescue.dropped, rescue.more))
    assert sizes == [(1000, True), (1000, True), (500, False), (0, False)]
