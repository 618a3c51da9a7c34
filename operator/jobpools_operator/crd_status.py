"""The status of both kinds as CRD schemas, and the columns of `kubectl get`.

The descriptions are what `kubectl explain workerpool.status` shows.
"""

from typing import Any

Schema = dict[str, Any]


def _field(kind: str, text: str, **more: Any) -> Schema:
    return {"type": kind, "description": text} | more


def _instant(text: str) -> Schema:
    return _field("string", text, format="date-time")


OBSERVED = _field("integer", "Generation of the spec that this status describes.", format="int64")
CONDITION: Schema = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": _field("string", "Name of the condition."),
        "status": _field("string", "Whether the condition holds.", enum=["True", "False", "Unknown"]),
        "reason": _field("string", "One stable CamelCase word that says why."),
        "message": _field("string", "One sentence with the figures behind the reason."),
        "lastTransitionTime": _instant("When `status` last changed."),
        "observedGeneration": _field("integer", "Generation of the spec that the condition describes.", format="int64"),
    },
}
CONDITIONS: Schema = {
    "type": "array",
    "description": "Conditions, each with its reason. `kubectl describe` shows them.",
    "items": CONDITION,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}
WORKER: Schema = {
    "type": "object",
    "required": ["name", "ready"],
    "properties": {
        "name": _field("string", "Name of the worker's pod."),
        "ready": _field("boolean", "Whether the worker is ready to claim jobs."),
        "busy": _field("integer", "Slots in use, from the worker's last heartbeat."),
        "slots": _field("integer", "Maximum number of jobs that the worker runs at once."),
        "draining": _field("boolean", "Whether the worker has stopped claiming jobs."),
        "idleSince": _instant("Since when the worker has had no job."),
        "problem": _field("string", "Why the worker cannot run."),
    },
}


POOL_STATUS: Schema = {
    "type": "object",
    "description": "Observed state of the pool. Unknown figures are omitted.",
    "properties": {
        "replicas": _field("integer", "Number of workers that the pool is scaled to."),
        "readyReplicas": _field("integer", "Number of workers that are ready to claim jobs."),
        "pausedWorkers": _field(
            "integer",
            "Number of workers that `jobpools workers pause` has paused. The condition Paused says who paused them "
            "and why.",
        ),
        "busy": _field(
            "integer",
            "Slots in use, at most 5 s old. A slot is in use until Redis has recorded the end of its attempt.",
        ),
        "queued": _field(
            "integer",
            "Jobs that wait for a worker. The figure is updated when it reaches another step of 1, 2, 5, 10, 20, 50, …",
        ),
        "inFlight": _field("integer", "Jobs for which a worker holds a lease."),
        "scheduled": _field("integer", "Jobs whose start time is in the future."),
        "dead": _field("integer", "Jobs in the dead-letter queues."),
        "oldestSeconds": _field(
            "integer", "Seconds for which the oldest queued job has waited, updated in the same steps as `queued`."
        ),
        "completedPerMinute": _field("number", "Completed jobs per minute, averaged over the last minute."),
        "failureRate": _field(
            "number", "Share of the attempts of the last 5 minutes that failed, timed out or crashed, from 0 to 1."
        ),
        "selector": _field("string", "Label selector of the pool's pods, for `kubectl scale` and autoscalers."),
        "observedGeneration": OBSERVED,
        "workers": {
            "type": "array",
            "description": "At most ten of the workers; `jobpools workers` lists all.",
            "items": WORKER,
        },
        "conditions": CONDITIONS,
    },
}
SCHEDULE_STATUS: Schema = {
    "type": "object",
    "description": "Observed state of the schedule. Unknown figures are omitted.",
    "properties": {
        "nextScheduleTime": _instant("When the schedule fires next."),
        "lastScheduleTime": _instant("Due time of the last tick that fired."),
        "lastJob": {
            "type": "object",
            "description": "Job of the last tick that fired.",
            "properties": {
                "id": _field("string", "Id of the job."),
                "state": _field("string", "State of the job, such as `completed`."),
            },
        },
        "active": _field("integer", "Jobs of this schedule that have not ended."),
        "fired": _field("integer", "Number of ticks that fired, in total."),
        "missed": _field("integer", "Number of ticks that did not fire, in total."),
        "observedGeneration": OBSERVED,
        "conditions": CONDITIONS,
    },
}


def _column(name: str, kind: str, path: str, text: str, *, wide: bool = False) -> Schema:
    """Return a column of `kubectl get`; a wide one is shown only with `-o wide`."""
    return {"name": name, "type": kind, "jsonPath": path, "description": text} | ({"priority": 1} if wide else {})


READY_REASON = '.status.conditions[?(@.type=="Ready")].reason'
AGE = _column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created.")
POOL_COLUMNS = [
    _column("Ready", "integer", ".status.readyReplicas", "Number of workers that are ready to claim jobs."),
    _column("Desired", "integer", ".status.replicas", "Number of workers that the pool is scaled to."),
    _column("Busy", "integer", ".status.busy", "Slots in use."),
    _column("Queued", "integer", ".status.queued", "Jobs that wait for a worker."),
    _column("Oldest", "integer", ".status.oldestSeconds", "Seconds for which the oldest queued job has waited."),
    _column("Reason", "string", READY_REASON, "Reason of the condition Ready."),
    _column("Min", "integer", ".spec.scaling.min", "Minimum number of workers.", wide=True),
    _column("Max", "integer", ".spec.scaling.max", "Maximum number of workers.", wide=True),
    _column("In-Flight", "integer", ".status.inFlight", "Jobs for which a worker holds a lease.", wide=True),
    _column("Paused", "integer", ".status.pausedWorkers", "Number of paused workers.", wide=True),
    _column("Rate/Min", "number", ".status.completedPerMinute", "Completed jobs per minute.", wide=True),
    _column("Failures", "number", ".status.failureRate", "Share of attempts that failed, from 0 to 1.", wide=True),
    AGE,
]
SCHEDULE_COLUMNS = [
    _column("Schedule", "string", ".spec.schedule", "Cron expression; empty for a schedule with a single time."),
    _column("Timezone", "string", ".spec.timeZone", "IANA time zone of the cron expression."),
    _column("Suspend", "boolean", ".spec.suspend", "Whether the schedule is suspended."),
    _column("Next", "string", ".status.nextScheduleTime", "When the schedule fires next."),
    _column("Last", "date", ".status.lastScheduleTime", "Time since the last tick that fired."),
    _column("State", "string", ".status.lastJob.state", "State of the last job."),
    AGE,
]
