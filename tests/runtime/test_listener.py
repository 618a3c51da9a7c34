"""An idle worker waits for the wake-ups of all its queues."""

from jobpools import (
    App,
)
from tests.runtime.conftest import working
from tests.support.waiting import until


async def test_one_worker_is_woken_for_more_queues_than_it_has_connections(app: App) -> None:
    names = [f"queue-{n}" for n in range(100)]

    @app.job
    async def where(name: str) -> str:
        return name

    async with working(app, *names) as worker:
        await until(lambda: worker.metrics.steps >= len(names))
        for name in (names[0], names[99], names[50]):
            job = await where.options(queue=name).enqueue(name)
            assert await job.result(timeout=2) == name, "woken, not found by a periodic check"
        assert not worker.parts.outage.is_ongoing
