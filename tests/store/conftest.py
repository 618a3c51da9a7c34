"""Connections to an empty Valkey, and jobs to send through them."""

from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest
from redis import Redis

from jobpools.store.connection import Connection, connect
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope, encode_envelope
from jobpools.store.sync_connection import SyncConnection, connect_sync

QUEUE = "emails"


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Connection]:
    made = connect(valkey_url)
    yield made
    await made.aclose()


@pytest.fixture
def sync_store(valkey_url: str) -> Iterator[SyncConnection]:
    made = connect_sync(valkey_url)
    yield made
    made.close()


@pytest.fixture
def raw(valkey_url: str) -> Iterator[Redis]:
    """A plain client of the same server."""
    with Redis.from_url(valkey_url) as made:
        yield made


def sending(
    job_id: str,
    priority: str = "normal",
    due: float | None = None,
    queue: str = QUEUE,
    enqueued: float | None = 1.0,
    delay: float = 0.0,
) -> Sending:
    """Return a job to send, with this id."""
    envelope = Envelope(ENVELOPE_VERSION, job_id, "send", queue, msgspec.Raw(b"{}"), priority)
    envelope.enqueued = enqueued
    return Sending(envelope, encode_envelope(envelope), due, delay)


Send = Callable[..., Sending]


@pytest.fixture
def job() -> Send:
    return sending
