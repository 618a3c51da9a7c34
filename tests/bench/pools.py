"""Measure how long new pools take until they are ready, and how soon another pool reacts meanwhile.

`python -m tests.bench.pools --pools 300 [--namespaces 100] [--redis url]` on the API server of KUBECONFIG. It starts an
operator for all namespaces: use a separate control plane (hack/test-cluster.sh up --bare, with the CRDs of crds/).
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from jobpools import Client
from jobpools.options import Options
from jobpools_operator.kube.client import APPS_API, CRD_API, Api, Object, path_of
from tests.cluster.kubectl import Kubectl
from tests.kube.processes import Operator, Valkey
from tests.support.waiting import eventually, until

HOME = "pools-bench"
LIMIT = 600.0
"""Maximum seconds to wait for one state."""


@dataclass
class Seen:
    """When each object was first seen in a state, in seconds by the monotonic clock."""

    deployments: dict[str, float] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    scaled: dict[str, float] = field(default_factory=dict)

    def pool(self, found: Object) -> None:
        conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", ())}
        if conditions.get("Ready", {}).get("status") == "True":
            self.ready.setdefault(name_of(found), time.monotonic())

    def deployment(self, found: Object) -> None:
        self.deployments.setdefault(name_of(found), time.monotonic())
        if found["spec"].get("replicas"):
            self.scaled.setdefault(name_of(found), time.monotonic())


def name_of(found: Object) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def pool(name: str, redis: str) -> Object:
    spec: Object = {"image": "shop:1", "app": "shop:app", "queues": [name]}
    spec |= {"redis": {"url": redis}} if redis else {}
    return {"apiVersion": "jobpools.dev/v1", "kind": "WorkerPool", "metadata": {"name": name}, "spec": spec}


@contextlib.asynccontextmanager
async def watched(api: Api) -> AsyncIterator[Seen]:
    seen = Seen()

    async def follow(path: str, method: str) -> None:
        _, version = await api.list(path)
        async for kind, found in api.watch(path, version):
            if kind != "BOOKMARK":
                getattr(seen, method)(found)

    tasks = [
        asyncio.create_task(follow(f"{CRD_API}/workerpools", "pool")),
        asyncio.create_task(follow(f"{APPS_API}/deployments", "deployment")),
    ]
    yield seen
    for task in tasks:
        task.cancel()


def names(namespaces: int) -> list[str]:
    return [HOME, *(f"{HOME}-{number}" for number in range(1, namespaces))]


async def create(api: Api, namespaces: list[str], count: int, redis: str) -> None:
    turns = asyncio.Semaphore(8)

    async def one(number: int) -> None:
        namespace = namespaces[number % len(namespaces)]
        async with turns:
            await api.create(path_of(CRD_API, namespace, "workerpools"), pool(f"many-{number:04d}", redis))

    await asyncio.gather(*map(one, range(count)))


async def react(client: Client, seen: Seen, number: int) -> float:
    name = f"quick-{number:04d}"
    began = time.monotonic()
    await client.enqueue(client.call_json("work", {}, Options.make(queue=name)))
    await until(lambda: f"{HOME}/{name}" in seen.scaled, within=LIMIT)
    return seen.scaled[f"{HOME}/{name}"] - began


async def measure(options: argparse.Namespace, api: Api, url: str) -> None:
    redis = url if options.redis == "url" else ""
    namespaces = names(options.namespaces)
    client = Client(url)
    async with watched(api) as seen:
        await asyncio.gather(
            *(
                api.create(path_of(CRD_API, HOME, "workerpools"), pool(f"quick-{n:04d}", redis))
                for n in range(options.trials)
            )
        )
        await until(lambda: len(seen.ready) >= options.trials, within=LIMIT)
        began, total = time.monotonic(), options.trials + options.pools
        filling = asyncio.create_task(create(api, namespaces, options.pools, redis))
        times = []
        for number in range(options.trials):
            if len(seen.ready) >= total:
                break
            times.append(await react(client, seen, number))
            await asyncio.sleep(0.2)
        await filling
        await until(lambda: len(seen.ready) >= total, within=LIMIT)
        last = max(seen.deployments.values()) - began, max(seen.ready.values()) - began
    print(f"{options.pools} pools, {options.namespaces} namespaces, Redis {options.redis}:", end=" ")
    print(f"Deployments {last[0]:.1f} s, ready {last[1]:.1f} s;", end=" ")
    print(f"reaction meanwhile p50 {statistics.median(times):.3f} s, max {max(times):.3f} s ({len(times)})")
    await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=int, default=300)
    parser.add_argument("--namespaces", type=int, default=1)
    parser.add_argument("--redis", choices=("default", "url"), default="default")
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()
    kubectl, valkey = Kubectl(HOME), Valkey()
    valkey.start()
    with tempfile.TemporaryDirectory() as folder:
        operator = Operator(valkey.url, HOME, "a", Path(folder), Path(os.environ["KUBECONFIG"]), everywhere=True)
        try:
            for name in names(options.namespaces):
                kubectl.run("create", "namespace", name)
            operator.start()
            eventually("the operator leads", operator.leads)
            asyncio.run(run(options, valkey.url))
        finally:
            operator.stop()
            valkey.stop()
            kubectl.run("delete", "namespace", *names(options.namespaces), "--wait=false")


async def run(options: argparse.Namespace, url: str) -> None:
    api = await Api.connect()
    try:
        await measure(options, api, url)
    finally:
        await api.close()


if __name__ == "__main__":
    main()
