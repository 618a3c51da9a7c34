"""A job from the decorator to its result."""

import pytest

from jobpools import App, ArgumentsError, Context, JobState
from jobpools.testing import run_until_idle
from tests.learn.shop import Order


async def test_a_decorated_function_runs_as_a_job_and_its_result_is_returned(app: App) -> None:
    @app.job
    async def greet(ctx: Context, name: str) -> str:
        return f"Hello {name}, this is attempt {ctx.attempt}"

    job = await greet.enqueue("Ada")
    await run_until_idle(app)

    assert await job.result() == "Hello Ada, this is attempt 1"
    assert await job.state() is JobState.COMPLETED


async def test_a_handler_without_a_context_parameter(app: App) -> None:
    @app.job
    async def add(a: int, b: int) -> int:
        return a + b

    job = await add.enqueue(2, b=3)
    await run_until_idle(app)
    assert await job.result() == 5


async def test_a_plain_function_runs_in_a_thread(app: App) -> None:
    @app.job
    def crunch(numbers: list[int]) -> int:
        return sum(numbers)

    job = await crunch.enqueue(numbers=[1, 2, 3])
    await run_until_idle(app)
    assert await job.result() == 6


async def test_arguments_have_the_types_of_the_signature(app: App) -> None:
    @app.job
    async def total(order: Order) -> Order:
        assert isinstance(order, Order)
        return order.model_copy(update={"paid": True})

    job = await total.enqueue(order=Order(id=7, items=["tea"]))
    await run_until_idle(app)
    assert await job.result() == Order(id=7, items=["tea"], paid=True)


async def test_wrong_arguments_are_refused_before_anything_is_written(app: App) -> None:
    @app.job(name="mail.confirm")
    async def confirm(order: Order) -> None: ...

    with pytest.raises(ArgumentsError, match=r"^mail\.confirm: order\.id: must be an integer$"):
        await confirm.enqueue(order={"id": "seven", "items": []})  # type: ignore[arg-type]  # wrong on purpose


async def test_a_job_is_enqueued_by_its_name(app: App) -> None:
    @app.job
    async def greet(name: str) -> str:
        return f"Hello {name}"

    job = await app.enqueue("greet", {"name": "Ada"})
    await run_until_idle(app)
    assert await job.result() == "Hello Ada"


async def test_many_jobs_are_enqueued_in_few_round_trips(app: App) -> None:
    @app.job
    async def square(n: int) -> int:
        return n * n

    jobs = await app.enqueue_many([square.call(n) for n in range(100)])
    await run_until_idle(app)
    assert [await job.result() for job in jobs] == [n * n for n in range(100)]


async def test_a_handler_can_be_called_as_a_function(app: App) -> None:
    @app.job
    async def double(n: int) -> int:
        return 2 * n

    assert await double(4) == 8
