"""The control loop after an outage: leases have run out whose holders are alive, and get the time to renew them."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from jobpools.control import queues
from jobpools.core.jobs.job import JobState
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.errors import StoreUnavailableError
from jobpools.store import draws
from jobpools.store.connection import connect
from jobpools.store.enqueue import Sending, enqueue_jobs
from jobpools.store.envelope import Envelope, encode_envelope
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import claim_suffix
from jobpools.store.step import settle_and_claim
from tests.support.servers import running, valkey_binary

POOL = Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate({"app": "shop:app", "queues": ["emails"]}))


async def test_no_lease_is_rescued_before_living_workers_can_renew(tmp_path: Path) -> None:
    now = 1000.0
    with running(valkey_binary(), tmp_path) as server:
        async with aclosing(connect(server.url)) as connection:
            found = queues.StoreQueues(connection, "operator", lambda: now)
            job_id = draws.fresh_id()
            envelope = Envelope(1, job_id, "send", "emails", msgspec.Raw(b"{}"))
            await enqueue_jobs(connection, [Sending(envelope, encode_envelope(envelope), None)])
            await settle_and_claim(
                connection, "emails", "host.1", claim=1, lease_suffix=claim_suffix("host.1", 1), lease_ms=1
            )
            await found.observe([POOL])
            server.kill()
            with pytest.raises(StoreUnavailableError):
                await found.observe([POOL])
            await asyncio.to_thread(server.start)  # which takes longer than the lease
            await found.observe([POOL])

            now += queues.RENEWAL_GRACE - 0.1
            assert await found.maintain(POOL) == 0
            view = await read_job(connection, "emails", job_id)
            assert view is not None
            assert (view.state, view.worker) == (JobState.RUNNING, "host.1")

            now += 0.1  # the time to renew it is over as well
            assert await found.maintain(POOL) == 1
            view = await read_job(connection, "emails", job_id)
            assert view is not None
            assert view.history.crashes == 1
