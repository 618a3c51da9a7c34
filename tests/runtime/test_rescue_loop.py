"""A worker rescues leases, also those of its own claims that had no reply."""

from typing import Any

from jobpools import (
    App,
)
from jobpools.errors import StoreUnavailableError
from jobpools.store import ledger
from jobpools.store.connection import Connection
from tests.runtime.conftest import working
from tests.support.waiting import until

QUEUE = "default"


async def test_jobs_of_a_claim_without_a_reply_are_handed_back_uncharged(app: App, store: Connection) -> None:
    """The script ran and the connection broke: the jobs are leased to a worker that does not know it."""

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
                raise StoreUnavailableError("the reply was lost")
            return reply

        worker.parts.connection.call = call  # type: ignore[method-assign]
        jobs = await app.enqueue_many([noop.call() for _ in range(10)])
        for job in jobs:
            await job.result(timeout=10)
        assert lost
        assert worker.metrics.rescued == 0
    ledger_of_queue = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (ledger_of_queue.completed, ledger_of_queue.failed, ledger_of_queue.lost) == (10, 0, 0)
