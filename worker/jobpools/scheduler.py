"""`app.scheduler`: schedules made in code.

Redis stores them beside those of CronJobSpecs. The operator, `jobpools up` or `jobpools scheduler` fires them.
"""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, Unpack

from jobpools.client import Call, Client
from jobpools.core.schedules.code_specs import code_key
from jobpools.core.schedules.listing import NEXT_RUNS, FireView, KnownSchedule, ScheduleView, describe, next_runs
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.errors import ArgumentsError, ConfigurationError, ScheduleNotFoundError
from jobpools.handle import JobHandle, Span
from jobpools.handlers import Handler
from jobpools.schedule_edits import EditValues, edited
from jobpools.schedule_options import (
    Declaration,
    ScheduleValues,
    call_of,
    check_source,
    cron_times,
    option_fields,
    schedule_of,
    seconds_of,
)
from jobpools.store import schedule_table
from jobpools.store.server import server_time


class SchedulesOwner(Protocol):
    """The part of an App that its schedules use."""

    name: str
    """Name of the app, which is part of the keys of its schedules."""
    handlers: dict[str, Handler[..., Any]]
    """The handlers of the app, by name."""

    @property
    @abstractmethod
    def client(self) -> Client:
        """Return the client that reads and writes the schedules."""


class Scheduler:
    """The schedules of an app, and of all others in its Redis: the attribute `app.scheduler`.

    A schedule made here has the key `code:APP/NAME`; the methods take the name or, for those of other apps and for
    CronJobSpecs (`NAMESPACE/NAME`), the whole key. Each coroutine has a form for sync code, with the suffix `_sync`.

    Example:
        >>> await app.scheduler.cron("0 */6 * * *", sync_stock.call(full=True))
        >>> await app.scheduler.every("15m", refresh)
        >>> await app.scheduler.disable("refresh")
    """

    def __init__(self, app: SchedulesOwner, limit: int) -> None:
        self._app = app
        self._limit = limit
        self.declared: dict[str, Declaration] = {}
        """What `@app.cron` declares, by name."""

    async def cron(
        self,
        expression: str,
        job: Handler[..., Any] | Call[Any],
        *,
        time_zone: str = "UTC",
        **options: Unpack[ScheduleValues],
    ) -> ScheduleView:
        """Enqueue a job at the times of a cron expression. A schedule of the same name is changed.

        Args:
            expression: Five fields (minute, hour, day of month, month, day of week), or `@hourly`, `@daily`, `@weekly`,
                `@monthly`, `@yearly`.
            job: A handler, or `handler.call(…)` or `handler.options(…).call(…)` with its arguments and options.
            time_zone: IANA time zone of the expression. Default: UTC.
            name: Name of the schedule, unique in the app. Default: the handler's.
            concurrency_policy: What happens at a tick while an earlier job has not ended: `"Allow"` (default) enqueues
                another, `"Forbid"` misses the tick, `"Replace"` cancels the earlier job.
            catch_up: Which ticks are fired late after no scheduler ran: `"None"`, `"Latest"` (default) or `"All"`.
            starting_deadline: Time after which a tick that was not fired counts as missed: seconds, text such as
                `"5m"`, or a timedelta. Default: no limit.

        Raises:
            ConfigurationError: An argument is invalid.
            ScheduleLimitError: There are as many schedules made in code as `App(max_schedules=…)` allows.
            StoreError: Redis refused the command or is unreachable.

        Example:
            >>> await app.scheduler.cron("0 6 * * 1-5", daily_report, time_zone="Europe/Berlin")
        """
        return await self._save(cron_times("scheduler.cron", expression, time_zone), call_of(job), options)

    def cron_sync(
        self,
        expression: str,
        job: Handler[..., Any] | Call[Any],
        *,
        time_zone: str = "UTC",
        **options: Unpack[ScheduleValues],
    ) -> ScheduleView:
        """Make a schedule from code without an event loop; arguments and errors are those of `cron`."""
        return self._app.client.run_sync(lambda: self.cron(expression, job, time_zone=time_zone, **options))

    async def every(
        self, interval: Span, job: Handler[..., Any] | Call[Any], **options: Unpack[ScheduleValues]
    ) -> ScheduleView:
        """Enqueue a job at every multiple of an interval since 1970-01-01T00:00:00Z: `"15m"` is due at :00, :15, :30.

        Args:
            interval: At least one second: seconds, text such as `"15m"`, or a timedelta.
            job: As in `cron`; the options and errors are those of `cron`, too.

        Example:
            >>> await app.scheduler.every("15m", refresh, name="refresh-cache")
        """
        return await self._save({"every": seconds_of("scheduler.every: interval", interval)}, call_of(job), options)

    def every_sync(
        self, interval: Span, job: Handler[..., Any] | Call[Any], **options: Unpack[ScheduleValues]
    ) -> ScheduleView:
        """Make a schedule from code without an event loop; arguments and errors are those of `every`."""
        return self._app.client.run_sync(lambda: self.every(interval, job, **options))

    async def at(
        self, time: datetime, job: Handler[..., Any] | Call[Any], **options: Unpack[ScheduleValues]
    ) -> ScheduleView:
        """Enqueue a job once, at this time; the schedule is deleted a day later.

        `handler.options(at=…).enqueue(…)` does the same for a job that need not be seen, disabled or changed by name.

        Args:
            time: A datetime with a time zone. A time that is over never fires.
            job: As in `cron`; the options and errors are those of `cron`, too.

        Example:
            >>> await app.scheduler.at(datetime(2027, 1, 1, 9, tzinfo=UTC), new_year.call(year=2027))
        """
        if not isinstance(time, datetime) or time.tzinfo is None:
            raise ConfigurationError(f"scheduler.at: {time!r} has no time zone; write datetime(…, tzinfo=UTC)")
        return await self._save({"at": time}, call_of(job), options)

    def at_sync(
        self, time: datetime, job: Handler[..., Any] | Call[Any], **options: Unpack[ScheduleValues]
    ) -> ScheduleView:
        """Make a schedule from code without an event loop; arguments and errors are those of `at`."""
        return self._app.client.run_sync(lambda: self.at(time, job, **options))

    async def get(self, name: str) -> ScheduleView:
        """Return one schedule. Raises ScheduleNotFoundError and StoreError."""
        known = await self._find(name)
        return describe(known, await server_time(self._app.client.connection()))

    def get_sync(self, name: str) -> ScheduleView:
        """Return one schedule from code without an event loop; arguments and errors are those of `get`."""
        return self._app.client.run_sync(lambda: self.get(name))

    async def enable(self, name: str) -> ScheduleView:
        """Enable a disabled schedule: it fires at its next tick; ticks in between count as missed.

        Raises:
            ScheduleNotFoundError: There is no such schedule.
            ConfigurationError: A CronJobSpec declares it, whose `spec.suspend` decides.
        """
        return await self._switch(name, enabled=True)

    def enable_sync(self, name: str) -> ScheduleView:
        """Enable a schedule from code without an event loop; arguments and errors are those of `enable`."""
        return self._app.client.run_sync(lambda: self.enable(name))

    async def disable(self, name: str) -> ScheduleView:
        """Disable a schedule: ticks that become due count as missed, until `enable`. Errors are those of `enable`.

        It stays disabled when a worker starts that declares it. Jobs that were fired before continue.
        """
        return await self._switch(name, enabled=False)

    def disable_sync(self, name: str) -> ScheduleView:
        """Disable a schedule from code without an event loop; arguments and errors are those of `disable`."""
        return self._app.client.run_sync(lambda: self.disable(name))

    async def run(self, name: str) -> JobHandle[Any]:
        """Enqueue the job of a schedule now, in addition to its ticks, even if it is disabled.

        The run is listed by `fires`, and has no effect on ticks, counts and `concurrency_policy`.

        Raises:
            ScheduleNotFoundError: There is no such schedule.
            QueueFullError: The queue accepts no further job.
            StoreError: Redis refused the command or is unreachable.
        """
        schedule = (await self._find(name)).schedule
        job_id = await schedule_table.run_schedule(self._app.client.connection(), schedule)
        return JobHandle(self._app.client, id=job_id, queue=schedule.spec.job.queue)

    def run_sync(self, name: str) -> JobHandle[Any]:
        """Enqueue a job of a schedule from code without an event loop; arguments and errors are those of `run`."""
        return self._app.client.run_sync(lambda: self.run(name))

    async def edit(self, name: str, *, dry_run: bool = False, **changes: Unpack[EditValues]) -> ScheduleView:
        """Change a schedule: its times, its options or those of its job. What is not given stays.

        New times count from now on. A worker that starts writes again what `@app.cron` declares. To take an option
        away, make the schedule again with `cron`, `every` or `at`.

        Args:
            name: Name of the schedule.
            dry_run: Change nothing; the result says how the schedule would be. Default: False.
            cron, every, at: New times, as in the methods of these names; one of them at most.
            time_zone: IANA time zone of the cron expression.
            args: Arguments of the handler to change, by name. If it is a handler of this app, it checks them.
            concurrency_policy, catch_up, starting_deadline: As in `cron`.
            queue, priority, tags, timeout, retry, result_ttl, max_crashes, expires: As in `handler.options(…)`.
            metadata: Keys to change of the metadata of its jobs.

        Raises:
            ScheduleNotFoundError: There is no such schedule.
            ConfigurationError: A CronJobSpec declares it, or a value is invalid.
            ArgumentsError: The arguments do not match the handler's signature, or are not JSON.

        Example:
            >>> await app.scheduler.edit("refresh", every="5m", args={"full": True}, timeout="1m")
        """
        known = await self._find(name)
        schedule, spec = check_source("edit", known.schedule)
        changed = edited(schedule, spec, changes, self._app.handlers.get(spec.job.name))
        connection = self._app.client.connection()
        if dry_run:
            now = await server_time(connection)
            return describe(known.changed(changed, now), now)
        await schedule_table.save_schedule(connection, changed, known.declared, 0)
        return await self.get(changed.meta.key)

    def edit_sync(self, name: str, *, dry_run: bool = False, **changes: Unpack[EditValues]) -> ScheduleView:
        """Change a schedule from code without an event loop; arguments and errors are those of `edit`."""
        return self._app.client.run_sync(lambda: self.edit(name, dry_run=dry_run, **changes))

    async def delete(self, name: str) -> None:
        """Delete a schedule made in code. Jobs that were fired before continue.

        Raises:
            ScheduleNotFoundError: There is no such schedule.
            ConfigurationError: A CronJobSpec declares it: delete that object.
        """
        schedule, _ = check_source("delete", (await self._find(name)).schedule)
        await schedule_table.delete_schedule(self._app.client.connection(), schedule.meta.key)

    def delete_sync(self, name: str) -> None:
        """Delete a schedule from code without an event loop; arguments and errors are those of `delete`."""
        return self._app.client.run_sync(lambda: self.delete(name))

    async def next(self, name: str, limit: int = NEXT_RUNS) -> list[datetime]:
        """Return the next ticks, 10 by default, also those of a disabled schedule. Raises ScheduleNotFoundError."""
        known = await self._find(name)
        now = await server_time(self._app.client.connection())
        return next_runs(known.schedule, max(now, known.facts.handled_until), limit)

    def next_sync(self, name: str, limit: int = NEXT_RUNS) -> list[datetime]:
        """Return the next ticks from code without an event loop; arguments and errors are those of `next`."""
        return self._app.client.run_sync(lambda: self.next(name, limit))

    async def fires(self, name: str) -> list[FireView]:
        """Return the last 20 fires, the latest first, with the states of their jobs. Raises ScheduleNotFoundError."""
        return await schedule_table.recent_fires(self._app.client.connection(), (await self._find(name)).schedule)

    def fires_sync(self, name: str) -> list[FireView]:
        """Return the last 20 fires from code without an event loop; arguments and errors are those of `fires`."""
        return self._app.client.run_sync(lambda: self.fires(name))

    def list_sync(self) -> list[ScheduleView]:
        """Return all schedules from code without an event loop; errors are those of `list`."""
        return self._app.client.run_sync(self.list)

    async def list(self) -> list[ScheduleView]:
        """Return all schedules in this Redis, CronJobSpecs included, sorted by key. Raises StoreError."""
        connection = self._app.client.connection()
        known, now = await schedule_table.list_schedules(connection), await server_time(connection)
        return [describe(each, now) for each in known]

    def add(self, declaration: Declaration) -> None:
        """Add what `@app.cron` declares. Raises ConfigurationError if an option is invalid or the name is taken."""
        name = declaration.name
        if name in self.declared:
            raise ConfigurationError(f"@app.cron: duplicate schedule {name}; give one of them another name=")
        option_fields(f"schedule {name}", declaration.options)
        self.declared[name] = declaration

    async def declare(self, source: str) -> None:
        """Write what `@app.cron` declares, and delete what the same code declared before and no longer does.

        Args:
            source: The code, as in `shop.jobs:app`.

        Raises:
            ConfigurationError: A declaration is invalid, for example its arguments.
            ScheduleLimitError: There are too many schedules.
            StoreError: Redis refused the command or is unreachable.
        """
        connection = self._app.client.connection()
        for each in self.declared.values():
            try:
                call = each.handler.call(**each.args)
            except ArgumentsError as error:
                raise ConfigurationError(
                    f"schedule {each.name}: {error}; give the arguments as in @app.cron(…, args={{…}})"
                ) from error
            schedule = schedule_of(self._app.name, call, each.times, each.options, each.name)
            await schedule_table.save_schedule(connection, schedule, source, self._limit)
        kept = {code_key(self._app.name, name) for name in self.declared}
        for key, stored in (await schedule_table.read_code(connection)).items():
            if stored.declared == source and key not in kept:
                await schedule_table.delete_schedule(connection, key, stored.spec)

    async def _save(self, times: Mapping[str, Any], call: Call[Any], options: ScheduleValues) -> ScheduleView:
        schedule = schedule_of(self._app.name, call, times, options, options.get("name") or call.envelope.name)
        await schedule_table.save_schedule(self._app.client.connection(), schedule, "", self._limit)
        return await self.get(schedule.meta.key)

    async def _find(self, name: str) -> KnownSchedule:
        connection = self._app.client.connection()
        key = name if "/" in name else code_key(self._app.name, name)
        if (known := await schedule_table.read_schedule(connection, key)) is not None:
            return known
        others = [each.schedule.meta.key for each in await schedule_table.list_schedules(connection)]
        hint = did_you_mean(key, others) or "; app.scheduler.list() returns all schedules"
        raise ScheduleNotFoundError(f"schedule {name}: not found{hint}")

    async def _switch(self, name: str, *, enabled: bool) -> ScheduleView:
        schedule, _ = check_source("enable" if enabled else "disable", (await self._find(name)).schedule)
        await schedule_table.switch_schedule(self._app.client.connection(), schedule.meta.key, enabled=enabled)
        return await self.get(schedule.meta.key)
