"""A Valkey that keeps its data, the totals of its queue, and the notes that jobs write to a file."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from jobpools import App, Client, JobHandle, JobState
from jobpools.store import keys, ledger
from jobpools.store.connection import Connection, connect
from jobpools.store.lease_ids import split_lease_id
from tests.chaos import jobs, notes
from tests.chaos.notes import Note
from tests.support.servers import Server, running, valkey_binary

QUEUE = "chaos"
APP = "tests.chaos.jobs:app"


class Scenario:
    """The server, the app and the notes of one test."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.notes_file = folder / "notes"
        self.connection: Connection = connect(server.url)
        self.app: App = jobs.app

    @property
    def environment(self) -> dict[str, str]:
        return {"NOTES": str(self.notes_file)}

    def notes(self, what: str) -> list[Note]:
        return [each for each in notes.read(self.notes_file) if each.what == what]

    async def totals(self) -> ledger.Ledger:
        return (await ledger.read(self.connection, [QUEUE]))[QUEUE]

    async def ended(self, within: float) -> ledger.Ledger:
        """Return the totals as soon as no job waits."""
        async with asyncio.timeout(within):
            while (totals := await self.totals()).unfinished:  # noqa: ASYNC110  # other processes settle the jobs
                await asyncio.sleep(0.02)
        return totals

    async def held_by(self, worker: str) -> set[str]:
        """Return the ids of the jobs on which this worker holds a lease."""
        leases = await self.connection.execute("ZRANGE", keys.of_queue(QUEUE, "leases"), 0, -1)
        found = [split_lease_id(lease.decode()) for lease in leases]
        return {job_id for job_id, holder in found if holder.startswith(f"{worker}.")}

    async def balanced(self, sent: Sequence[JobHandle[None]], **ends: int) -> None:
        """Check that every job ended in exactly one way, and how many in each."""
        totals = await self.totals()
        assert (totals.enqueued, totals.lost, totals.unfinished) == (len(sent), 0, 0)
        states = [await job.state() for job in sent]
        counts = {str(state): states.count(state) for state in JobState if states.count(state)}
        assert counts == ends
        assert (totals.completed, totals.dead, totals.cancelled) == tuple(
            ends.get(end, 0) for end in ("completed", "dead", "cancelled")
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    data = tmp_path / "data"
    data.mkdir()
    with running(valkey_binary(), data) as server:
        yield server


@pytest.fixture
async def scenario(tmp_path: Path, server: Server) -> AsyncIterator[Scenario]:
    scenario = Scenario(tmp_path, server)
    client = Client(server.url)
    before = scenario.app.use(client)
    yield scenario
    await client.aclose()
    if before is not None:
        scenario.app.use(before)
    await scenario.connection.aclose()
