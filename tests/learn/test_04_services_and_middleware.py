"""Services, which a worker opens once, and middleware, which runs around every attempt."""

import contextvars
from collections.abc import AsyncIterator, Iterator
from typing import Any

from jobpools import App, Context, Next
from jobpools.testing import context, run_until_idle

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="anonymous")


class Mailer:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closed = False


async def test_a_service_is_opened_once_and_closed_at_the_end(app: App) -> None:
    mailers: list[Mailer] = []

    @app.service
    async def mailer() -> AsyncIterator[Mailer]:
        mailers.append(Mailer())
        yield mailers[-1]
        mailers[-1].closed = True

    @app.job
    async def send(ctx: Context, to: str) -> None:
        ctx.service(mailer).sent.append(to)

    await app.enqueue_many([send.call("ada"), send.call("grace")])
    await run_until_idle(app)
    assert [(sorted(one.sent), one.closed) for one in mailers] == [(["ada", "grace"], True)]


async def test_a_plain_generator_function_can_be_a_service(app: App) -> None:
    @app.service
    def settings() -> Iterator[dict[str, str]]:
        yield {"currency": "EUR"}

    @app.job
    def currency(ctx: Context) -> str:
        return ctx.service(settings)["currency"]

    job = await currency.enqueue()
    await run_until_idle(app)
    assert await job.result() == "EUR"


async def test_middleware_surrounds_every_attempt(app: App) -> None:
    events: list[str] = []

    @app.middleware
    async def record(ctx: Context, call_next: Next) -> Any:
        events.append(f"before {ctx.name}")
        result = await call_next()
        events.append(f"after {ctx.name}: {result}")
        return result

    @app.job
    async def one() -> int:
        events.append("one")
        return 1

    await one.enqueue()
    await run_until_idle(app)
    assert events == ["before one", "one", "after one: 1"]


async def test_context_variables_do_not_leak_between_jobs(app: App) -> None:
    @app.job
    async def who(name: str | None = None) -> str:
        if name:
            user.set(name)
        return user.get()

    first = await who.enqueue("ada")
    second = await who.enqueue()
    await run_until_idle(app, concurrency=1)
    assert (await first.result(), await second.result()) == ("ada", "anonymous")


async def test_a_handler_can_be_tested_without_a_worker() -> None:
    app = App("alone")

    @app.job
    async def attempt(ctx: Context) -> int:
        return ctx.attempt

    assert await attempt(context(attempt=2)) == 2
