"""What `jobpools cron` reads and changes with `app.scheduler`. It accepts a whole key, or the name at its end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from jobpools.app import App
from jobpools.cli.output import format_time
from jobpools.core.schedules.listing import FireView, ScheduleView
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.errors import ConfigurationError, ScheduleNotFoundError
from jobpools.schedule_edits import EditValues
from jobpools.scheduler import Scheduler
from jobpools.settings_reader import redis_url
from jobpools.store import schedule_table

T = TypeVar("T")


def run(url: str | None, query: Callable[[Scheduler], Awaitable[T]]) -> T:
    """Run a query on a connection of its own. `url` None: from the environment. Raises StoreError."""

    async def connect_and_query() -> T:
        async with App("cron", redis=redis_url(url)) as app:
            return await query(app.scheduler)

    return asyncio.run(connect_and_query())


def run_named(url: str | None, name: str, query: Callable[[Scheduler, str], Awaitable[T]]) -> T:
    """Run a query about one schedule, which gets its key. Raises ScheduleNotFoundError, ConfigurationError."""

    async def connect_and_query() -> T:
        async with App("cron", redis=redis_url(url)) as app:
            found = await schedule_table.find_keys(app.client.connection(), name)
            if len(found) == 1:
                return await query(app.scheduler, found[0])
            if found:
                raise ConfigurationError(f"schedule {name}: there are several; use one of {', '.join(found)}")
            known = {each.key.rpartition("/")[2]: each.key for each in await app.scheduler.list()}
            hint = did_you_mean(name, known) or "; jobpools cron lists all"
            raise ScheduleNotFoundError(f"schedule {name}: not found{hint}")

    return asyncio.run(connect_and_query())


def row(view: ScheduleView) -> dict[str, Any]:
    """Return a schedule as a row of a listing."""
    return {
        "schedule": view.key,
        "source": view.source,
        "declaredBy": view.declared_by,
        "times": view.times,
        "zone": view.time_zone,
        "enabled": view.enabled,
        "next": view.next_run and format_time(view.next_run.timestamp()),
        "last": view.last_run and format_time(view.last_run.timestamp()),
        "state": view.last_state,
        "fired": view.fired,
        "missed": view.missed,
        "reason": view.reason,
        "job": view.job,
        "queue": view.queue,
        "args": dict(view.args),
        "options": dict(view.options),
        "id": view.last_job,
        "active": view.active,
    }


async def delete(scheduler: Scheduler, key: str) -> str:
    """Delete a schedule made in code, and return its key."""
    await scheduler.delete(key)
    return key


async def details(scheduler: Scheduler, key: str) -> dict[str, Any]:
    """Return a schedule with its next 10 ticks and its last 20 fires."""
    return {
        **row(await scheduler.get(key)),
        "nextRuns": [format_time(each.timestamp()) for each in await scheduler.next(key)],
        "fires": [_fire(each) for each in await scheduler.fires(key)],
    }


@dataclass(frozen=True, slots=True)
class Edited:
    """The changes of a schedule that a command makes or would make."""

    key: str
    declared_by: str | None
    """The code that declares the schedule; None: a call made it."""
    rows: list[dict[str, Any]]
    """The fields that differ, before and after."""


async def edit(scheduler: Scheduler, key: str, changes: EditValues, *, dry_run: bool) -> Edited:
    """Change a schedule, or find what would change."""
    before = await scheduler.get(key)
    after = await scheduler.edit(key, dry_run=dry_run, **changes)
    old, new = _fields(before), _fields(after)
    rows = [
        {"field": name, "before": old.get(name), "after": new.get(name)}
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    return Edited(key, after.declared_by, rows)


def _fields(view: ScheduleView) -> dict[str, Any]:
    """Return what can be edited, and the next tick, by name."""
    shown = row(view)
    found = {name: shown[name] for name in ("times", "zone", "next", "queue")}
    found |= {f"args.{name}": value for name, value in view.args.items()}
    options = dict(view.options)
    metadata = options.pop("metadata", None) or {}
    return found | {f"metadata.{name}": value for name, value in metadata.items()} | options


def _fire(fire: FireView) -> dict[str, Any]:
    return {
        "due": format_time(fire.due.timestamp()),
        "id": fire.job,
        "state": fire.state or None,
        "lateSeconds": None if fire.manual else fire.late,
        "manual": fire.manual,
    }
