"""What workers run: reported with the heartbeat, and read as far as the leases still exist."""

from dataclasses import replace

from redis import Redis

from jobpools.core.jobs.job import JobState
from jobpools.core.pools.worker_states import RunningAttempt
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.heartbeats import remove_worker, repeat_heartbeat, write_heartbeat
from jobpools.store.job_view import JobView
from jobpools.store.running_attempts import (
    REPORT_BYTES,
    REPORT_LIMIT,
    RunningReport,
    encode_running,
    read_running,
    with_starts,
)
from tests.store.attempts import AT, NOW
from tests.store.conftest import QUEUE
from tests.store.test_heartbeats import POOL, report

LONG = RunningAttempt("a", "0000000001", QUEUE, "grind", 2, AT - 90)
ENDED = RunningAttempt("b", "0000000002", QUEUE, "send", 1, AT - 1)
RUNNING = encode_running(RunningReport((LONG, ENDED), 7))


async def test_reported_attempts_are_read_while_their_leases_exist(store: Connection, raw: Redis) -> None:
    raw.zadd(keys.of_queue(QUEUE, "leases"), {"a:w.1:0000000001": NOW, "b:w.1:0000000099": NOW})
    await write_heartbeat(store, report("w.1"), NOW, attempts=RUNNING)
    await repeat_heartbeat(store, POOL, "w.1", NOW + 1)
    await write_heartbeat(store, report("idle.1"), NOW)
    assert await read_running(store, {POOL: ["w.1", "idle.1"]}) == {
        "w.1": RunningReport((LONG,), 7), "idle.1": RunningReport(),
    }  # fmt: skip
    running = JobView("a", QUEUE, JobState.RUNNING, worker="w.1")
    unknown, queued = replace(running, id="b"), replace(running, id="c", state=JobState.QUEUED)
    views = await with_starts(store, [running, unknown, queued])
    assert [each.started_at for each in views] == [AT - 90, None, None]
    await write_heartbeat(store, report("w.1"), NOW + 2)
    assert raw.exists(keys.running(POOL)) == 0, "it runs nothing"


async def test_the_running_attempts_of_a_worker_are_removed_with_it(store: Connection, raw: Redis) -> None:
    await write_heartbeat(store, report("w.1"), NOW, attempts=RUNNING)
    assert raw.pttl(keys.running(POOL)) > 86_000_000
    await remove_worker(store, POOL, "w.1", [QUEUE])
    assert raw.exists(keys.running(POOL)) == 0


async def test_a_report_is_bounded_and_one_of_another_version_is_ignored(store: Connection, raw: Redis) -> None:
    attempts = tuple(replace(LONG, job_id=f"{number:036}") for number in range(REPORT_LIMIT))
    encoded = encode_running(RunningReport(attempts, 5))
    assert len(encoded) < REPORT_BYTES + 20
    assert encode_running(RunningReport((replace(LONG, name="x" * REPORT_BYTES),))) == b"[1,[]]"
    raw.zadd(keys.of_queue(QUEUE, "leases"), {f"{each.job_id}:w.1:{each.fence}": NOW for each in attempts})
    await write_heartbeat(store, report("w.1"), NOW, attempts=encoded)
    found = (await read_running(store, {POOL: ["w.1"]}))["w.1"]
    assert len(found.attempts) + found.unlisted == REPORT_LIMIT + 5
    assert len(found.attempts) > REPORT_LIMIT // 2
    raw.hset(keys.running(POOL), "w.1", f'{NOW} [["a"]]')
    assert await read_running(store, {POOL: ["w.1"]}) == {"w.1": RunningReport()}
