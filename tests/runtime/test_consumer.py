"""A worker's side of one queue: priorities, envelopes of any client, lost replies, and draining."""

import asyncio
import time
from collections import Counter
from typing import Any

import msgspec
import pytest

from jobpools import (
    App,
    Context,
    JobDeadError,
    JobNotFoundError,
    JobState,
    Retry,
    StoreUnavailableError,
)
from jobpools.core.jobs.policies import QueueLimits, QueuePolicy
from jobpools.runtime import prefetch
from jobpools.store import keys, ledger
from jobpools.store.connection import Connection, connect
from jobpools.store.drain_locks import force_drain_locks, release_drain_locks
from jobpools.store.draws import fresh_id
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import Envelope
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from jobpools.store.queue_policies import set_limits
from jobpools.testing import run_until_idle
from tests.runtime.conftest import working
from tests.support.sending import enqueue_jobs
from tests.support.waiting import until

QUEUE = "default"


async def enqueue_raw(store: Connection, payload: bytes, job_id: str) -> None:
    """Enqueue a job with these bytes as its envelope, as a client of another language or version might."""
    await enqueue_jobs(store, [Sending(Envelope(1, job_id, "?", QUEUE, msgspec.Raw(b"{}")), payload, None)])


async def view(store: Connection, job_id: str, queue: str = QUEUE) -> JobView:
    found = await read_job(store, queue, job_id)
    assert found is not None
    return found


async def make_due(store: Connection) -> None:
    """Make all scheduled jobs due."""
    place = keys.of_queue(QUEUE, "scheduled:normal")
    for job_id in await store.execute("ZRANGE", place, 0, -1):
        await store.execute("ZADD", place, 1, job_id)


# Priorities


async def test_weighted_priorities_share_claims_and_strict_ones_do_not(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "PREFETCH_LIMIT", 0)
    order: list[str] = []

    @app.job
    async def note(what: str) -> None:
        order.append(what)

    async def served(policy: QueuePolicy) -> list[str]:
        order.clear()
        await app.enqueue_many([note.options(priority="low").call("low") for _ in range(200)])
        await app.enqueue_many([note.options(priority="high").call("high") for _ in range(200)])
        # With one slot and no prefetch, each claim is one draw.
        async with working(app, queue=policy, concurrency=1) as worker:
            await until(lambda: worker.metrics.completed == 400)
        return order[:100]

    assert (await served(QueuePolicy.model_validate({"priority": "Strict"}))).count("low") == 0
    weights: dict[str, Any] = {"priority": "Weighted", "weights": {"high": 75, "normal": 1, "low": 25}}
    assert 5 < (await served(QueuePolicy.model_validate(weights))).count("low") < 60


async def test_each_large_claim_is_shared_by_weight(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim must not take all jobs of one priority: a batch of low ones would delay hundreds of high ones."""
    monkeypatch.setattr(prefetch, "PREFETCH_LIMIT", 0)
    order: list[str] = []

    @app.job
    async def note(what: str) -> None:
        order.append(what)

    for what in ("low", "normal", "high"):
        await app.enqueue_many([note.options(priority=what).call(what) for _ in range(2000)])
    async with working(app, queue=QueuePolicy.model_validate({"priority": "Weighted"}), concurrency=160) as worker:
        # Without prefetch: the high ones of a claim start first, so a count inside a claim of 800 would be off by 180.
        await until(lambda: worker.metrics.completed == 6000)
    assert Counter(order[:160]) == {"high": 100, "normal": 50, "low": 10}
    share = Counter(order[:3000])
    assert abs(share["high"] - 1875) < 100, share
    assert abs(share["low"] - 187) < 40, share


async def test_weights_share_ten_thousand_jobs_and_starve_no_priority(app: App) -> None:
    """With the default weights, as a worker runs by default: with prefetch."""
    order: list[str] = []

    @app.job
    async def note(what: str) -> None:
        order.append(what)

    await set_limits(app.client.connection(), QUEUE, QueueLimits(max_depth=0))
    for what in ("low", "normal", "high"):
        await app.enqueue_many([note.options(priority=what).call(what) for _ in range(7000)])
    async with working(app, queue=QueuePolicy.model_validate({"priority": "Weighted"})) as worker:
        await until(lambda: worker.metrics.completed >= 10_000)
    share = Counter(order[:10_000])
    for what, weight in (("high", 100), ("normal", 50), ("low", 10)):
        assert abs(share[what] - 10_000 * weight / 160) < 300, share
    last_seen = dict.fromkeys(share, 0)
    for number, what in enumerate(order[:10_000]):
        assert number - last_seen[what] < 2000, f"{what} waited while 2,000 others ran"
        last_seen[what] = number


# Jobs that this worker cannot run, and envelopes of other clients


async def test_a_job_of_an_unknown_handler_waits_uncharged_for_a_worker_that_knows_it(
    app: App, store: Connection
) -> None:
    job = await app.enqueue("mail.send", {"to": "ada"}, queue=QUEUE)

    @app.job
    async def other() -> None: ...

    await run_until_idle(app)
    found = await view(store, job.id)
    assert found.state is JobState.SCHEDULED
    assert found.due_at is not None
    assert 0 < found.due_at - time.time() < 40
    assert found.history.note == "the workers of queue default have no handler 'mail.send'"
    assert (found.history.attempts, found.history.crashes, found.history.entries) == (0, 0, ())
    assert found.args == b'{"to":"ada"}'

    @app.job(name="mail.send")
    async def send(to: str) -> str:
        return f"sent to {to}"

    await make_due(store)
    await run_until_idle(app)
    assert await job.result() == "sent to ada"


@pytest.mark.parametrize(
    ("payload", "note"),
    [
        (b'{"v":2,"id":"%b","shape":"new"}', "the envelope has version 2, and this jobpools reads up to 1; upgrade"),
        (b"\x80\x04 a pickle", "not an envelope: "),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"priority":"urgent"}', "is not a priority"),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"retry":{"maxAttempts":0}}', "not an envelope: "),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"retry":{"max":1e300}}', "from 0 to 36500d"),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"ttl":NaN}', "not an envelope: "),
    ],
    ids=["newer", "pickle", "priority", "retry", "ages", "no number"],
)  # fmt: skip
async def test_an_unreadable_envelope_is_handed_back_unchanged(
    app: App, store: Connection, payload: bytes, note: str
) -> None:
    @app.job
    async def noop() -> None: ...

    job_id = fresh_id()
    payload = payload.replace(b"%b", job_id.encode())
    await enqueue_raw(store, payload, job_id)
    good = await noop.enqueue()
    await run_until_idle(app)
    assert await good.state() is JobState.COMPLETED, "the worker continues"
    found = await view(store, job_id)
    assert (found.state, found.history.attempts) == (JobState.SCHEDULED, 0)
    assert note in found.history.note
    assert await store.execute("HGET", keys.of_queue(QUEUE, "jobs"), job_id) == payload


@pytest.mark.parametrize(
    "said",
    ['"ttl":1e300', '"ttl":1e17', '"timeout":1e300', '"enqueued":1e300', '"enqueued":-1e300', '"max_crashes":-1'],
)
async def test_extreme_numbers_in_an_envelope_are_limited(app: App, store: Connection, said: str) -> None:
    """A ttl of 1e300 must not overflow to a time in the past, at which the result expires."""

    @app.job
    async def answer(ctx: Context) -> int:
        return 42 if ctx.enqueued_at < time.time() + 60 else 0

    job_id = "of-another-language"
    payload = f'{{"v":1,"id":"{job_id}","name":"answer","queue":"{QUEUE}","args":{{}},{said}}}'
    await enqueue_raw(store, payload.encode(), job_id)
    await run_until_idle(app)
    assert await app.handle(job_id, QUEUE).result(timeout=10) == 42
    assert await view(store, job_id) is not None


@pytest.mark.parametrize("ttl", [-5, -1e300])
async def test_a_negative_ttl_keeps_no_result(app: App, store: Connection, ttl: float) -> None:
    @app.job
    async def answer() -> int:
        return 42

    payload = f'{{"v":1,"id":"a","name":"answer","queue":"{QUEUE}","args":{{}},"ttl":{ttl}}}'
    await enqueue_raw(store, payload.encode(), "a")
    worker = await run_until_idle(app)
    assert worker.metrics.completed == 1
    with pytest.raises(JobNotFoundError):
        await app.handle("a", QUEUE).result(timeout=10)


@pytest.mark.parametrize("given", [0, -1, -1e300])
async def test_a_timeout_of_zero_or_less_makes_the_job_dead(app: App, store: Connection, given: float) -> None:
    @app.job(retry=Retry(strategy="none"))
    async def slow() -> None:
        await asyncio.sleep(60)

    payload = f'{{"v":1,"id":"a","name":"slow","queue":"{QUEUE}","args":{{}},"timeout":{given}}}'
    await enqueue_raw(store, payload.encode(), "a")
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="TimeoutError: ran longer than "):
        await app.handle("a", QUEUE).result(timeout=10)


async def test_a_job_with_an_unreadable_history_runs(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> int:
        return 1

    job = await noop.enqueue()
    await store.execute("HSET", keys.of_queue(QUEUE, "history"), job.id, b"nonsense")
    await run_until_idle(app)
    assert await job.result() == 1


# Replies that are lost, and draining


async def test_a_settlement_whose_reply_was_lost_is_sent_again_and_counts_once(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran = []
    async with App("shop", redis=valkey_url) as app:

        @app.job
        async def short() -> str:
            ran.append(1)
            return "short"

        async with working(app, lease=1) as worker:
            real = worker.parts.connection.call
            lost: list[Any] = []

            async def call(name: str, queue: str, arguments: Any) -> Any:
                reply = await real(name, queue, arguments)
                if name == "step" and arguments[6] and not lost:  # a step that settles a completed job
                    lost.append(arguments)
                    raise StoreUnavailableError("the reply was lost")
                return reply

            worker.parts.connection.call = call  # type: ignore[method-assign]
            job, (consumer,) = await short.enqueue(), worker.parts.consumers
            await until(lambda: bool(lost) and not worker.parts.outage.is_ongoing and not consumer.outbox)
            assert await job.result(timeout=5) == "short"
            assert (worker.metrics.stale, consumer.leases.attempts) == (0, {}), "a repeated settlement is not stale"
            assert "refused" not in caplog.text
        connection = connect(valkey_url)
        ledger_of_queue = (await ledger.read(connection, ["default"]))["default"]
        assert (len(ran), ledger_of_queue.completed, ledger_of_queue.lost) == (1, 1, 0)
        await connection.aclose()


async def test_a_worker_marked_as_draining_claims_no_job(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> None: ...

    async with working(app) as worker:
        await until(lambda: worker.metrics.steps > 0)
        await force_drain_locks(store, [QUEUE], [worker.id])
        job = await noop.enqueue()
        await until(lambda: worker.parts.dispatcher.is_draining)
        steps = worker.metrics.steps
        await until(lambda: worker.metrics.steps > steps)  # it has tried to claim again
        assert (await job.state(), worker.metrics.claimed) == (JobState.QUEUED, 0)
        await release_drain_locks(store, [QUEUE], worker.id)
        await job.result(timeout=5)
