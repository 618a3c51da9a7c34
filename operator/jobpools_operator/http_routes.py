"""/livez, /readyz and /metrics of the operator."""

from collections.abc import Iterator
from dataclasses import dataclass

from jobpools.observability.http_messages import Response, ok, unavailable
from jobpools.observability.http_server import Routes
from jobpools.observability.metrics_text import CONTENT_TYPE, Metric, counter, gauge, render
from jobpools_operator.controller import Controller
from jobpools_operator.kinds import Kind
from jobpools_operator.kube.cluster import KubeCluster
from jobpools_operator.kube.leadership import Leadership
from jobpools_operator.kube.status_writer import StatusWriter
from jobpools_operator.reporter import Counters


@dataclass(frozen=True)
class Sources:
    """The parts of the operator that the responses are read from."""

    controller: Controller
    leadership: Leadership
    cluster: KubeCluster
    status_writer: StatusWriter
    counters: Counters


def routes(sources: Sources) -> Routes:
    """Return the handler of each path. A standby is ready when its informers have listed the cluster."""

    def livez() -> Response:
        return ok("alive") if sources.leadership.is_alive else unavailable("leader election makes no progress")

    def readyz() -> Response:
        return ok("ready") if sources.cluster.is_listed else unavailable("the cluster has not been listed yet")

    def metrics() -> Response:
        return Response(200, CONTENT_TYPE, render(_collect(sources)))

    return {"/livez": livez, "/readyz": readyz, "/metrics": metrics}


def _collect(sources: Sources) -> Iterator[Metric]:
    registry, counters = sources.controller.registry, sources.counters
    yield gauge(
        "jobpools_operator_leading", "1: this operator is the leader; 0: a standby.", int(sources.leadership.is_leading)
    )
    yield gauge(
        "jobpools_operator_pools", "WorkerPools that this operator reconciles.", registry.count_valid(Kind.POOL)
    )
    yield gauge("jobpools_operator_pools_invalid", "Objects whose spec is invalid.", registry.count_invalid())
    yield gauge(
        "jobpools_operator_schedules",
        "CronJobSpecs that this operator reconciles.",
        registry.count_valid(Kind.SCHEDULE),
    )
    yield counter("jobpools_operator_fires_total", "Ticks of schedules whose job was enqueued.", counters.fires)
    yield gauge("jobpools_operator_endpoints", "Redis endpoints in use.", len(sources.controller.endpoints))
    yield counter("jobpools_operator_passes_total", "Passes that began; each reconciles one pool.", counters.passes)
    yield counter("jobpools_operator_status_writes_total", "Statuses written.", sources.status_writer.writes)
    yield counter("jobpools_operator_scalings_total", "PATCHes of /scale that were accepted.", sources.cluster.scalings)
    yield counter(
        "jobpools_misdeletions_total", "Idle workers chosen for a scale-down that survived it.", counters.misdeletions
    )
