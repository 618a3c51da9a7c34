"""Implementation of the control loop's port `Schedules` for one Redis endpoint.

The state of all schedules has one hash tag, and a fired job has its queue's, so no script can change both. The job is
enqueued first, and then the tick is recorded as handled. If the process ends in between, the next pass fires the tick
again, and the queue, which keeps the latest tick of each schedule that was fired into it, refuses the duplicate.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pydantic_core import to_json

from jobpools.core.schedules.actions import Fire, SchedulePlan
from jobpools.core.schedules.code_specs import CodeJob, is_code_key, parse_schedule
from jobpools.core.schedules.facts import FiredJob, ScheduleFacts
from jobpools.core.schedules.identity import times_key
from jobpools.core.schedules.specs import JobTemplate, Schedule
from jobpools.errors import StoreDataError, StoreError
from jobpools.store import keys, scripts
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.enqueue import BATCH
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope, encode_envelope
from jobpools.store.json_objects import decode_json
from jobpools.store.script_arguments import LETTERS, SERVER_CLOCK
from jobpools.store.server import server_time

Raw = dict[str, Any]


class StoreSchedules:
    """Store of the state of schedules; one call takes two or three round trips for many of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._adopted: dict[str, bytes] = {}
        """By key: the spec that was last sent to the server."""

    async def now(self) -> float:
        """Return the server's time, seconds since the epoch. Raises StoreError."""
        return await server_time(self._connection)

    async def observe(self, schedules: Sequence[Schedule], now: float) -> dict[str, ScheduleFacts]:
        """Return the facts by key; a new schedule, or one with new times, begins now. Raises StoreError."""
        specs = {schedule.meta.key: spec_json(schedule) for schedule in schedules}
        await self._adopt(
            [schedule for schedule in schedules if self._adopted.get(schedule.meta.key) != specs[schedule.meta.key]],
            now,
        )
        states = await self._states(schedules)
        # The server may have lost its data, or another scheduler may have changed the times.
        if lost := [each for each in schedules if states[each.meta.key].get("times") != times_key(each)]:
            await self._adopt(lost, now)
            states |= await self._states(lost)
        return await _facts(self._connection, states)

    async def enqueue(self, due: Sequence[tuple[Schedule, ScheduleFacts, SchedulePlan]], now: float) -> dict[str, str]:
        """Cancel replaced jobs and enqueue the fires; return by key why some failed. Never raises StoreError.

        If a scheduler ended after firing a tick and before recording it, the queue refuses the duplicate.
        """
        queues: dict[str, list[str]] = {}
        ticks: dict[str, list[tuple[Any, ...]]] = {}
        failed: dict[str, str] = {}
        for schedule, facts, plan in due:
            try:
                await self._cancel(plan.fires)
            except StoreError as error:
                failed[schedule.meta.key] = str(error)
                continue
            queues.setdefault(schedule.spec.job.queue, []).append(schedule.meta.key)
            ticks.setdefault(schedule.spec.job.queue, []).extend(
                _tick(schedule, facts, fire, now) for fire in plan.fires
            )
        for queue, names in queues.items():
            try:
                await self._fire(queue, ticks[queue])
            except StoreError as error:
                failed |= dict.fromkeys(names, str(error))
        return failed

    async def _fire(self, queue: str, ticks: Sequence[tuple[Any, ...]]) -> None:
        for start in range(0, len(ticks), BATCH):
            batch = ticks[start : start + BATCH]
            arguments = [part for tick in batch for part in tick]
            # Crash window: the job is enqueued and the tick is not recorded. The next pass fires it again,
            # and the queue refuses it.
            await self._connection.call("fire", queue, [SERVER_CLOCK, keys.WAKE_CHANNEL, queue, *arguments])

    async def _cancel(self, fires: Sequence[Fire]) -> None:
        for fire in fires:
            for job in fire.replaces:
                # Crash window: the job is cancelled and the new one is not enqueued. The next pass fires the tick.
                await cancel_job(self._connection, job.queue, job.id)

    async def record(self, done: Sequence[tuple[Schedule, ScheduleFacts, SchedulePlan]]) -> list[bool]:
        """Record the handled ticks of each schedule; False: its facts have changed meanwhile, and nothing was recorded.

        Raises StoreError; then it is unknown which of them are recorded, and the next pass reads it.
        """
        if not done:
            return []
        script = scripts.get("record")
        await self._connection.load("record")
        hashes = (keys.schedules("state"), keys.schedules("recent"))
        commands = [script.command(hashes, _record(schedule, facts, plan)) for schedule, facts, plan in done]
        return [bool(reply) for reply in await self._connection.gather(commands)]

    async def forget(self, names: Sequence[str]) -> None:
        """Delete the state of the schedules with these keys. Raises StoreError."""
        for name in names:
            self._adopted.pop(name, None)
        if not names:
            return
        queues = _queues(await read_specs(self._connection, names))
        fires = [("HDEL", keys.of_queue(queue, "fires"), name) for name, queue in queues.items()]
        tables = [("HDEL", keys.schedules(part), *names) for part in ("table", "state", "recent")]
        await self._connection.gather([*fires, *tables])

    async def _adopt(self, schedules: Sequence[Schedule], now: float) -> None:
        if not schedules:
            return
        script = scripts.get("adopt")
        before = await read_specs(self._connection, [schedule.meta.key for schedule in schedules])
        await self._connection.load("adopt")
        hashes = (keys.schedules("table"), keys.schedules("state"))
        specs = [spec_json(schedule) for schedule in schedules]
        await self._connection.gather(
            [
                script.command(hashes, [schedule.meta.key, spec, times_key(schedule), int(now * 1000)])
                for schedule, spec in zip(schedules, specs, strict=True)
            ]
        )
        await forget_moved(self._connection, before, schedules)
        self._adopted |= {schedule.meta.key: spec for schedule, spec in zip(schedules, specs, strict=True)}

    async def _states(self, schedules: Sequence[Schedule]) -> dict[str, Raw]:
        return await _read(self._connection, [schedule.meta.key for schedule in schedules])


class StoreCodeSchedules(StoreSchedules):
    """Store of the state of schedules made in code, whose specs `app.scheduler` writes and no scheduler does."""

    async def observe(self, schedules: Sequence[Schedule], now: float) -> dict[str, ScheduleFacts]:  # noqa: ARG002  # the port's signature
        """Return the facts by key. A schedule that was deleted or got other times meanwhile is omitted."""
        states = await self._states(schedules)
        current = {each.meta.key for each in schedules if states[each.meta.key].get("times") == times_key(each)}
        return await _facts(self._connection, {key: state for key, state in states.items() if key in current})


async def read_states(connection: Connection, names: Sequence[str]) -> dict[str, ScheduleFacts]:
    """Return what is known of the schedules with these keys; unknown ones are omitted. Raises StoreError."""
    return await _facts(connection, await _read(connection, names))


async def _read(connection: Connection, names: Sequence[str]) -> dict[str, Raw]:
    """Return the states by key; the state of an unknown schedule is empty."""
    if not names:
        return {}
    found = await connection.execute("HMGET", keys.schedules("state"), *names)
    return {name: decode_json(raw) if raw else {} for name, raw in zip(names, found, strict=True)}


async def _facts(connection: Connection, states: Mapping[str, Raw]) -> dict[str, ScheduleFacts]:
    jobs = {name: _jobs(raw) for name, raw in states.items()}
    known = await job_states(connection, [job for each in jobs.values() for job in each])
    return {
        name: ScheduleFacts(
            created=raw["created"] / 1000,
            last_due=_seconds(raw.get("due")),
            last_fire=_seconds(raw.get("last")),
            jobs=tuple(FiredJob(job.id, job.queue, known[job.queue, job.id]) for job in jobs[name]),
            fired=int(raw["fired"]),
            missed=int(raw["missed"]),
        )
        for name, raw in states.items()
        if raw
    }


async def job_states(connection: Connection, jobs: Sequence[FiredJob]) -> dict[tuple[str, str], str]:
    """Return the states by (queue, id), with one call for each queue."""
    queues: dict[str, list[str]] = {}
    for job in jobs:
        queues.setdefault(job.queue, []).append(job.id)
    if not queues:
        return {}
    await connection.load("states")
    replies = await connection.gather(
        [scripts.queue_command("states", queue, [SERVER_CLOCK, *ids]) for queue, ids in queues.items()]
    )
    return {
        (queue, job_id): state.decode().partition(":")[0]
        for (queue, ids), states in zip(queues.items(), replies, strict=True)
        for job_id, state in zip(ids, states, strict=True)
    }


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _jobs(raw: Raw) -> tuple[FiredJob, ...]:
    words = str(raw.get("jobs", "")).split()
    return tuple(FiredJob(job_id, queue) for job_id, queue in zip(words[::2], words[1::2], strict=True))


def _record(schedule: Schedule, facts: ScheduleFacts, plan: SchedulePlan) -> tuple[Any, ...]:
    if plan.handled is None:
        raise StoreDataError(f"{schedule.meta.key}: no tick was handled, so there is nothing to record")
    since = "" if facts.last_due is None else round(facts.last_due * 1000)
    last = round(plan.fires[-1].due * 1000) if plan.fires else ""
    jobs = " ".join(f"{job.id} {job.queue}" for job in plan.jobs)
    due = round(plan.handled * 1000)
    ticks = " ".join(str(round(fire.due * 1000)) for fire in plan.fires)
    return (schedule.meta.key, times_key(schedule), since, due, last, len(plan.fires), plan.missed, jobs, ticks)


async def read_specs(connection: Connection, names: Sequence[str]) -> dict[str, bytes]:
    """Return the stored specs by key; unknown schedules are omitted. Raises StoreError."""
    found = await connection.execute("HMGET", keys.schedules("table"), *names)
    return {name: raw for name, raw in zip(names, found, strict=True) if raw is not None}


async def forget_moved(connection: Connection, before: Mapping[str, bytes], schedules: Sequence[Schedule]) -> None:
    """Delete what queues know of schedules whose jobs go to another queue now. Raises StoreError.

    Crash window: the record of a schedule's last tick stays in its former queue, until it has that queue again.
    """
    queues = _queues(before)
    moved = [each.meta.key for each in schedules if queues.get(each.meta.key) not in (None, each.spec.job.queue)]
    if moved:
        await connection.gather([("HDEL", keys.of_queue(queues[name], "fires"), name) for name in moved])


def _queues(specs: Mapping[str, bytes]) -> dict[str, str]:
    """Return the queues of stored specs by key, without those that a newer version wrote."""
    found: dict[str, str] = {}
    for name, raw in specs.items():
        with contextlib.suppress(ValueError):
            found[name] = parse_schedule(name, raw).spec.job.queue
    return found


def spec_json(schedule: Schedule) -> bytes:
    """Return the spec as it is stored. Of a schedule made in code, `suspend` is a switch of its own."""
    left_out = {"redis", "suspend"} if is_code_key(schedule.meta.key) else {"redis"}
    return schedule.spec.model_dump_json(by_alias=True, exclude_defaults=True, exclude=left_out).encode()


def _tick(schedule: Schedule, facts: ScheduleFacts, fire: Fire, now: float) -> tuple[Any, ...]:
    """Return the arguments of fire.lua for one tick."""
    envelope = envelope_of(schedule.spec.job, fire.id, now)
    created, due = round(facts.created * 1000), round(fire.due * 1000)
    letter = LETTERS[schedule.spec.job.priority]
    return schedule.meta.key, created, due, fire.id, letter, encode_envelope(envelope)


def envelope_of(job: JobTemplate, job_id: str, now: float) -> Envelope:
    """Return the envelope of a fired job."""
    options: Raw = {}
    if isinstance(job, CodeJob):
        options = {"timeout": job.timeout, "retry": job.retry, "ttl": job.ttl, "max_crashes": job.max_crashes}
    return Envelope(
        v=ENVELOPE_VERSION,
        id=job_id,
        name=job.name,
        queue=job.queue,
        args=msgspec.Raw(to_json(job.kwargs)),
        priority=str(job.priority),
        tags=job.tags,
        enqueued=now,
        meta=job.metadata or None,
        # `now` is the server's time, as in enqueue.lua.
        expires_at=None if job.expires is None else round((now + job.expires) * 1000),
        **options,
    )
