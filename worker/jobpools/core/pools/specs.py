"""WorkerPool: what a user may write, what each field means, its default and its limits."""

from enum import StrEnum
from typing import Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from jobpools.core.jobs.policies import JobDefaults, QueueItem, QueuePolicy
from jobpools.core.objects import Meta, RedisRef
from jobpools.core.schema import Duration, Model
from jobpools.core.text.names import APP_PATTERN


class ScalingMode(StrEnum):
    """The source of the number of workers."""

    AUTO = "Auto"
    MANUAL = "Manual"


class ScalingPolicy(Model):
    """A maximum change within a period."""

    type: Literal["Workers", "Percent"]
    """Unit of `value`: `Workers`, or `Percent` of the number of workers at the start of the period."""
    value: int = Field(ge=1)
    """Maximum change within the period, in workers or percent."""
    period: Duration = 15.0
    """Period over which the change is measured."""


class ScalingRules(Model):
    """Limits on how fast the number of workers rises, as in the HorizontalPodAutoscaler, version 2."""

    stabilization: Duration = 0.0
    """How long a higher demand must last before the pool scales up."""
    policies: tuple[ScalingPolicy, ...] = ()
    """Limits on the change; the one that allows the largest change applies. Without policies there is no limit."""


class ScaleDownRules(ScalingRules):
    """Limits on how fast the number of workers falls, as in the HorizontalPodAutoscaler, version 2."""

    stabilization: Duration = 60.0
    """How long a lower demand must last before the pool scales down."""


class Behavior(Model):
    """The speed at which the pool scales up and down."""

    scale_up: ScalingRules = ScalingRules()
    """How fast the pool scales up. Without policies it goes straight to the number that it needs."""
    scale_down: ScaleDownRules = ScaleDownRules()
    """How fast the pool scales down. Without policies it goes straight to the highest demand within `stabilization`."""


class ScalingSchedule(Model):
    """A higher minimum number of workers at certain times."""

    cron: str
    """When the higher minimum begins: a cron expression of five fields, as in `0 8 * * 1-5`."""
    time_zone: str = "UTC"
    """IANA time zone of `cron`, as in `Europe/Berlin`."""
    duration: Duration
    """How long the higher minimum lasts, as in `10h`."""
    min: int = Field(ge=0)
    """Minimum number of workers during this time."""


class Scaling(Model):
    """The limits of the number of workers, and the rules that determine it."""

    mode: ScalingMode = ScalingMode.AUTO
    """`Auto`: jobpools sets the number of workers from the queues. `Manual`: `spec.replicas` sets it, which kubectl, an
    HPA or KEDA may change."""
    min: int = Field(default=0, ge=0, le=1000)
    """Minimum number of workers."""
    max: int = Field(default=10, ge=1, le=1000)
    """Maximum number of workers."""
    jobs_per_worker: int = Field(default=10, ge=1)
    """Target number of queued and running jobs per worker."""
    target_wait: Duration = 30.0
    """When the oldest queued job has waited longer than this, the pool gets one worker more than `jobsPerWorker` asks
    for."""
    idle: Duration = 60.0
    """How long the pool must have no jobs before it scales to `min`. `behavior.scaleDown.stabilization` must also have
    passed."""
    behavior: Behavior = Behavior()
    """How fast the pool scales up and down."""
    schedules: tuple[ScalingSchedule, ...] = ()
    """Higher minimums at certain times. `max` still applies."""

    @model_validator(mode="after")
    def _check_order(self) -> "Scaling":
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is greater than max ({self.max}); lower min or raise max")
        return self


class Alerts(Model):
    """Limits above which the condition Alerting becomes true. 0 switches an alert off."""

    queue_depth: int = Field(default=1000, ge=0)
    """Maximum number of queued jobs. 0 switches this alert off."""
    failure_rate: float = Field(default=0.1, ge=0, le=1)
    """Maximum share of the attempts of the last 5 minutes that failed, from 0 to 1. 0 switches this alert off."""
    latency: Duration = 300.0
    """Maximum age of the oldest queued job. `0s` switches this alert off."""
    worker_crashes: int = Field(default=3, ge=0)
    """Maximum number of attempts of the last 5 minutes that ended with the death of their worker. 0 switches this alert
    off."""
    dead_letters: int = Field(default=0, ge=0)
    """Maximum number of dead letters. 0 (default) switches this alert off."""


class PoolSpec(Model):
    """Desired state of a group of identical workers."""

    image: str | None = None
    """Container image with your code. `jobpools up` does not need it."""
    app: str = Field(pattern=APP_PATTERN)
    """Module and name of the `App` that a worker imports, as in `shop.jobs:app`."""
    queues: tuple[QueueItem, ...] = Field(min_length=1)
    """Queues that the workers serve: each a name, or a mapping with `name` and `weight`."""
    concurrency: int = Field(default=5, ge=1, le=1000)
    """Number of jobs that one worker runs at the same time."""
    replicas: int | None = Field(default=None, ge=0, le=1000)
    """Number of workers. Only with `scaling.mode: Manual`."""
    scaling: Scaling = Scaling()
    """How the number of workers is determined."""
    job: JobDefaults = JobDefaults()
    """Defaults for jobs; `@app.job` and `options` override them."""
    queue: QueuePolicy = QueuePolicy()
    """The order in which jobs are claimed, and how many jobs each queue accepts and keeps."""
    alerts: Alerts = Alerts()
    """Limits above which the condition Alerting becomes true."""
    paused: bool = False
    """Whether the pool is paused: its workers claim no jobs, running jobs finish, and the number of workers is held."""
    redis: RedisRef | None = None
    """Redis or Valkey that this pool uses. Default: the chart's."""
    template: dict[str, Any] = Field(default_factory=dict)
    """Pod template that is merged into the worker pods: `metadata` (labels, annotations) and `spec` (resources, env,
    volumes, nodeSelector and so on)."""

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: dict[str, Any]) -> dict[str, Any]:
        """Check the shape of what is read before the API server validates the pod: the CRD accepts anything here."""
        metadata, spec = template.get("metadata", {}), template.get("spec", {})
        mappings: dict[str, Any] = {"metadata": metadata, "spec": spec}
        if isinstance(metadata, dict):
            known = cast("dict[str, Any]", metadata)
            mappings |= {f"metadata.{key}": known.get(key, {}) for key in ("labels", "annotations")}
        if wrong := [path for path, found in mappings.items() if not isinstance(found, dict)]:
            raise ValueError(f"{wrong[0]} must be a mapping")
        containers = spec.get("containers", [])
        is_named = isinstance(containers, list) and all(
            isinstance(each, dict) and isinstance(cast("dict[str, Any]", each).get("name"), str)
            for each in cast("list[object]", containers)
        )
        if not is_named:
            raise ValueError("spec.containers must be a list of mappings, each with a name")
        return template

    @model_validator(mode="after")
    def _check_fields(self) -> "PoolSpec":
        names = [queue.name for queue in self.queues]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"duplicate queue: {', '.join(duplicates)}; list each queue once")
        if self.replicas is not None and self.scaling.mode is not ScalingMode.MANUAL:
            raise ValueError("replicas is used only with scaling.mode: Manual; remove it or set that mode")
        return self


class Pool(Model):
    """A WorkerPool of a cluster or of a file."""

    meta: Meta
    spec: PoolSpec
