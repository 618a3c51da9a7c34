"""`@app.cron`, and the attribute `app.scheduler`, which is imported at first use: most processes make no schedule."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from jobpools.client import Client
from jobpools.errors import ConfigurationError
from jobpools.handlers import Handler

if TYPE_CHECKING:
    from jobpools.schedule_options import ScheduleValues
    from jobpools.scheduler import Scheduler

DEFAULT_LIMIT = 1000
"""Maximum number of schedules made in code in one Redis."""

H = TypeVar("H", bound=Handler[..., Any])


class WithSchedules:
    """The part of an App that concerns schedules."""

    name: str
    handlers: dict[str, Handler[..., Any]]

    def __init__(self, max_schedules: int) -> None:
        self._max_schedules = max_schedules
        self._scheduler: Scheduler | None = None

    @property
    @abstractmethod
    def client(self) -> Client:
        """Return the client that reads and writes the schedules."""

    @property
    def scheduler(self) -> "Scheduler":
        """Return the schedules of this app, and of all others in its Redis.

        Example:
            >>> await app.scheduler.every("15m", refresh)
        """
        if self._scheduler is None:
            from jobpools.scheduler import Scheduler

            self._scheduler = Scheduler(self, self._max_schedules)
        return self._scheduler

    @property
    def declares_schedules(self) -> bool:
        """Return whether `@app.cron` declares a schedule."""
        return self._scheduler is not None and bool(self._scheduler.declared)

    def cron(
        self,
        expression: str,
        *,
        time_zone: str = "UTC",
        args: Mapping[str, Any] | None = None,
        **options: "Unpack[ScheduleValues]",
    ) -> Callable[[H], H]:
        """Declare a schedule of a handler, above `@app.job`. It is written to Redis when a worker of the app starts.

        A worker that starts also changes a schedule whose declaration has changed, and deletes one whose declaration
        is no longer in the code. A schedule that was disabled stays so.

        Args:
            expression: As in `app.scheduler.cron`.
            time_zone: IANA time zone of the expression. Default: UTC.
            args: The handler's arguments, by name. Default: none.
            name: Name of the schedule, unique in the app. Default: the handler's. A handler may have several.
            concurrency_policy: As in `app.scheduler.cron`; so are `catch_up` and `starting_deadline`.

        Raises:
            ConfigurationError: An argument is invalid, the name is taken, or the function below is not a job.

        Example:
            >>> @app.cron("0 6 * * *", time_zone="Europe/Berlin")
            ... @app.job(queue="reports")
            ... async def daily_report() -> None: ...
        """
        from jobpools.schedule_options import Declaration, cron_times

        times = cron_times("@app.cron", expression, time_zone)

        def declare(handler: H) -> H:
            if not isinstance(handler, Handler):
                raise ConfigurationError(f"@app.cron: {handler!r} is not a job; write @app.cron(…) above @app.job")
            name = options.get("name") or handler.name
            self.scheduler.add(Declaration(handler, args or {}, times, options, name))
            return handler

        return declare
