"""One App in many event loops, threads and forked processes leaks no descriptor, loop or connection."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator
from redis import Redis

from jobpools import App, Handler, JobCancelledError, StoreDataError
from jobpools.store.connection import Connection
from jobpools.store.sync_connection import SyncConnection
from jobpools.testing import run_until_idle
from tests.support.waiting import until

Noop = Handler[[int], None]


def make(url: str) -> tuple[App, Noop]:
    app = App("shop", redis=url)

    @app.job
    async def noop(n: int) -> None: ...

    return app, noop


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def connections() -> int:
    gc.collect()
    # Not isinstance: it reads `__class__`, which raises for some objects of other tests.
    return sum(issubclass(type(each), (Connection, asyncio.BaseEventLoop)) for each in gc.get_objects())


@pytest.fixture
def quiet() -> Iterator[None]:
    """Fail on any warning about an unclosed object, also in a destructor."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(each.message) for each in warned] == []


@pytest.mark.usefixtures("quiet")
def test_two_thousand_event_loops_leak_no_descriptor_and_no_connection(valkey_url: str) -> None:
    app, noop = make(valkey_url)
    asyncio.run(noop.enqueue(0))
    before, objects = descriptors(), connections()
    for n in range(2000):
        asyncio.run(noop.enqueue(n))
    assert descriptors() <= before
    assert connections() <= objects
    with Redis.from_url(valkey_url) as raw:
        assert raw.llen("jobpools:{default}:ready:normal") == 2001
    del app


@pytest.mark.usefixtures("quiet")
def test_loops_closed_by_hand_leak_no_descriptor(valkey_url: str) -> None:
    """`asyncio.run` closes the connections of its loop; `loop.close()` does not."""
    app, noop = make(valkey_url)
    before = descriptors()
    for n in range(300):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(noop.enqueue(n))
        loop.close()
        assert descriptors() <= before + 2
    del loop
    asyncio.run(noop.enqueue(0))
    assert descriptors() <= before
    del app


def test_loops_that_are_never_closed_are_collected_with_their_connections(valkey_url: str) -> None:
    app, noop = make(valkey_url)
    before, objects = descriptors(), connections()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unclosed loop warns: it is the user's error
        for n in range(100):
            asyncio.new_event_loop().run_until_complete(noop.enqueue(n))
        assert connections() <= objects
        assert descriptors() <= before
    del app


@pytest.mark.usefixtures("quiet")
def test_a_loop_in_each_of_many_threads(valkey_url: str) -> None:
    app, noop = make(valkey_url)
    asyncio.run(noop.enqueue(0))
    before = descriptors()

    def view(n: int) -> str:
        return asyncio.run(noop.enqueue(n)).id

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(view, range(600)))) == 600
    assert descriptors() <= before
    del app


@pytest.mark.usefixtures("quiet")
def test_a_running_loop_closes_the_connections_of_collected_apps(valkey_url: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        most = 1000

        def are_closed() -> bool:
            # A transport closes its socket in a later turn of the loop than the one in which its task ends.
            return len(asyncio.all_tasks(loop)) == 1 and descriptors() <= most

        for n in range(60):
            await make(valkey_url)[1].enqueue(n)
            if n % 20 == 19:
                gc.collect()
                await until(are_closed)
                most = descriptors()

    asyncio.run(main())


async def test_one_loop_has_one_connection_and_may_close_it(valkey_url: str) -> None:
    app, noop = make(valkey_url)
    first = app.client.connection()
    assert app.client.connection() is first
    await noop.enqueue(1)
    await app.aclose()
    assert app.client.connection() is not first
    await noop.enqueue(2)
    await app.aclose()
    await app.aclose()


def test_sync_code_needs_no_loop(valkey_url: str) -> None:
    app, noop = make(valkey_url)
    first, second = app.enqueue_many_sync([noop.call(1), noop.options(delay=60).call(2)])
    before = threading.active_count()
    assert (first.state_sync(), second.state_sync()) == ("queued", "scheduled")
    assert second.cancel_sync() == "cancelled"
    assert threading.active_count() == before + 1, "one thread for all calls"
    app.close()
    assert threading.active_count() == before
    assert first.cancel_sync() == "cancelled", "a closed App reopens"
    app.close()


async def test_sync_forms_work_in_the_thread_of_a_running_loop(valkey_url: str) -> None:
    """As in a notebook, or a plain view that an async framework calls."""
    app, noop = make(valkey_url)
    job = noop.enqueue_sync(1)
    assert job.state_sync() == "queued"
    assert job.cancel_sync() == "cancelled"
    assert await job.state() == "cancelled"
    await app.aclose()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_sync_code_continues_after_a_validator_of_a_result_raises_an_exit(
    valkey_url: str, kind: type[BaseException]
) -> None:
    """Sync code reads results in one shared thread. An exception of a validator reaches only its own caller."""
    app = App("shop", redis=valkey_url)

    def leave(value: int) -> int:
        if threading.current_thread() is not threading.main_thread():
            raise kind("from a validator")
        return value

    @app.job
    async def work() -> Annotated[int, AfterValidator(leave)]:
        return 1

    @app.job
    async def harmless() -> int:
        return 2

    broken, fine, later = work.enqueue_sync(), harmless.enqueue_sync(), harmless.options(delay=600).enqueue_sync()
    asyncio.run(run_until_idle(app))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(later.result_sync, 60)
        with pytest.raises((kind, StoreDataError)):
            broken.result_sync(30)
        assert fine.result_sync(30) == 2
        assert later.cancel_sync() == "cancelled"
        with pytest.raises(JobCancelledError):
            waiting.result(30)
    app.close()


# Forks: each runs in a process of its own, so that the test suite is not forked.

PROGRAM = """
import asyncio, os, sys, threading, multiprocessing
from jobpools import App

app = App("shop", redis=sys.argv[1])

@app.job
async def noop(n: int) -> None: ...

def sockets():
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found

def wait(child):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, code

def send(count):
    for n in range(count):
        noop.enqueue_sync(n)
        if n % 10 == 0:
            assert noop.enqueue_sync(n).state_sync() == "queued"

def child_of(work):
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
"""

FORKS = {
    "sync code, as in gunicorn with preload": """
        send(5)
        inherited = sockets()
        def work():
            # The socket pair that wakes the parent's loop stays open: it is not a connection.
            assert len(sockets() & inherited) <= 2 < len(inherited)
            send(100)
        children = [child_of(work) for _ in range(4)]
        send(100)
        for child in children: wait(child)
        send(5)
        print(5 + 1 + 4 * (100 + 10) + 100 + 10 + 5 + 1)
    """,
    "a child of a running loop": """
        async def main():
            await noop.enqueue(0)
            inherited = sockets()
            def work():
                left = sockets() & inherited
                asyncio.run(many(50))
                send(10)
                # The socket pair that wakes the loop stays open: it is not a connection.
                assert len(left) <= 2, left
            children = [child_of(work) for _ in range(3)]
            await many(50)
            for child in children: await asyncio.to_thread(wait, child)
            await many(10)
        async def many(count):
            await asyncio.gather(*(noop.enqueue(n) for n in range(count)))
        asyncio.run(main())
        print(1 + 3 * (50 + 10 + 1) + 50 + 10)
    """,
    "threads that enqueue during the fork": """
        send(1)  # first: a fork while another thread imports a module is not supported
        asyncio.run(noop.enqueue(0))
        stop = threading.Event()
        counts = [0] * 4
        def enqueue_until_stopped(place):
            while not stop.is_set():
                noop.enqueue_sync(place)
                counts[place] += 1
        threads = [threading.Thread(target=enqueue_until_stopped, args=(place,), daemon=True) for place in range(4)]
        for thread in threads: thread.start()
        try:
            for _ in range(10):
                wait(child_of(lambda: (send(5), asyncio.run(noop.enqueue(1)))))
        finally:
            stop.set()
        for thread in threads: thread.join()
        print(2 + 1 + sum(counts) + 10 * (5 + 1 + 1))
    """,
    "a pool of processes": """
        asyncio.run(noop.enqueue(0))
        send(1)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            pool.map(send, [20] * 6)
        send(1)
        print(1 + 2 + 6 * 22 + 2)
    """,
    "a child of a child": """
        send(1)
        def again():
            send(1)
            wait(child_of(lambda: send(1)))
        wait(child_of(again))
        send(1)
        print(2 * 4)
    """,
}


@pytest.mark.parametrize("kind", FORKS)
def test_parent_and_child_enqueue_after_a_fork(valkey_url: str, kind: str) -> None:
    program = PROGRAM + textwrap.dedent(FORKS[kind])
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program, valkey_url],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    with Redis.from_url(valkey_url) as raw:
        assert raw.llen("jobpools:{default}:ready:normal") == raw.hlen("jobpools:{default}:jobs") == int(ran.stdout)


def test_a_blocking_connection_reconnects_after_a_fork(valkey_url: str) -> None:
    made: Callable[[], SyncConnection] = lambda: SyncConnection(valkey_url)  # noqa: E731
    connection = made()
    assert connection.execute("PING")
    client = connection.client
    connection.after_fork()
    assert connection.execute("PING")
    assert connection.client is not client
    connection.close()
