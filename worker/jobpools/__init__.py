"""Kubernetes-native background jobs for Python: `App`, `@app.job`, `enqueue`.

from jobpools import App, Context, Retry

app = App("shop")

@app.job(queue="emails", retry=Retry(max_attempts=5), timeout="2m")
async def order_confirmation(ctx: Context, to: str, order: int) -> str: ...

job = await order_confirmation.enqueue(to="ada@example.com", order=7)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobpools.app import App
    from jobpools.client import Call, Client
    from jobpools.context import Context
    from jobpools.core.jobs.job import DeadReason, JobState, Priority
    from jobpools.core.jobs.retry import Retry
    from jobpools.core.jobs.settlement_requests import Discard, RetryAfter, SettlementRequest, Snooze
    from jobpools.core.schedules.listing import FireView, ScheduleView
    from jobpools.enqueue_hooks import OutgoingJob
    from jobpools.errors import (
        AppImportError,
        ArgumentsError,
        ConfigurationError,
        EnqueueError,
        JobCancelledError,
        JobDeadError,
        JobError,
        JobNotFoundError,
        JobpoolsError,
        PayloadTooLargeError,
        QueueFullError,
        ResultTimeoutError,
        ScheduleLimitError,
        ScheduleNotFoundError,
        SettingsError,
        SpecError,
        StoreAuthError,
        StoreDataError,
        StoreError,
        StoreUnavailableError,
        UnknownJobError,
    )
    from jobpools.handle import JobHandle
    from jobpools.handlers import Handler
    from jobpools.job_record import JobRecord
    from jobpools.jobs import JobChanges, Jobs, SearchPage
    from jobpools.middleware import Middleware, Next
    from jobpools.observability.job_fields import JobLogFilter
    from jobpools.result_iteration import results, results_sync
    from jobpools.scheduler import Scheduler

__all__ = [
    "App",
    "AppImportError",
    "ArgumentsError",
    "Call",
    "Client",
    "ConfigurationError",
    "Context",
    "DeadReason",
    "Discard",
    "EnqueueError",
    "FireView",
    "Handler",
    "JobCancelledError",
    "JobChanges",
    "JobDeadError",
    "JobError",
    "JobHandle",
    "JobLogFilter",
    "JobNotFoundError",
    "JobRecord",
    "JobState",
    "JobpoolsError",
    "Jobs",
    "Middleware",
    "Next",
    "OutgoingJob",
    "PayloadTooLargeError",
    "Priority",
    "QueueFullError",
    "ResultTimeoutError",
    "Retry",
    "RetryAfter",
    "ScheduleLimitError",
    "ScheduleNotFoundError",
    "ScheduleView",
    "Scheduler",
    "SearchPage",
    "SettingsError",
    "SettlementRequest",
    "Snooze",
    "SpecError",
    "StoreAuthError",
    "StoreDataError",
    "StoreError",
    "StoreUnavailableError",
    "UnknownJobError",
    "results",
    "results_sync",
]

_MODULE_OF = {
    "App": "jobpools.app",
    "Call": "jobpools.client",
    "Client": "jobpools.client",
    "Context": "jobpools.context",
    "DeadReason": "jobpools.core.jobs.job",
    "Discard": "jobpools.core.jobs.settlement_requests",
    "FireView": "jobpools.core.schedules.listing",
    "Handler": "jobpools.handlers",
    "JobChanges": "jobpools.jobs",
    "JobHandle": "jobpools.handle",
    "JobLogFilter": "jobpools.observability.job_fields",
    "JobRecord": "jobpools.job_record",
    "JobState": "jobpools.core.jobs.job",
    "Jobs": "jobpools.jobs",
    "Middleware": "jobpools.middleware",
    "Next": "jobpools.middleware",
    "OutgoingJob": "jobpools.enqueue_hooks",
    "Priority": "jobpools.core.jobs.job",
    "Retry": "jobpools.core.jobs.retry",
    "RetryAfter": "jobpools.core.jobs.settlement_requests",
    "ScheduleView": "jobpools.core.schedules.listing",
    "Scheduler": "jobpools.scheduler",
    "SettlementRequest": "jobpools.core.jobs.settlement_requests",
    "Snooze": "jobpools.core.jobs.settlement_requests",
    "SearchPage": "jobpools.jobs",
    "results": "jobpools.result_iteration",
    "results_sync": "jobpools.result_iteration",
}
"""Module of each name; all other names are in `errors`. Modules are imported at first use, to keep the start fast."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'jobpools' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF.get(name, "jobpools.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
