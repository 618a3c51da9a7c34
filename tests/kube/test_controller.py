"""On which endpoint the controller places objects, and what it forgets. Cluster, Secrets and endpoints are fakes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from jobpools.core.conditions import condition
from jobpools.core.decision import Decision
from jobpools.core.objects import Meta, SecretKeyRef
from jobpools.core.pools.facts import PoolFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import plan_pool
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.core.reasons import SharedReason
from jobpools.errors import ConfigurationError, ObservationError
from jobpools_operator.controller import Controller
from jobpools_operator.endpoint import Endpoint, Endpoints
from jobpools_operator.handlers.resync import resync
from jobpools_operator.http_routes import Sources, routes
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.kube.client import Api
from jobpools_operator.kube.events import EventRecorder
from jobpools_operator.kube.leadership import Leadership
from jobpools_operator.kube.rate_limit import TokenBucket
from jobpools_operator.placement import RedisUrls
from jobpools_operator.reporter import Counters, Reporter
from jobpools_operator.statuses import Statuses
from tests.support.waiting import until

EMAILS = ObjectId(Kind.POOL, "default/emails")
SECRET = {"secretKeyRef": {"name": "dsn", "key": "url"}}


def pool(uid: str = "1", **spec: Any) -> Pool:
    base = {"image": "shop:1", "app": "shop:app", "queues": ["emails"]}
    return Pool(meta=Meta(name="emails", uid=uid, generation=1), spec=PoolSpec.model_validate(base | spec))


class FakeCluster:
    """Records which URL each pool's workers are to use."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.changes: asyncio.Queue[set[str]] = asyncio.Queue()
        self.is_listed, self.scalings = True, 0

    async def wait_until_listed(self) -> None:
        pass

    async def next_changes(self) -> set[str]:
        return await self.changes.get()

    def place(self, placed: Pool, url: str) -> None:
        self.urls[placed.meta.key] = url

    def forget(self, key: str) -> None:
        self.urls.pop(key, None)


class FakeSecrets:
    """One Secret, whose reader can be made to fail or to wait."""

    def __init__(self) -> None:
        self.url, self.requested, self.readable = "redis://secret", asyncio.Event(), asyncio.Event()
        self.readable.set()

    async def value(self, _: str, ref: SecretKeyRef) -> str:
        self.requested.set()
        await self.readable.wait()
        if not self.url:
            raise ObservationError(f"Secret default/{ref.name}: not found")
        return self.url


class FakeEndpoint:
    """Records what is put on it, dropped from it and touched."""

    def __init__(self, url: str) -> None:
        if not url.startswith("redis://"):
            raise ConfigurationError(f"{url}: not a Redis URL")
        self.url = url
        self.objects: dict[str, Pool] = {}
        self.dropped: list[tuple[str, bool]] = []
        self.touched: list[str] = []

    def put(self, managed: Pool, _: object) -> None:
        self.objects[managed.meta.key] = managed

    def drop(self, managed: Pool, *, forget: bool) -> None:
        self.objects.pop(managed.meta.key)
        self.dropped.append((managed.meta.uid, forget))

    def has(self, managed: Pool) -> bool:
        return self.objects.get(managed.meta.key) == managed

    def touch(self, key: str) -> None:
        self.touched.append(key)

    @property
    def is_empty(self) -> bool:
        return not self.objects

    is_idle = is_empty

    async def run(self) -> None:
        await asyncio.Event().wait()


class Setup:
    """A controller and its fakes."""

    def __init__(self) -> None:
        self.cluster, self.secrets, self.statuses = FakeCluster(), FakeSecrets(), Statuses(time.monotonic)
        self.opened: dict[str, FakeEndpoint] = {}
        self.memories: dict[str, Memory] = {}
        urls = RedisUrls(self.secrets, "redis://default")
        endpoints = Endpoints(self._open, self.memories)
        self.controller = Controller(cast("Any", self.cluster), self.statuses, urls, endpoints, time.monotonic)

    def _open(self, url: str) -> Endpoint:
        self.opened[url] = FakeEndpoint(url)
        return cast("Endpoint", self.opened[url])

    async def placed(self, url: str) -> FakeEndpoint:
        """Wait until the pool is on this endpoint."""
        await until(lambda: url in self.opened and EMAILS.key in self.opened[url].objects)
        return self.opened[url]

    async def pending_status(self) -> dict[str, Any]:
        """Return the next status that is to be written, as written."""
        async with asyncio.timeout(10):
            write = self.statuses.begin_write(await self.statuses.next_due())
        assert write is not None
        self.statuses.end_write(write)
        return write.status

    @contextlib.asynccontextmanager
    async def term(self) -> AsyncIterator[None]:
        """Lead from here on, until the end of the block."""
        has_begun = asyncio.Event()

        async def begin() -> None:
            has_begun.set()

        task = asyncio.create_task(self.controller.lead([begin]))
        await has_begun.wait()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.fixture
def setup() -> Setup:
    return Setup()


async def test_objects_are_placed_only_while_the_operator_leads(setup: Setup) -> None:
    setup.controller.update(pool(), {})
    assert not setup.opened
    async with setup.term():
        await setup.placed("redis://default")
        assert setup.cluster.urls == {EMAILS.key: "redis://default"}
    assert not len(setup.controller.endpoints)
    setup.opened.clear()
    setup.controller.update(pool(uid="2"), {})
    assert not setup.opened
    async with setup.term():
        await setup.placed("redis://default")


async def test_an_object_that_moves_leaves_its_endpoint_which_is_then_closed(setup: Setup) -> None:
    async with setup.term():
        setup.controller.update(pool(), {})
        before = await setup.placed("redis://default")
        setup.controller.update(pool(redis={"url": "redis://own"}), {})
        await setup.placed("redis://own")
        assert before.dropped == [("1", True)]
        assert len(setup.controller.endpoints) == 1


async def test_a_pool_that_is_deleted_while_its_secret_is_read_is_not_placed(setup: Setup) -> None:
    async with setup.term():
        setup.secrets.readable.clear()
        setup.controller.update(pool(redis=SECRET), {})
        await setup.secrets.requested.wait()
        setup.controller.delete(EMAILS)
        setup.secrets.readable.set()
        await until(lambda: "redis://secret" in setup.opened)
        await until(lambda: not len(setup.controller.endpoints))
        assert not setup.opened["redis://secret"].objects


@pytest.mark.parametrize(("redis", "message"), [(SECRET, "not found"), ({"url": "http://x"}, "not a Redis URL")])
async def test_a_pool_whose_redis_is_not_known_reports_why(setup: Setup, redis: Any, message: str) -> None:
    setup.secrets.url = ""
    async with setup.term():
        setup.controller.update(pool(redis=redis), {})
        ready = condition(await setup.pending_status(), "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", SharedReason.REDIS_UNKNOWN)
    assert message in ready["message"]


async def test_a_pool_that_is_created_again_drops_everything_of_the_former_one(setup: Setup) -> None:
    async with setup.term():
        setup.controller.update(pool("1"), {"busy": 3})
        endpoint = await setup.placed("redis://default")
        setup.memories[EMAILS.key] = Memory()
        setup.controller.update(pool("2"), {})
        assert setup.memories == {}
        assert setup.statuses.reported(EMAILS) == {}
        again = await setup.placed("redis://default")
    assert endpoint.dropped == [("1", True)]
    assert again.objects[EMAILS.key].meta.uid == "2"


async def test_an_invalid_spec_is_reported_and_the_workers_stay(setup: Setup) -> None:
    invalid = Decision(False, SharedReason.INVALID_SPEC, "spec.queues: missing")
    async with setup.term():
        setup.controller.update(pool(), {})
        endpoint = await setup.placed("redis://default")
        setup.controller.reject(EMAILS, pool().meta, {}, invalid)
        assert endpoint.dropped == [("1", False)]
        assert condition(await setup.pending_status(), "Ready")["reason"] == SharedReason.INVALID_SPEC
        assert setup.cluster.urls, "its workers keep their Redis"
        assert setup.controller.registry.count_invalid() == 1
        setup.controller.update(pool(), {})
        await setup.placed("redis://default")
        assert setup.controller.registry.count_invalid() == 0


async def test_a_change_in_the_cluster_makes_the_pools_pass_due(setup: Setup) -> None:
    async with setup.term():
        setup.controller.update(pool(), {})
        endpoint = await setup.placed("redis://default")
        setup.cluster.changes.put_nowait({EMAILS.key, "default/unknown"})
        await until(lambda: endpoint.touched == [EMAILS.key])


async def test_the_resync_finds_objects_that_the_watch_has_missed(setup: Setup) -> None:
    metadata = {"name": "reports", "namespace": "default", "uid": "1", "generation": 1}
    valid = {"image": "shop:1", "app": "shop:app", "queues": ["reports"]}
    listed: list[list[dict[str, Any]]] = [[{"metadata": metadata, "spec": valid}], [{"metadata": metadata, "spec": {}}]]

    async def objects(_: Kind) -> list[dict[str, Any]]:
        return listed.pop(0)

    registry = setup.controller.registry
    setup.controller.update(pool(), {})
    await resync(setup.controller, Kind.POOL, objects)
    assert {object_id.name for object_id, _ in registry.items()} == {"reports"}
    metadata["generation"] = 2
    await resync(setup.controller, Kind.POOL, objects)
    assert (registry.count_valid(Kind.POOL), registry.count_invalid()) == (0, 1)
    listed.append([])
    await resync(setup.controller, Kind.POOL, objects)
    assert not list(registry.items()), "invalid objects are forgotten as well"


async def test_totals_still_count_pools_that_are_deleted(setup: Setup) -> None:
    api, clock, counters = Api(None), time.monotonic, Counters()
    events = EventRecorder(api, "a", TokenBucket(clock), clock)
    reporter = Reporter(setup.statuses, events, counters)
    setup.controller.update(pool(), {})
    plan = plan_pool(pool(), PoolFacts(None, None, None), Memory(), 1000, None)
    await reporter.report(pool(), replace(plan, misdeletions=2))
    setup.controller.delete(EMAILS)
    leadership = Leadership(api, "default", "operator", "a", clock)
    writer = cast("Any", type("Writer", (), {"writes": 0}))
    sources = Sources(setup.controller, leadership, cast("Any", setup.cluster), writer, counters)
    _, _, text = routes(sources)["/metrics"]()
    assert "\njobpools_operator_pools 0\n" in text
    assert "\njobpools_misdeletions_total 2\n" in text
