"""Ids and fences are unique whatever users do to random generators, clocks and processes."""

import asyncio
import multiprocessing
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobpools import App
from jobpools.client import Client
from jobpools.store import draws
from jobpools.store.job_ids import UUID_LENGTH, check_id, id_time
from tests.support.workers import running_workers

NOW = 1_790_000_000.0


def job_ids(number: int) -> list[str]:
    return [draws.job_id(NOW) for _ in range(number)]


def suffixes(number: int) -> list[str]:
    return [draws.new_lease_suffix("web-1.aa") for _ in range(number)]


def fractions(number: int) -> list[float]:
    return [draws.fraction() for _ in range(number)]


def worker_ids(number: int) -> list[str]:
    return [draws.worker_id("web-1") for _ in range(number)]


@pytest.mark.parametrize("make", [job_ids, suffixes, fractions, worker_ids])
def test_a_seed_does_not_repeat_draws(make: Callable[[int], list[object]]) -> None:
    random.seed(0)
    first = make(50)
    random.seed(0)
    assert len({*first, *make(50)}) == 100


def _in_child(make: Callable[[int], list[object]], queue: "multiprocessing.Queue[list[object]]") -> None:
    queue.put(make(50))


@pytest.mark.parametrize("make", [job_ids, suffixes, fractions, worker_ids])
def test_a_fork_does_not_repeat_draws(make: Callable[[int], list[object]]) -> None:
    context = multiprocessing.get_context("fork")
    found, queue = make(1), context.Queue()
    children = [context.Process(target=_in_child, args=(make, queue)) for _ in range(3)]
    for child in children:
        child.start()
    for _ in children:
        found += queue.get(timeout=60)
    found += make(50)
    for child in children:
        child.join()
    assert len(set(found)) == 201


def test_ids_of_threads_are_unique() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [each for ids in pool.map(job_ids, [2000] * 8) for each in ids]
    assert len(set(found)) == 16_000


@pytest.mark.parametrize("clock", [NOW, 0.0, -1e9, 1e15, NOW - 86_400])
def test_ids_are_valid_and_unique_with_a_wrong_clock(clock: float) -> None:
    found = {draws.job_id(at) for at in (clock, clock - 1, clock) for _ in range(100)}
    assert len(found) == 300
    for each in found:
        assert (uuid.UUID(each).version, len(each)) == (7, UUID_LENGTH)
        assert id_time(each) is not None
        assert check_id(each) == each


async def test_a_seeded_producer_with_a_stopped_clock_makes_unique_ids(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("seeded", redis=valkey_url)

    @app.job
    async def follow(number: int) -> None:
        """Do nothing."""

    monkeypatch.setattr(time, "time", lambda: NOW)
    sent = []
    for number in range(20):
        random.seed(0)
        sent.append(await follow.enqueue(number=number))
    await app.client.aclose()
    assert all(each.new for each in sent)
    assert len({each.id for each in sent}) == 20


def test_handlers_that_seed_and_fork_enqueue_unique_jobs(valkey_url: str, tmp_path: Path) -> None:
    """Each of 20 jobs of a real worker seeds, enqueues, forks, and enqueues in the child."""
    from tests.store import seeding

    async def send_and_count() -> int:
        for number in range(20):
            await seeding.outer.enqueue(number=number)
        found: set[bytes] = set()
        async with asyncio.timeout(60):
            while len(found) < 40:
                found = set(await seeding.app.client.connection().execute("HVALS", seeding.SEEN))
                await asyncio.sleep(0.05)
        await seeding.app.client.aclose()
        return len(found)

    seeding.app.use(Client(valkey_url))
    with running_workers(tmp_path, valkey_url, "tests.store.seeding:app", "seeding", CONCURRENCY="4"):
        assert asyncio.run(send_and_count()) == 40
