"""WorkerPool: what a user may write, what each field means, its default and its limits."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from jobpools.core.jobs.policies import JobDefaults, QueueEntry, QueuePolicy
from jobpools.core.objects import Meta, RedisRef
from jobpools.core.schema import Duration, Model
from jobpools.core.text.names import APP_PATTERN


class ScalingMode(StrEnum):
    """Who decides the number of workers."""

    AUTO = "Auto"
    MANUAL = "Manual"


class ScalingPolicy(Model):
    """At most this much change in this time."""

    type: Literal["Workers", "Percent"]
    """`Workers`: a number; `Percent`: of the workers there were at the period's start."""
    value: int = Field(ge=1)
    """How many, or how many per cent."""
    period: Duration = 15.0
    """The time it counts for."""


class ScalingRules(Model):
    """How fast one direction goes; the names and meanings are those of the HorizontalPodAutoscaler, version 2."""

    stabilization: Duration = 0.0
    """How long a higher need must last before it counts."""
    policies: tuple[ScalingPolicy, ...] = ()
    """The most generous one holds; none: no limit."""


class ShrinkingRules(ScalingRules):
    """How fast it shrinks."""

    stabilization: Duration = 60.0
    """How long a lower need must last before it counts."""


class Behavior(Model):
    """How fast a pool grows and shrinks."""

    scale_up: ScalingRules = ScalingRules()
    """How fast it grows; without policies straight to the target."""
    scale_down: ShrinkingRules = ShrinkingRules()
    """How fast it shrinks; without policies to the highest need of the time `stabilization`."""


class ScalingSchedule(Model):
    """A higher minimum at certain times."""

    cron: str
    """When it begins: a cron expression of five fields."""
    time_zone: str = "UTC"
    """The IANA time zone of `cron`."""
    duration: Duration
    """How long it lasts."""
    min: int = Field(ge=0)
    """The least number of workers meanwhile."""


class Scaling(Model):
    """How many workers there are."""

    mode: ScalingMode = ScalingMode.AUTO
    """`Auto`: jobpools decides by the queues; `Manual`: `spec.replicas` says (kubectl, HPA or KEDA may set it)."""
    min: int = Field(default=0, ge=0, le=1000)
    """The least number of workers."""
    max: int = Field(default=10, ge=1, le=1000)
    """The greatest number of workers."""
    jobs_per_worker: int = Field(default=10, ge=1)
    """How many queued and running jobs one worker answers for."""
    target_wait: Duration = 30.0
    """When the oldest job has waited longer than this, one more worker than the depth asks for is started."""
    idle: Duration = 60.0
    """How long nothing may be queued or running before the pool goes to its minimum; `behavior.scaleDown.stabilization`
    must be over as well."""
    behavior: Behavior = Behavior()
    """How fast it grows and shrinks."""
    schedules: tuple[ScalingSchedule, ...] = ()
    """Higher minimums at certain times."""

    @model_validator(mode="after")
    def _ordered(self) -> "Scaling":
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is greater than max ({self.max})")
        return self


class Alerts(Model):
    """Above which figures the condition Alerting becomes true; 0 switches one off."""

    queue_depth: int = Field(default=1000, ge=0)
    """Queued jobs."""
    failure_rate: float = Field(default=0.1, ge=0, le=1)
    """Failed attempts among all attempts of the last minutes."""
    latency: Duration = 300.0
    """The age of the oldest queued job."""
    worker_crashes: int = Field(default=3, ge=0)
    """Crashed attempts of the last minutes."""


class PoolSpec(Model):
    """A group of equal workers and how many of them there are."""

    image: str | None = None
    """The container image with your code; a laptop needs none."""
    app: str = Field(pattern=APP_PATTERN)
    """What a worker imports, as in `shop.jobs:app`."""
    queues: tuple[QueueEntry, ...] = Field(min_length=1)
    """The queues it serves, each with an optional weight."""
    concurrency: int = Field(default=5, ge=1, le=1000)
    """Slots per worker: how many jobs one worker runs at once."""
    replicas: int | None = Field(default=None, ge=0, le=1000)
    """The number of workers, only with `scaling.mode: Manual`."""
    scaling: Scaling = Scaling()
    """How many workers there are."""
    job: JobDefaults = JobDefaults()
    """What holds for jobs that do not say otherwise."""
    queue: QueuePolicy = QueuePolicy()
    """In which order jobs are claimed."""
    alerts: Alerts = Alerts()
    """Above which figures the condition Alerting becomes true."""
    paused: bool = False
    """Workers claim no more jobs and the number of workers is held."""
    redis: RedisRef | None = None
    """Default: the one that the chart was installed with."""
    template: dict[str, Any] = Field(default_factory=dict)
    """Merged into the pod: metadata (labels, annotations) and spec (resources, env, volumes, nodeSelector…)."""

    @field_validator("template")
    @classmethod
    def _mergeable(cls, template: dict[str, Any]) -> dict[str, Any]:
        """The CRD lets anything pass here; what is read before the API server judges the pod must have its shape."""
        metadata, spec = template.get("metadata", {}), template.get("spec", {})
        mappings = {"metadata": metadata, "spec": spec}
        if isinstance(metadata, dict):
            mappings |= {f"metadata.{key}": metadata.get(key, {}) for key in ("labels", "annotations")}
        if wrong := [path for path, found in mappings.items() if not isinstance(found, dict)]:
            raise ValueError(f"{wrong[0]} is to be a mapping")
        containers = spec.get("containers", [])
        named = isinstance(containers, list) and all(
            isinstance(each, dict) and isinstance(each.get("name"), str) for each in containers
        )
        if not named:
            raise ValueError("spec.containers is to be a list of mappings with a name each")
        return template

    @model_validator(mode="after")
    def _distinct(self) -> "PoolSpec":
        names = [queue.name for queue in self.queues]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"queues: {', '.join(twice)} is there twice")
        if self.replicas is not None and self.scaling.mode is not ScalingMode.MANUAL:
            raise ValueError("replicas counts only with scaling.mode: Manual")
        return self


class Pool(Model):
    """A WorkerPool object: a cluster's or a file's."""

    meta: Meta
    spec: PoolSpec
