"""What stands around attempts: services, middleware, heartbeats, priorities."""

import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from jobpools import App, ConfigurationError, Context, JobDeadError, Next, Retry
from jobpools.core.jobs.policies import QueuePolicy
from jobpools.runtime import prefetch
from jobpools.runtime.services import Services
from jobpools.service import Service
from jobpools.store.connect import Connection
from jobpools.store.endpoint_facts import read_workers
from jobpools.testing import context, run_until_idle
from tests.runtime.conftest import working
from tests.support.waiting import until

# Services


async def test_services_close_in_the_opposite_order_also_when_one_does_not_open() -> None:
    calls: list[str] = []

    async def first() -> AsyncIterator[str]:
        calls.append("first opens")
        yield "1"
        calls.append("first closes")

    def second() -> Iterator[str]:
        calls.append("second opens")
        yield "2"
        calls.append("second closes")

    async def third() -> AsyncIterator[str]:
        if calls:
            raise OSError("no\nroute")
        yield "3"

    services, declared = Services(), [Service(first), Service(second)]
    await services.start(declared)
    assert [services.get(service) for service in declared] == ["1", "2"]
    await services.stop()
    assert calls == ["first opens", "second opens", "second closes", "first closes"]
    calls.clear()
    says = r"service third does not open: OSError: no route \(.*test_around\.py:\d+\); the worker does not .*"
    with pytest.raises(ConfigurationError, match=f"^{says}$"):
        await services.start([*declared, Service(third)])
    assert calls == ["first opens", "second opens", "second closes", "first closes"]


def test_a_service_is_a_generator_function_and_must_be_declared() -> None:
    def plain() -> Any:
        return 1

    def undeclared() -> Iterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="service plain: not a generator function"):
        Service(plain)
    with pytest.raises(ConfigurationError, match=r"service undeclared is not open: declare it with @app\.service"):
        context().service(Service(undeclared))


# Middleware


async def test_middleware_nests_sees_errors_and_may_turn_them_into_results(app: App) -> None:
    calls: list[str] = []

    @app.middleware
    async def outer(ctx: Context, call_next: Next) -> Any:
        calls.append("outer")
        try:
            return await call_next()
        except KeyError:
            return f"{ctx.name} was saved"

    @app.middleware
    async def inner(ctx: Context, call_next: Next) -> Any:
        calls.append(f"inner {ctx.attempt}")
        return await call_next()

    @app.job(retry=Retry(strategy="none"))
    async def lookup(key: str) -> str:
        return {"a": "found"}[key]

    @app.job(retry=Retry(strategy="none"))
    def broken() -> None:
        raise ValueError("in a thread")

    good, saved, bad = await lookup.enqueue("a"), await lookup.enqueue("b"), await broken.enqueue()
    await run_until_idle(app)
    assert calls == ["outer", "inner 1"] * 3
    assert (await good.result(), await saved.result()) == ("found", "lookup was saved")
    with pytest.raises(JobDeadError, match="ValueError: in a thread"):
        await bad.result()


async def test_a_middleware_that_forgets_the_rest_completes_nothing(app: App) -> None:
    """Once it was `return None`, and the job completed with null."""
    ran: list[str] = []

    @app.middleware
    async def outer(_ctx: Context, call_next: Next) -> Any:
        return await call_next()

    @app.middleware
    async def forgetful(ctx: Context, call_next: Next) -> Any:
        return await call_next() if ctx.name == "right" else "done"

    @app.job(retry=Retry(strategy="none"))
    async def work() -> None:
        ran.append("work")

    @app.job
    async def right() -> str:
        return "right"

    left_out, right_one = await work.enqueue(), await right.enqueue()
    await run_until_idle(app)
    says = r"middleware forgetful returned without awaiting call_next\(\), so the handler did not run"
    with pytest.raises(JobDeadError, match=says):
        await left_out.result()
    assert not ran
    assert await right_one.result() == "right"


async def test_a_call_that_is_not_awaited_is_none(app: App) -> None:
    @app.middleware
    async def forgetful(_ctx: Context, call_next: Next) -> Any:
        with warnings.catch_warnings(action="ignore"):  # Python's own word on it
            call_next()

    @app.job(retry=Retry(strategy="none"))
    async def work() -> None: ...

    job = await work.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="the handler did not run"):
        await job.result()


def test_a_middleware_takes_the_context_and_the_rest(app: App) -> None:
    async def lonely(ctx: Context) -> Any: ...

    with pytest.raises(ConfigurationError, match=r"middleware lonely: .*; write async def lonely\(ctx, call_next\)"):
        app.middleware(lonely)  # type: ignore[arg-type]  # that is the mistake
    with pytest.raises(ConfigurationError, match=r"@app\.middleware: 7 is not a function"):
        app.middleware(7)  # type: ignore[arg-type]  # that is the mistake


# Heartbeats


async def test_a_worker_is_listed_while_it_is_there(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> None: ...

    async with working(app, pool="shop/mail", concurrency=7) as worker:

        async def listed() -> Any:
            return await read_workers(store, "shop/mail", ["default"])

        while not await listed():  # its own task
            pass
        (found,) = await listed()
        assert (found.worker, found.slots, found.busy, found.draining) == (worker.id, 7, 0, False)
        assert found.idle_since is not None
        assert found.rss_bytes > 10_000_000
        await noop.enqueue()
        await until(lambda: worker.metrics.completed == 1)
    assert await listed() == ()


async def test_a_server_that_may_evict_jobs_is_logged(
    app: App, store: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    @app.job
    async def noop() -> None: ...

    await store.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        async with working(app):
            await until(lambda: "maxmemory-policy is allkeys-lru" in caplog.text)
    finally:
        await store.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")


# Priorities


async def test_by_weight_low_is_served_too_and_strictly_it_waits(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "PREFETCH_LIMIT", 0)
    order: list[str] = []

    @app.job
    async def note(what: str) -> None:
        order.append(what)

    async def served(policy: QueuePolicy) -> list[str]:
        order.clear()
        await app.enqueue_many([note.options(priority="low").call("low") for _ in range(200)])
        await app.enqueue_many([note.options(priority="high").call("high") for _ in range(200)])
        # One slot, and no prefetch: each claim is a draw of its own.
        async with working(app, queue=policy, concurrency=1) as worker:
            await until(lambda: worker.metrics.completed == 400)
        return order[:100]

    assert (await served(QueuePolicy.model_validate({"priority": "Strict"}))).count("low") == 0
    weights: dict[str, Any] = {"priority": "Weighted", "weights": {"high": 75, "normal": 1, "low": 25}}
    assert 5 < (await served(QueuePolicy.model_validate(weights))).count("low") < 60


async def test_by_weight_each_large_claim_is_shared(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a claim took all of one priority: a batch of low ones kept hundreds of high ones waiting."""
    monkeypatch.setattr(prefetch, "PREFETCH_LIMIT", 0)
    order: list[str] = []

    @app.job
    async def note(what: str) -> None:
        order.append(what)

    for what in ("low", "normal", "high"):
        await app.enqueue_many([note.options(priority=what).call(what) for _ in range(2000)])
    async with working(app, queue=QueuePolicy.model_validate({"priority": "Weighted"}), concurrency=160) as worker:
        # No prefetch: in one claim the high ones start first, and a count that ends inside one of 800 is off by 180.
        await until(lambda: worker.metrics.completed == 6000)
    assert Counter(order[:160]) == {"high": 100, "normal": 50, "low": 10}
    share = Counter(order[:3000])
    assert abs(share["high"] - 1875) < 100, share
    assert abs(share["low"] - 187) < 40, share
