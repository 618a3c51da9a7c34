"""`App.jobs`: search the jobs of all queues, and change many of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Unpack

from jobpools.core.jobs.job_filter import JobFilter
from jobpools.core.text.durations import parse_duration
from jobpools.errors import ConfigurationError
from jobpools.filters import FilterValues, make_filter
from jobpools.handle import Endpoint, Span
from jobpools.handlers import Handler
from jobpools.job_record import JobRecord, record_of
from jobpools.options import at_least_one, checked, timestamp_of
from jobpools.store import job_changes
from jobpools.store.find_job import find_job
from jobpools.store.job_changes import Change
from jobpools.store.job_view import JobView
from jobpools.store.running_attempts import with_starts
from jobpools.store.search import search

PAGE = 50
"""Maximum number of jobs of a page, by default."""
FIRST_IDS = 10
"""Number of ids that a change returns."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Some of the jobs that match a filter."""

    jobs: list[JobRecord]
    cursor: str | None
    """Where the next page begins, for the same filter; None: the search is complete."""
    examined: int
    """Number of jobs that the search has examined, earlier pages included."""
    total: int
    """Approximate number of jobs that the search examines in all."""

    @property
    def is_complete(self) -> bool:
        """Return whether no page follows."""
        return self.cursor is None


@dataclass(frozen=True, slots=True)
class JobChanges:
    """The counts of a change of several jobs."""

    found: int
    """Number of selected jobs."""
    changed: int
    """Number of jobs that were changed; the others had changed their state meanwhile."""
    running: int
    """Of cancelled jobs: those that were running, which their workers stop."""
    ids: tuple[str, ...]
    """The first 10 ids of the selected jobs."""


class Jobs:
    """The jobs of all queues of one Redis, as `App.jobs` returns it."""

    def __init__(self, client: Endpoint, handlers: Mapping[str, Handler[..., Any]]) -> None:
        self._client = client
        self._handlers = handlers

    async def search(
        self, *, limit: int = PAGE, cursor: str | None = None, **conditions: Unpack[FilterValues]
    ) -> SearchPage:
        """Return jobs that match a filter, a page at a time.

        Scheduled and queued jobs come by priority and then in the order in which they run, ended jobs newest first. A
        page reads at most 10,000 jobs: if few match, it may have fewer than `limit` or none, and a cursor nevertheless.
        No index is kept: a search reads the jobs themselves. Arguments of completed jobs, and arguments and tags of
        cancelled ones, are not kept, so that they match no such condition.

        Args:
            limit: Maximum number of jobs. Default: 50.
            cursor: The `cursor` of the page before, which had the same filter. Default: the first page.
            state: One state or several, of which the job is in one. Default: any.
            queue: Name of the queue. Default: all queues.
            name: Name of the handler.
            worker: Id or host of the worker that runs the job, or ran an attempt that failed or crashed.
            tags: Tags, all of which the job has.
            text: Text in the arguments or in an attempt's error or message; upper and lower case are the same.
            reason: Why the job is dead, as in `"timeout"`.
            created_after, created_before: When it was enqueued: a datetime with a time zone, or how long ago, in
                seconds, as text such as `"2h"`, or as a timedelta. The time in a UUIDv7 counts.
            ended_after, ended_before: When it completed, was cancelled or died, in the same forms.

        Raises:
            ConfigurationError: A condition is invalid, or the cursor belongs to another filter.
            JobNotFoundError: The queue has never had a job.
            StoreError: Redis refused a command or is unreachable.

        Example:
            >>> page = await app.jobs.search(state="dead", queue="emails", text="timeout", ended_after="2h")
            >>> [job.id for job in page.jobs], page.is_complete
        """
        checked("search", {"limit": limit}, {"limit": at_least_one})
        chosen = make_filter("search", **conditions)
        found = await search(self._client.connection(), chosen, limit=limit, cursor=cursor)
        jobs = [self._record(view) for view in await with_starts(self._client.connection(), found.views)]
        return SearchPage(jobs, found.cursor, found.examined, found.total)

    def search_sync(
        self, *, limit: int = PAGE, cursor: str | None = None, **conditions: Unpack[FilterValues]
    ) -> SearchPage:
        """Search from code without an event loop; arguments and errors are those of `search`."""
        return self._client.run_sync(lambda: self.search(limit=limit, cursor=cursor, **conditions))

    async def get(self, id: str, queue: str | None = None) -> JobRecord:  # noqa: A002  # the job's own word
        """Return one job; `queue` None: of any queue.

        Raises:
            JobNotFoundError: There is no such job, or its record has expired.
            StoreError: Redis refused a command or is unreachable.
        """
        connection = self._client.connection()
        (view,) = await with_starts(connection, [await find_job(connection, id, queue)])
        return self._record(view)

    def get_sync(self, id: str, queue: str | None = None) -> JobRecord:  # noqa: A002  # the job's own word
        """Return one job, from code without an event loop; arguments and errors are those of `get`."""
        return self._client.run_sync(lambda: self.get(id, queue))

    def _record(self, view: JobView) -> JobRecord:
        handler = self._handlers.get(view.name)
        return record_of(view) if handler is None else record_of(view, handler.defaults)

    async def retry(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Put dead jobs back into their queue and reset their attempts.

        It changes the jobs with these ids, or those that match the conditions when the call begins, each once: a job
        that dies again meanwhile stays dead. `run_now`, `reschedule`, `cancel` and `delete` select jobs alike.

        Args:
            ids: Ids of jobs. Without ids, at least one condition is needed.
            limit: Without ids: maximum number of jobs, the earliest first. Default: all.
            dry_run: Change nothing; the result says which jobs are selected. Default: False.
            conditions: Those of `search`; with ids only `queue`.

        Raises:
            ConfigurationError: A condition is invalid, or a job with one of the ids is not dead.
            JobNotFoundError: There is no job with one of the ids, or the queue has never had a job.
            StoreError: Redis refused a command or is unreachable. Some jobs may be changed; call it again for the rest.

        Example:
            >>> changes = await app.jobs.retry(queue="emails", text="timeout", ended_after="2h")
            >>> changes.changed
        """
        return await self._change(Change.RETRY, ids, limit, conditions, dry_run=dry_run)

    def retry_sync(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Retry jobs from code without an event loop; arguments and errors are those of `retry`."""
        return self._client.run_sync(lambda: self.retry(*ids, limit=limit, dry_run=dry_run, **conditions))

    async def run_now(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Queue scheduled jobs at once: those with a delay, and those that wait for a retry.

        Arguments and errors are those of `retry`; a job with one of the ids must be scheduled.
        """
        return await self._change(Change.RUN_NOW, ids, limit, conditions, dry_run=dry_run)

    def run_now_sync(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Queue scheduled jobs from code without an event loop; arguments and errors are those of `run_now`."""
        return self._client.run_sync(lambda: self.run_now(*ids, limit=limit, dry_run=dry_run, **conditions))

    async def reschedule(
        self,
        *ids: str,
        at: datetime | None = None,
        delay: Span | None = None,
        limit: int | None = None,
        dry_run: bool = False,
        **conditions: Unpack[FilterValues],
    ) -> JobChanges:
        """Let queued and scheduled jobs wait for another time.

        Args:
            ids: Ids of jobs, as in `retry`; the jobs must be queued or scheduled.
            at: When they are due: a datetime with a time zone. Either `at` or `delay` is needed.
            delay: How long from now they wait: seconds, text such as `"1h30m"`, or a timedelta.
            limit, dry_run, conditions: As in `retry`, with its errors.

        Raises:
            QueueFullError: A queued job would exceed the `maxScheduled` of its queue. Some jobs may be changed; the
                others are still queued.

        Example:
            >>> await app.jobs.reschedule("order-1042", delay="10m")
        """
        return await self._change(Change.RESCHEDULE, ids, limit, conditions, dry_run=dry_run, due=_due(at, delay))

    def reschedule_sync(
        self,
        *ids: str,
        at: datetime | None = None,
        delay: Span | None = None,
        limit: int | None = None,
        dry_run: bool = False,
        **conditions: Unpack[FilterValues],
    ) -> JobChanges:
        """Reschedule jobs from code without an event loop; arguments and errors are those of `reschedule`."""
        return self._client.run_sync(
            lambda: self.reschedule(*ids, at=at, delay=delay, limit=limit, dry_run=dry_run, **conditions)
        )

    async def cancel(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Cancel jobs: queued and scheduled ones do not run, running ones are stopped by their workers.

        Arguments and errors are those of `retry`; jobs that have ended are left alone.
        """
        return await self._change(Change.CANCEL, ids, limit, conditions, dry_run=dry_run)

    def cancel_sync(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Cancel jobs from code without an event loop; arguments and errors are those of `cancel`."""
        return self._client.run_sync(lambda: self.cancel(*ids, limit=limit, dry_run=dry_run, **conditions))

    async def delete(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Delete dead jobs, and the records of completed and cancelled ones, for good.

        Arguments and errors are those of `retry`; a job with one of the ids must have ended.
        """
        return await self._change(Change.DELETE, ids, limit, conditions, dry_run=dry_run)

    def delete_sync(
        self, *ids: str, limit: int | None = None, dry_run: bool = False, **conditions: Unpack[FilterValues]
    ) -> JobChanges:
        """Delete jobs from code without an event loop; arguments and errors are those of `delete`."""
        return self._client.run_sync(lambda: self.delete(*ids, limit=limit, dry_run=dry_run, **conditions))

    async def _change(
        self,
        change: Change,
        ids: Sequence[str],
        limit: int | None,
        conditions: FilterValues,
        *,
        dry_run: bool,
        due: str = "",
    ) -> JobChanges:
        call = change.value.replace("-", "_")
        checked(call, {"limit": limit}, {"limit": at_least_one})
        chosen = make_filter(call, **conditions)
        _check_selection(call, ids, chosen)
        connection = self._client.connection()
        if ids:
            selected = await job_changes.select_ids(connection, change, ids, chosen.queue)
        else:
            selected = await job_changes.select_matching(connection, change, chosen, limit)
        found = [job.id for jobs in selected.values() for job in jobs]
        number = running = 0
        for queue, jobs in selected.items() if not dry_run else ():
            async for page in job_changes.changed(connection, change, queue, jobs, due):
                number += page.changed
                running += page.running
        return JobChanges(len(found), number, running, tuple(found[:FIRST_IDS]))


def _check_selection(call: str, ids: Sequence[str], chosen: JobFilter) -> None:
    """Raise ConfigurationError unless either ids or conditions are given."""
    if not ids and chosen.is_empty:
        raise ConfigurationError(f"{call}: no jobs are selected; give ids, or a condition such as queue='emails'")
    if ids and chosen != JobFilter(queue=chosen.queue):
        raise ConfigurationError(f"{call}: ids and conditions exclude each other, apart from queue; give one of them")


def _due(at: datetime | None, delay: Span | None) -> str:
    if (at is None) == (delay is None):
        raise ConfigurationError("reschedule: give either at or delay, as in delay='10m'")
    values = checked("reschedule", {"at": at, "delay": delay}, {"at": timestamp_of, "delay": parse_duration})
    return job_changes.due_argument(values.get("at"), values.get("delay", 0.0))
