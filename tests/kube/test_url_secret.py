"""The Secret of a namespace with many pools: its requests, its owners and users' edits. A real API server."""

import asyncio
import base64
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool
from jobpools_operator.kube.client import Api, ApiError, Object
from jobpools_operator.kube.manifests import MANAGER, REDIS_SECRET
from jobpools_operator.kube.url_secret import FORMER_MANAGER_PREFIX, MAX_OWNERS, ForeignSecretError, UrlSecrets
from tests.cluster.kubectl import Kubectl
from tests.kube.test_operator import pool
from tests.support.waiting import until

pytestmark = pytest.mark.api

URL, OTHER = "redis://:word@first/0", "redis://:word@second/0"


class CountingApi(Api):
    """Counts the requests that keep a Secret in place, by HTTP method."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.requests: Counter[str] = Counter()

    async def get(self, path: str, **query: Any) -> Object:
        self.requests["GET"] += 1
        return await super().get(path, **query)

    async def merge(self, path: str, body: Object, manager: str) -> Object:
        self.requests["PATCH"] += 1
        return await super().merge(path, body, manager)

    async def apply(self, path: str, body: Object, manager: str) -> Object:
        self.requests["PATCH"] += 1
        return await super().apply(path, body, manager)


@pytest.fixture
async def counting(api_server: Path) -> AsyncIterator[CountingApi]:  # noqa: ARG001  # it must run first
    made = await CountingApi.connect()
    yield made
    await made.close()


Start = Callable[[], UrlSecrets]


@pytest.fixture
async def start(counting: CountingApi) -> AsyncIterator[Start]:
    """`start()` starts the part of an operator that keeps the Secrets, in a new term."""
    tasks: list[asyncio.Task[None]] = []

    def begin() -> UrlSecrets:
        made = UrlSecrets(counting, time.monotonic)
        tasks.append(asyncio.create_task(made.run()))
        return made

    yield begin
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def create(kubectl: Kubectl, count: int) -> list[Pool]:
    """Create pools and return them: Kubernetes deletes objects whose owners do not exist."""
    kubectl.apply(*(pool(f"many-{number:03d}") for number in range(count)))
    return [
        Pool.model_validate(
            {
                "meta": Meta(name=each["metadata"]["name"], namespace=kubectl.namespace, uid=each["metadata"]["uid"]),
                "spec": each["spec"],
            }
        )
        for each in kubectl.list("workerpools")
    ]


def read(kubectl: Kubectl) -> Object:
    text = kubectl.run("get", "secret", REDIS_SECRET, "-o", "json", "--show-managed-fields", "--ignore-not-found")
    found: Object = json.loads(text) if text else {"metadata": {}, "data": {}}
    return found


def url_of(found: Object) -> str:
    return base64.b64decode(found["data"].get("url", "")).decode()


def owners(found: Object) -> set[str]:
    return {each["name"] for each in found["metadata"].get("ownerReferences", ())}


def managers(found: Object) -> set[str]:
    return {each["manager"] for each in found["metadata"].get("managedFields", ())}


async def ensure_all(secrets: UrlSecrets, pools: list[Pool], url: str = URL) -> list[BaseException | None]:
    for each in pools:
        secrets.need(each, url)
    return await asyncio.gather(*map(secrets.ensure, pools), return_exceptions=True)


async def test_many_pools_share_one_read_and_one_write(start: Start, counting: CountingApi, kubectl: Kubectl) -> None:
    pools = create(kubectl, 40)
    assert await ensure_all(start(), pools) == [None] * len(pools)
    assert counting.requests == {"GET": 1, "PATCH": 1}
    found = read(kubectl)
    assert (url_of(found), managers(found), len(owners(found))) == (URL, {MANAGER}, MAX_OWNERS)


async def test_a_new_term_reads_once_and_writes_nothing(start: Start, counting: CountingApi, kubectl: Kubectl) -> None:
    pools = create(kubectl, 10)
    await ensure_all(start(), pools)
    counting.requests.clear()
    await ensure_all(start(), pools)
    assert counting.requests == {"GET": 1}


async def test_another_url_is_written_once(start: Start, counting: CountingApi, kubectl: Kubectl) -> None:
    pools = create(kubectl, 10)
    await ensure_all(start(), pools)
    counting.requests.clear()
    await ensure_all(start(), pools, OTHER)
    assert counting.requests == {"GET": 1, "PATCH": 1}
    assert url_of(read(kubectl)) == OTHER


async def test_owners_and_managers_of_former_versions_are_removed_once(
    start: Start, counting: CountingApi, kubectl: Kubectl
) -> None:
    """Former versions wrote the Secret once for each pool, each time with another manager and owner."""
    pools = create(kubectl, 12)
    for each in pools:
        meta = {"apiVersion": "jobpools.dev/v1", "kind": "WorkerPool", "name": each.meta.name, "uid": each.meta.uid}
        former = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": REDIS_SECRET,
                "labels": {"app.kubernetes.io/managed-by": "jobpools"},
                "ownerReferences": [meta | {"controller": False}],
            },
            "data": {"url": base64.b64encode(URL.encode()).decode()},
        }
        manager = f"--field-manager={FORMER_MANAGER_PREFIX}{each.meta.name}"
        kubectl.run("apply", "--server-side", manager, "-f", "-", stdin=json.dumps(former))
    kubectl.run("label", "secret", REDIS_SECRET, "team=theirs")
    assert len(owners(read(kubectl))) == len(pools)
    await ensure_all(start(), pools)
    found = read(kubectl)
    assert len(owners(found)) == MAX_OWNERS
    assert managers(found) == {MANAGER, "kubectl-label"}
    assert found["metadata"]["labels"]["team"] == "theirs"
    counting.requests.clear()
    await ensure_all(start(), pools)
    assert counting.requests == {"GET": 1}, "nothing is left to remove"


@pytest.mark.parametrize(
    "edit",
    [
        ("patch", "secret", REDIS_SECRET, '--patch={"stringData":{"url":"theirs"}}'),
        ("label", "secret", REDIS_SECRET, "app.kubernetes.io/managed-by-"),
        ("patch", "secret", REDIS_SECRET, '--patch={"metadata":{"ownerReferences":null}}', "--type=merge"),
        ("patch", "secret", REDIS_SECRET, '--patch={"metadata":{"managedFields":[{}]}}', "--type=merge"),
        ("delete", "secret", REDIS_SECRET),
    ],
    ids=("url", "label", "owners", "managers", "deleted"),
)
async def test_a_users_edit_of_the_secret_is_corrected(start: Start, kubectl: Kubectl, edit: tuple[str, ...]) -> None:
    pools = create(kubectl, 2)
    secrets = start()
    await ensure_all(secrets, pools)
    kubectl.run(*edit)
    secrets.check_soon(kubectl.namespace)

    def right() -> bool:
        found = read(kubectl)
        labels = found["metadata"].get("labels", {})
        return (url_of(found), owners(found), labels) == (
            URL,
            {each.meta.name for each in pools},
            {"app.kubernetes.io/managed-by": MANAGER},
        )

    await until(right)


async def test_a_secret_of_another_owner_costs_one_request_and_is_not_changed(
    start: Start, counting: CountingApi, kubectl: Kubectl
) -> None:
    pools = create(kubectl, 20)
    kubectl.run("create", "secret", "generic", REDIS_SECRET, "--from-literal=url=theirs")
    secrets = start()
    errors = await ensure_all(secrets, pools)
    assert {type(error) for error in errors} == {ForeignSecretError}
    assert counting.requests == {"GET": 1}
    assert "not created by jobpools" in secrets.problem(kubectl.namespace)
    assert url_of(read(kubectl)) == "theirs"
    kubectl.run("delete", "secret", REDIS_SECRET)
    await until(lambda: url_of(read(kubectl)) == URL)
    assert not secrets.problem(kubectl.namespace)


async def test_other_pools_take_over_from_owners_that_are_deleted(start: Start, kubectl: Kubectl) -> None:
    pools = create(kubectl, 8)
    secrets = start()
    await ensure_all(secrets, pools)
    gone = owners(read(kubectl))
    kubectl.run("delete", "workerpool", *gone)
    for each in pools:
        if each.meta.name in gone:
            secrets.forget(each.meta.key)
    left = {each.meta.name for each in pools} - gone
    await until(lambda: len(owners(read(kubectl)) & left) == MAX_OWNERS and not owners(read(kubectl)) & gone)
    assert url_of(read(kubectl)) == URL
    kubectl.run("delete", "workerpool", *left)
    for each in pools:
        secrets.forget(each.meta.key)
    await until(lambda: not url_of(read(kubectl)))


async def test_a_namespace_that_is_being_deleted_is_not_tried_again(
    start: Start, counting: CountingApi, kubectl: Kubectl
) -> None:
    pools = create(kubectl, 3)
    kubectl.run("patch", "workerpool", "many-000", '--patch={"metadata":{"finalizers":["test/wait"]}}', "--type=merge")
    kubectl.run("delete", "namespace", kubectl.namespace, "--wait=false")
    try:
        (first, *_) = await ensure_all(start(), pools)
        assert isinstance(first, ApiError)
        assert first.is_namespace_terminating
        assert counting.requests == {"GET": 1, "PATCH": 1}
    finally:
        kubectl.run("patch", "workerpool", "many-000", '--patch={"metadata":{"finalizers":null}}', "--type=merge")
