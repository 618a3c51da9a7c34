"""Replay and purge dead letters."""

import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from jobpools.core.jobs.job import History, Priority
from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.envelope import decode_envelope
from jobpools.store.history import encode_history, read_history
from jobpools.store.read_size import FIRST_READ, SCAN_COUNT, next_size
from jobpools.store.replies import scored
from jobpools.store.script_arguments import LETTERS, SERVER_CLOCK

LARGEST_PAGE = 250
"""Maximum number of jobs that one script call replays or purges: they take the server about a millisecond."""


@dataclasses.dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead job, and when it died. A job that was replayed and died again is another dead letter."""

    id: str
    died_at: int | None = None
    """Milliseconds since the epoch; None: whenever the job died."""


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Counts of one page of jobs that a command replayed, purged or cancelled."""

    handled: int
    """Number of jobs that were processed."""
    changed: int
    """Number of jobs that were replayed, purged or cancelled; the others had changed state meanwhile."""
    running: int = 0
    """How many of these run; their workers are told to stop them."""


async def snapshot(connection: Connection, queue: str) -> list[DeadLetter]:
    """Return the dead letters of a queue at this moment, the earliest first, each job once.

    Jobs that die during the read are left out, whatever clock the server has: the limit is the latest death that was
    there at the start. So a bulk command ends, however fast jobs die meanwhile.
    """
    key = keys.of_queue(queue, "dead")
    latest = _scored(await connection.execute("ZRANGE", key, 0, 0, "REV", "WITHSCORES"))
    if not latest:
        return []
    found: dict[str, int] = {}
    cursor: Any = 0
    while True:
        cursor, reply = await connection.execute("ZSCAN", key, cursor, "COUNT", SCAN_COUNT)
        found.update((job_id, at) for job_id, at in _scored(reply) if at <= latest[0][1])
        if not int(cursor):
            return [DeadLetter(job_id, at) for job_id, at in sorted(found.items(), key=lambda each: (each[1], each[0]))]


def _scored(reply: Any) -> list[tuple[str, int]]:
    """Return (job id, ms) pairs."""
    return [(job_id, int(score)) for job_id, score in scored(reply)]


async def replay(
    connection: Connection, queue: str, letters: Sequence[DeadLetter], now: int | str = SERVER_CLOCK
) -> AsyncIterator[Page]:
    """Put dead jobs back at the end of their queue with all their attempts, a page at a time.

    The history is kept. Crash window: if the process ends between two pages, the remaining jobs stay dead; the command
    can be run again.
    """
    start, size = 0, FIRST_READ
    while page := letters[start : start + size]:
        start += len(page)
        ids, begun = [letter.id for letter in page], time.monotonic()
        envelopes, histories = await connection.gather(
            [("HMGET", keys.of_queue(queue, part), *ids) for part in ("jobs", "history")]
        )
        read = sum(len(each or b"") for each in (*envelopes, *histories))
        size = next_size(len(page), read, time.monotonic() - begun, LARGEST_PAGE)
        arguments: list[Any] = [now, keys.WAKE_CHANNEL, queue]
        for letter, envelope, history in zip(page, envelopes, histories, strict=True):
            fresh = _replayed(read_history(history))
            at = "" if letter.died_at is None else letter.died_at
            arguments += (letter.id, at, _letter(envelope), encode_history(fresh))
        yield Page(len(page), int(await connection.call("replay", queue, arguments)))


def _replayed(history: History) -> History:
    """Return the history of a job that has all its attempts again."""
    replays = history.replays + 1
    return dataclasses.replace(history, attempts=0, crashes=0, note="", reason=None, replays=replays)


def _letter(envelope: bytes | None) -> str:
    try:
        return LETTERS[Priority(decode_envelope(envelope or b"").priority)]
    except StoreDataError:
        return LETTERS[Priority.NORMAL]


async def purge(connection: Connection, queue: str, letters: Sequence[DeadLetter]) -> AsyncIterator[Page]:
    """Delete dead jobs, a page at a time."""
    for start in range(0, len(letters), LARGEST_PAGE):
        page = letters[start : start + LARGEST_PAGE]
        pairs = [value for letter in page for value in (letter.id, "" if letter.died_at is None else letter.died_at)]
        yield Page(len(page), int(await connection.call("purge", queue, pairs)))
