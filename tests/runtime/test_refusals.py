"""What a worker cannot run, must not run, or could not get: never dropped, never charged for nothing, always said."""

import asyncio
import logging
import time
from typing import Any

import msgspec
import pytest

from jobpools import (
    App,
    Client,
    ConfigurationError,
    Context,
    JobDeadError,
    JobNotFoundError,
    JobState,
    PayloadTooLargeError,
    Retry,
)
from jobpools.errors import StoreUnavailableError
from jobpools.options import Options
from jobpools.runtime.outage import BACKOFF
from jobpools.store import keys, ledger
from jobpools.store.connect import Connection
from jobpools.store.drain_locks import force_drain_locks, release_drain_locks
from jobpools.store.draws import fresh_id
from jobpools.store.enqueue import Sending, enqueue_jobs
from jobpools.store.envelope import Envelope
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from jobpools.testing import run_until_idle
from tests.runtime.conftest import working
from tests.support.waiting import until

QUEUE = "default"


async def raw(store: Connection, payload: bytes, job_id: str) -> None:
    """A job of whatever bytes, as a client of another language and version might send it."""
    await enqueue_jobs(store, [Sending(Envelope(1, job_id, "?", QUEUE, msgspec.Raw(b"{}")), payload, None)])


async def view(store: Connection, job_id: str, queue: str = QUEUE) -> JobView:
    found = await read_job(store, queue, job_id)
    assert found is not None
    return found


async def make_due(store: Connection) -> None:
    """As if the time had passed for which a job was left to others."""
    place = keys.of_queue(QUEUE, "scheduled:normal")
    for job_id in await store.execute("ZRANGE", place, 0, -1):
        await store.execute("ZADD", place, 1, job_id)


async def test_a_job_that_no_worker_knows_waits_visibly_uncharged_for_one_that_does(
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
    assert found.history.note == "no job 'mail.send' in the app of the workers of queue default"
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
        (b'{"v":2,"id":"%b","shape":"new"}', "the envelope has version 2, this jobpools reads up to 1: upgrade"),
        (b"\x80\x04 a pickle", "not an envelope: "),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"priority":"urgent"}', "is not a priority"),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"retry":{"maxAttempts":0}}', "not an envelope: "),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"retry":{"max":1e300}}', "from 0 to 36500d"),
        (b'{"v":1,"id":"%b","name":"noop","queue":"default","args":{},"ttl":NaN}', "not an envelope: "),
    ],
    ids=["newer", "pickle", "priority", "retry", "ages", "no number"],
)  # fmt: skip
async def test_an_envelope_that_it_cannot_read_is_left_as_it_is(
    app: App, store: Connection, payload: bytes, note: str
) -> None:
    @app.job
    async def noop() -> None: ...

    job_id = fresh_id()
    payload = payload.replace(b"%b", job_id.encode())
    await raw(store, payload, job_id)
    good = await noop.enqueue()
    await run_until_idle(app)
    assert await good.state() is JobState.COMPLETED, "the worker goes on"
    found = await view(store, job_id)
    assert (found.state, found.history.attempts) == (JobState.SCHEDULED, 0)
    assert note in found.history.note
    assert await store.execute("HGET", keys.of_queue(QUEUE, "jobs"), job_id) == payload


@pytest.mark.parametrize(
    "said",
    ['"ttl":1e300', '"ttl":1e17', '"timeout":1e300', '"enqueued":1e300', '"enqueued":-1e300', '"max_crashes":-1'],
)
async def test_numbers_beyond_all_reason_do_no_harm(app: App, store: Connection, said: str) -> None:
    """Once a ttl of 1e300 was in the past, and the result forgotten at once."""

    @app.job
    async def answer(ctx: Context) -> int:
        return 42 if ctx.enqueued_at < time.time() + 60 else 0

    job_id = "of-another-language"
    payload = f'{{"v":1,"id":"{job_id}","name":"answer","queue":"{QUEUE}","args":{{}},{said}}}'
    await raw(store, payload.encode(), job_id)
    await run_until_idle(app)
    assert await app.handle(job_id, QUEUE).result(timeout=10) == 42
    assert await view(store, job_id) is not None


@pytest.mark.parametrize("ttl", [-5, -1e300])
async def test_a_ttl_below_nothing_is_nothing(app: App, store: Connection, ttl: float) -> None:
    @app.job
    async def answer() -> int:
        return 42

    payload = f'{{"v":1,"id":"a","name":"answer","queue":"{QUEUE}","args":{{}},"ttl":{ttl}}}'
    await raw(store, payload.encode(), "a")
    worker = await run_until_idle(app)
    assert worker.metrics.completed == 1
    with pytest.raises(JobNotFoundError):
        await app.handle("a", QUEUE).result(timeout=10)


@pytest.mark.parametrize("given", [0, -1, -1e300])
async def test_a_timeout_that_leaves_no_time_is_a_dead_letter(app: App, store: Connection, given: float) -> None:
    @app.job(retry=Retry(strategy="none"))
    async def slow() -> None:
        await asyncio.sleep(60)

    payload = f'{{"v":1,"id":"a","name":"slow","queue":"{QUEUE}","args":{{}},"timeout":{given}}}'
    await raw(store, payload.encode(), "a")
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="TimeoutError: ran longer than "):
        await app.handle("a", QUEUE).result(timeout=10)


async def test_a_history_that_cannot_be_read_does_not_stop_the_job(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> int:
        return 1

    job = await noop.enqueue()
    await store.execute("HSET", keys.of_queue(QUEUE, "history"), job.id, b"nonsense")
    await run_until_idle(app)
    assert await job.result() == 1


@pytest.mark.parametrize("args", [{"name": 7}, {}, {"name": "ada", "nme": 1}])
async def test_arguments_that_do_not_fit_the_handler_end_the_job_at_once(app: App, args: dict[str, Any]) -> None:
    @app.job
    async def greet(name: str) -> None: ...

    sender = Client(app.client.url)  # of another version of the code
    job = await sender.enqueue(sender.call_json("greet", args, Options(queue=QUEUE)))
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match=r"dead after 1 attempt: jobpools\.errors\.ArgumentsError: greet: n"):
        await job.result()
    await sender.aclose()


async def test_a_result_that_is_too_large_or_no_json_ends_the_job_without_another_run(app: App) -> None:
    runs: list[str] = []

    @app.job
    async def large() -> str:
        runs.append("large")
        return "x" * 3000

    @app.job
    async def strange() -> Any:
        runs.append("strange")
        return object()

    @app.job(result_ttl=0)
    async def unread() -> str:
        runs.append("unread")
        return "x" * 3000

    jobs = [await large.enqueue(), await strange.enqueue(), await unread.enqueue()]
    async with working(app, max_payload=2000) as worker:
        await until(lambda: worker.metrics.completed + worker.metrics.failed == 3)
        await until(lambda: not worker.parts.consumers[0].leases.attempts)
    with pytest.raises(JobDeadError, match="the result takes 3002 bytes, more than 2000: return a reference to it"):
        await jobs[0].result()
    with pytest.raises(JobDeadError, match="the result of strange is not JSON"):
        await jobs[1].result()
    assert sorted(runs) == ["large", "strange", "unread"]


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [MuteError(), FileNotFoundError("caf\udce9.csv")])
async def test_whatever_a_handler_raises_ends_its_attempt_and_not_the_worker(app: App, error: Exception) -> None:
    @app.job(retry=Retry(strategy="none"))
    async def fail() -> None:
        raise error

    @app.job
    async def noop() -> None: ...

    async with working(app):
        job = await fail.enqueue()
        with pytest.raises(JobDeadError, match=type(error).__name__):
            await job.result(timeout=5)
        await (await noop.enqueue()).result(timeout=5)


async def test_a_payload_over_the_limit_is_refused_and_nothing_is_written(valkey_url: str, store: Connection) -> None:
    async with App("shop", redis=valkey_url, max_payload=2000) as app:

        @app.job
        async def load(text: str) -> None: ...

        with pytest.raises(PayloadTooLargeError, match=r"^load: the encoded job takes \d+ bytes, more than 2000"):
            await load.enqueue("x" * 2000)
        with pytest.raises(PayloadTooLargeError):
            await app.enqueue_many([load.call("fits"), load.call("x" * 2000)])
        assert await store.execute("DBSIZE") == 0
        await load.enqueue("x" * 1700)


async def test_a_retry_function_cannot_be_sent_with_a_job(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> None: ...

    with pytest.raises(ConfigurationError, match=r"^noop: a retry function cannot be sent with a job"):
        await noop.options(retry=Retry(function=lambda _attempt, _error: 1.0)).enqueue()
    assert await store.execute("DBSIZE") == 0


@pytest.mark.parametrize("part", ["ready:normal", "leases", "wake", "history", "cancelling"])
async def test_a_key_of_another_type_is_said_once_and_the_other_queues_go_on(
    app: App, store: Connection, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    @app.job(queue="good")
    async def noop() -> None: ...

    caplog.set_level(logging.INFO)
    name = keys.of_queue("broken", part)
    await store.execute("SET", name, "mine")
    waiting = await noop.options(queue="broken").enqueue() if part in ("leases", "history", "cancelling") else None
    async with working(app, "broken", "good", lease=1) as worker:
        for _ in range(3):
            await (await noop.enqueue()).result(timeout=2)
        await until(lambda: worker.parts.consumers[0].errors.is_failing)
        # The backoff grows when the worker has tried again.
        await until(lambda: (worker.parts.consumers[0].errors.retry_in or 0.0) > 1.5 * BACKOFF.initial)
        await (await noop.enqueue()).result(timeout=2)
        assert not worker.parts.outage.is_ongoing
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(said) == 1
        assert said[0].startswith(f"queue broken: key {name} is a string, not a {keys.kind(part)}: something else uses")
        await store.execute("DEL", name)
        job = waiting or await noop.options(queue="broken").enqueue()
        await job.result(timeout=8)
    assert (await ledger.read(store, ["broken"]))["broken"].lost == 0


async def test_a_claim_whose_answer_was_lost_is_handed_back_uncharged(app: App, store: Connection) -> None:
    """The script ran, the connection broke: its jobs are leased to a worker that does not know of them."""

    @app.job
    async def noop() -> None: ...

    async with working(app, lease=4, concurrency=10) as worker:
        await until(lambda: worker.metrics.steps > 0)
        real = worker.parts.connection.call
        lost: list[bytes] = []

        async def call(name: str, queue: str, arguments: Any) -> Any:
            reply = await real(name, queue, arguments)
            if name == "step" and reply[0] and not lost:
                lost.extend(reply[0])
                raise StoreUnavailableError("the answer was lost")
            return reply

        worker.parts.connection.call = call  # type: ignore[method-assign]
        jobs = await app.enqueue_many([noop.call() for _ in range(10)])
        for job in jobs:
            await job.result(timeout=10)
        assert lost
        assert worker.metrics.rescued == 0
    ledger_of_queue = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (ledger_of_queue.completed, ledger_of_queue.failed, ledger_of_queue.lost) == (10, 0, 0)


async def test_a_worker_that_may_not_claim_claims_nothing_until_it_may_again(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> None: ...

    async with working(app) as worker:
        await until(lambda: worker.metrics.steps > 0)
        await force_drain_locks(store, [QUEUE], [worker.id])
        job = await noop.enqueue()
        await until(lambda: worker.parts.dispatcher.is_draining)
        steps = worker.metrics.steps
        await until(lambda: worker.metrics.steps > steps)  # it has asked again
        assert (await job.state(), worker.metrics.claimed) == (JobState.QUEUED, 0)
        await release_drain_locks(store, [QUEUE], worker.id)
        await job.result(timeout=5)


async def test_one_worker_serves_more_queues_than_it_may_have_connections(app: App) -> None:
    names = [f"queue-{n}" for n in range(100)]

    @app.job
    async def where(name: str) -> str:
        return name

    async with working(app, *names) as worker:
        await until(lambda: worker.metrics.steps >= len(names))
        for name in (names[0], names[99], names[50]):
            job = await where.options(queue=name).enqueue(name)
            assert await job.result(timeout=2) == name, "woken, not found by chance"
        assert not worker.parts.outage.is_ongoing
