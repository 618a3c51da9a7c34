"""Every error that jobpools raises, as one tree.

    JobpoolsError
    ├── ConfigurationError      what the user wrote cannot work: YAML, settings, a handler's signature
    │   ├── SpecError           a YAML document; carries file, line and path
    │   └── AppImportError      `module:name` does not import or is not an App
    ├── EnqueueError            the job was not accepted; nothing was written
    │   ├── ArgumentsError      the arguments do not match the handler's signature
    │   ├── PayloadTooLargeError
    │   └── UnknownJobError     the app has no job of this name
    ├── StoreError              Redis or Valkey said no, or said nothing
    │   ├── StoreUnavailableError   cannot be reached now; worth another try
    │   ├── StoreAuthError      wrong user or password, or a command the ACL forbids
    │   └── StoreDataError      a key holds another type, or a value that this version cannot read
    ├── ObservationError        something of the cluster cannot be read: unknown, which is not zero
    └── JobError                a job's end, as `JobHandle.result()` raises it
        ├── JobDeadError        it is in the dead-letter queue
        ├── JobCancelledError
        ├── JobNotFoundError    no such job, or its result's TTL is over
        └── ResultTimeoutError  it had not ended within the time asked for

A message is one line that says what is wrong, where, and how to mend it. Errors of other libraries are translated at
the border of the layer that imports them and kept as `__cause__`.
"""


class JobpoolsError(Exception):
    """The root: `except JobpoolsError` catches everything of ours."""


class ConfigurationError(JobpoolsError):
    """What the user wrote cannot work."""


class SpecError(ConfigurationError):
    """A YAML document that is not a valid WorkerPool or CronJobSpec."""


class AppImportError(ConfigurationError):
    """`module:name` does not import, or is not an App."""


class EnqueueError(JobpoolsError):
    """The job was not accepted; nothing was written."""


class ArgumentsError(EnqueueError):
    """The arguments do not match the handler's signature."""


class PayloadTooLargeError(EnqueueError):
    """The encoded job is larger than the limit (default 1 MiB)."""


class UnknownJobError(EnqueueError):
    """The app has no job of this name."""


class StoreError(JobpoolsError):
    """Redis or Valkey said no, or said nothing."""


class StoreUnavailableError(StoreError):
    """Redis cannot be reached now, or refuses commands for now; worth another try.

    Whether an `enqueue` arrived is not known: send it again under an id of your own, and it is one job.
    """


class StoreAuthError(StoreError):
    """Wrong user or password, or a command that the ACL forbids."""


class StoreDataError(StoreError):
    """A key holds another type, or a value that this version cannot read."""


class ObservationError(JobpoolsError):
    """Something of the cluster cannot be read: the facts are unknown, and the message says why in one line."""


class JobError(JobpoolsError):
    """A job did not give a result."""


class JobDeadError(JobError):
    """The job is in the dead-letter queue."""


class JobCancelledError(JobError):
    """The job was cancelled."""


class JobNotFoundError(JobError):
    """No such job, or its result's TTL is over."""


class ResultTimeoutError(JobError):
    """The job had not ended within the time asked for."""
