"""The account of `python -m tests.chaos` finds what it promises to find: each case breaks one record on purpose."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobpools import Client
from jobpools.core.jobs.job import Priority
from jobpools.store import keys, ledger
from jobpools.store.connection import Connection, connect
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.records import completed_record
from jobpools.store.step import Completed, settle_and_claim
from tests.chaos import append_only, places
from tests.chaos.accounts import Account, Evidence, account
from tests.chaos.fleet import NO_REWRITE
from tests.chaos.notes import BEGUN, DONE, Note
from tests.chaos.workload import QUEUE, Plan, app
from tests.support.servers import Server, running, valkey_binary

pytestmark = pytest.mark.chaos
WORKER = "w1.aa"
PLANS = [Plan(number, "steady", 0.0, 0, 0.0, Priority.NORMAL, is_cancelled=False) for number in range(4)]
VICTIM = PLANS[2].id


class Run:
    """A run of four jobs, of which the test is the only worker."""

    def __init__(self, folder: Path, server: Server, connection: Connection) -> None:
        self.folder, self.server, self.connection = folder, server, connection
        self.journal: list[Note] = []

    async def claim(self, number: int) -> list[str]:
        suffix = lease_suffix_of(WORKER, number)
        step = {"lease_suffix": suffix, "lease_ms": 60_000}
        reply = await settle_and_claim(self.connection, QUEUE, WORKER, claim=10, **step)  # type: ignore[arg-type]
        leases = [job_id.decode() + suffix for job_id in reply.ids]
        for what in (BEGUN, DONE):
            self.journal += [Note(lease.rsplit(":", 2)[0], what, 1, 0.0, lease) for lease in leases]
        return leases

    async def complete(self, leases: list[str]) -> None:
        done = Completed(leases, [completed_record("steady", f'"{lease}"'.encode(), 0.1) for lease in leases])
        step = {"lease_suffix": lease_suffix_of(WORKER, 99), "lease_ms": 60_000}
        await settle_and_claim(self.connection, QUEUE, WORKER, completed={60_000: done}, **step)  # type: ignore[arg-type]

    async def account(self) -> Account:
        """Kill the server and compare the records."""
        totals = (await ledger.read(self.connection, [QUEUE]))[QUEUE]
        self.server.kill()
        self.server.start()
        with self.server.client() as client:
            where, results = places.read(client, QUEUE), places.records(client, QUEUE)
            histories, remains = places.records(client, QUEUE, "history"), places.remains(client, QUEUE)
        self.server.kill()
        record = append_only.read(self.folder, QUEUE)
        return account(Evidence(PLANS, where, results, record, histories, remains, self.journal, totals))


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    with running(valkey_binary(), tmp_path, NO_REWRITE) as server:
        connection, client = connect(server.url), Client(server.url)
        before = app.use(client)
        await app.enqueue_many([plan.call() for plan in PLANS])
        yield Run(tmp_path, server, connection)
        if before is not None:
            app.use(before)
        await client.aclose()
        await connection.aclose()


async def test_jobs_that_complete_once_are_accounted_for(run: Run) -> None:
    await run.complete(await run.claim(1))
    found = await run.account()
    assert (found.is_clean, found.wrong) == (True, [])
    assert found.summary(41, 62.6) == (
        "chaos: 4 jobs: 4 completed, 0 dead, 0 cancelled, 0 lost, 0 settled twice; 41 kills; 63 s"
    )


async def test_a_settlement_that_is_sent_twice_is_no_second_end(run: Run) -> None:
    leases = await run.claim(1)
    for _ in range(2):
        await run.complete(leases)
    assert (await run.account()).is_clean


async def test_a_job_that_is_settled_again_is_settled_twice(run: Run) -> None:
    leases = await run.claim(1)
    await run.complete(leases)
    with run.server.client() as client:  # what a fault of a script would do
        client.hset(keys.of_queue(QUEUE, "jobs"), VICTIM, "{}")
        client.rpush(keys.of_queue(QUEUE, "ready:normal"), VICTIM)
    await run.complete(await run.claim(2))
    found = await run.account()
    assert list(found.settled_twice) == [VICTIM]
    assert found.settled_twice[VICTIM].count("completed (") == 2, "both settlements are named, with their leases"
    assert "totals: 5 completed counted, 4 jobs are completed" in found.wrong
    assert found.summary(0, 1).endswith("0 lost, 1 settled twice; 0 kills; 1 s")


async def test_a_job_that_is_dead_and_completed_is_settled_twice(run: Run) -> None:
    await run.complete(await run.claim(1))
    with run.server.client() as client:
        client.zadd(keys.of_queue(QUEUE, "dead"), {VICTIM: 1})
    assert "append-only file: completed (" in (await run.account()).settled_twice[VICTIM]


async def test_a_job_that_has_vanished_is_lost(run: Run) -> None:
    with run.server.client() as client:
        client.lrem(keys.of_queue(QUEUE, "ready:normal"), 1, VICTIM)
    await run.complete(await run.claim(1))
    found = await run.account()
    assert found.lost == {VICTIM: "only its envelope is left (steady)"}


async def test_a_job_that_still_runs_is_lost_with_its_place(run: Run) -> None:
    leases = await run.claim(1)
    await run.complete([lease for lease in leases if VICTIM not in lease])
    assert (await run.account()).lost == {VICTIM: f"leased by {WORKER} (steady)"}


async def test_what_an_ended_job_leaves_in_redis_is_wrong(run: Run) -> None:
    await run.complete(await run.claim(1))
    with run.server.client() as client:
        client.sadd(keys.of_queue(QUEUE, "cancelling"), VICTIM)
        client.hset(keys.of_queue(QUEUE, "history"), "unknown", "{}")
    assert (await run.account()).wrong == [
        "left in Redis: 1 in cancelling",
        "left in Redis: 1 in history, of unknown jobs",
    ]


async def test_a_job_without_an_attempt_in_the_journal_is_wrong(run: Run) -> None:
    await run.complete(await run.claim(1))
    run.journal = [each for each in run.journal if each.id != VICTIM]
    found = await run.account()
    assert [line.partition(":")[0] for line in found.wrong] == [VICTIM]


async def test_a_job_that_ends_otherwise_than_planned_is_wrong(run: Run) -> None:
    await app.handle(VICTIM, QUEUE).cancel()
    await run.complete(await run.claim(1))
    found = await run.account()
    assert [line.partition(",")[0] for line in found.wrong] == [f"{VICTIM}: cancelled"]


def test_a_command_that_a_kill_has_cut_off_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.manifest").write_text("file a.incr.aof seq 1 type i\n")
    key = keys.of_queue(QUEUE, "dead")
    whole = b"".join(_encoded(command) for command in (["MULTI"], ["ZADD", key, "1", "a"], ["EXEC"]))
    cut = b"".join(_encoded(command) for command in (["MULTI"], ["ZADD", key, "1", "b"], ["ZADD", key, "1", "c"]))
    (folder / "a.incr.aof").write_bytes(whole + cut[:-3])
    assert list(append_only.read(tmp_path, QUEUE).ends) == ["a"]


def _encoded(command: list[Any]) -> bytes:
    parts = [each.encode() for each in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
