"""A worker in this process, on a real Valkey, and a way to wait for what it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobpools import App
from jobpools.core.jobs.policies import QueueRef
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from jobpools.store.connection import Connection, connect


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("shop", redis=valkey_url) as app:
        yield app


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Connection]:
    connection = connect(valkey_url)
    yield connection
    await connection.aclose()


@asynccontextmanager
async def working(app: App, *queues: str, **settings: Any) -> AsyncIterator[Worker]:
    """Run the app's jobs in a worker until the block ends; then the worker drains."""
    values = {"redis_url": app.client.url, "worker": "host", "grace": 5.0} | settings
    if queues:
        values["queues"] = tuple(QueueRef(name=queue) for queue in queues)
    worker = Worker(app, WorkerSettings(**values))
    async with running(worker):
        yield worker


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    """Run a worker until the block ends; then it drains."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        assert await task == 0
