"""Every error that jobpools raises, as one tree.

    JobpoolsError
    ├── ConfigurationError      an invalid spec, setting, option or handler
    │   ├── SpecError           an invalid WorkerPool or CronJobSpec; the message has file, line and path
    │   ├── SettingsError       settings of a process are unknown or invalid; it lists all of them
    │   └── AppImportError      `module:name` does not import or is not an App
    ├── EnqueueError            a job was not accepted; it was not written
    │   ├── ArgumentsError      the arguments do not match the handler's signature
    │   ├── PayloadTooLargeError
    │   ├── QueueFullError      the queue accepts no more jobs; of several jobs, some may be enqueued
    │   └── UnknownJobError     the app has no job of this name
    ├── ScheduleLimitError      the app's limit of schedules made in code is reached
    ├── ScheduleNotFoundError   no such schedule
    ├── StoreError              Redis or Valkey refused a command or is unreachable
    │   ├── StoreUnavailableError   unreachable, or refuses commands for now; retryable
    │   ├── StoreAuthError      wrong user or password, or a command that the ACL forbids
    │   └── StoreDataError      a key of another type, or a value that this version cannot read
    ├── ObservationError        a part of the cluster cannot be read; its state is unknown
    └── JobError                a job has no result; raised by `JobHandle.result()`
        ├── JobDeadError        the job is in the dead-letter queue
        ├── JobCancelledError
        ├── JobNotFoundError    no such job, or its result has expired
        └── ResultTimeoutError  the job did not end within the timeout

A message is one line: `<where>: <what is wrong>; <how to fix it>`. The layer that imports another library translates
that library's errors and keeps them as `__cause__`.
"""

from collections.abc import Iterable


class JobpoolsError(Exception):
    """Base class of all errors that jobpools raises."""


class ConfigurationError(JobpoolsError):
    """A spec, a setting, an option or a handler is invalid."""


class SpecError(ConfigurationError):
    """A YAML document is not a valid WorkerPool or CronJobSpec."""


class SettingsError(ConfigurationError):
    """Settings of a process are unknown or invalid; the message has one line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems, each as `<where>: <what is wrong>; <how to fix it>`."""
        self.problems: tuple[str, ...] = tuple(problems)
        """What is wrong, one line for each setting."""
        super().__init__("\n".join(self.problems))


class AppImportError(ConfigurationError):
    """`module:name` cannot be imported, or is not an App."""


class EnqueueError(JobpoolsError):
    """A job was not enqueued; it was not written to Redis."""


class ArgumentsError(EnqueueError):
    """The arguments do not match the handler's signature."""


class PayloadTooLargeError(EnqueueError):
    """The encoded job is larger than `max_payload` (default 1 MiB)."""


class QueueFullError(EnqueueError):
    """The queue holds as many queued or scheduled jobs as it accepts. Of several jobs, some may be enqueued."""


class UnknownJobError(EnqueueError):
    """The app has no handler of this name."""


class ScheduleLimitError(JobpoolsError):
    """There are as many schedules made in code as `App(max_schedules=…)` allows (default 1,000)."""


class ScheduleNotFoundError(JobpoolsError):
    """There is no schedule of this name."""


class StoreError(JobpoolsError):
    """Redis or Valkey refused a command or is unreachable."""


class StoreUnavailableError(StoreError):
    """Redis is unreachable, or refuses commands for now (it is loading, full or a replica). The call can be retried.

    After an `enqueue` it is unknown whether the job was enqueued. A retry with the same `id` enqueues it at most once.
    """


class StoreAuthError(StoreError):
    """Redis refuses the user or password, or the ACL forbids a command."""


class StoreDataError(StoreError):
    """A key has another type, or contains a value that this version cannot read."""


class ObservationError(JobpoolsError):
    """A part of the cluster cannot be read, so its state is unknown; the message says why, in one line."""


class JobError(JobpoolsError):
    """A job has no result."""


class RemoteTraceback(Exception):  # noqa: N818  # it is only shown
    """The cause of a JobDeadError: the traceback of an error in a worker, as text. It is never raised by itself."""

    def __str__(self) -> str:
        """Return the traceback between two lines of quotes, as `concurrent.futures` shows it."""
        return f'\n"""\n{str(self.args[0]).rstrip()}\n"""'


class JobDeadError(JobError):
    """The job is in the dead-letter queue."""

    def __init__(  # noqa: PLR0913  # what is known of the job
        self,
        message: str,
        reason: str = "",
        *,
        error_type: str = "",
        error_message: str = "",
        remote_traceback: str = "",
        attempts: int = 0,
        crashes: int = 0,
    ) -> None:
        """Keep the facts; the message is one line. A printed exception shows the worker's traceback as its cause."""
        super().__init__(message)
        self.reason = reason
        """Why it is dead, a DeadReason: `attempts`, `crashed`, `timeout`, `overflow`, `invalid`, `expired` or
        `discarded`. Empty: an older jobpools wrote it."""
        self.error_type = error_type
        """Type of the last attempt's error: `ValueError`, `httpx.ConnectError`. It is a name, and is never imported."""
        self.error_message = error_message
        """Message of the last attempt's error, in one line."""
        self.remote_traceback = remote_traceback
        """Traceback of the last attempt's error in its worker, as text. Empty: it has none, such as a timeout."""
        self.attempts = attempts
        """Number of failed and timed-out attempts."""
        self.crashes = crashes
        """Number of attempts whose worker crashed."""
        if remote_traceback:
            self.__cause__ = RemoteTraceback(remote_traceback)


class JobCancelledError(JobError):
    """The job was cancelled."""


class JobNotFoundError(JobError):
    """The job does not exist, or its result has expired (`result_ttl`)."""


class ResultTimeoutError(JobError):
    """The job did not end within the timeout of `result`. It continues to run."""
