"""/livez, /readyz and /metrics of the operator."""

from collections.abc import Iterator

from jobpools.observability.http_messages import Response, ok, unavailable
from jobpools.observability.http_server import Routes
from jobpools.observability.metrics_text import CONTENT_TYPE, Metric, counter, gauge, render
from jobpools_operator.kube.lease import Leadership
from jobpools_operator.wake import Control


def routes(control: Control, leadership: Leadership) -> Routes:
    """Return the function that answers each path. A standby is ready once its informers have listed the cluster."""

    def livez() -> Response:
        return ok("alive") if leadership.alive else unavailable("leader election makes no progress")

    def readyz() -> Response:
        return ok("ready") if control.tools.cluster.listed else unavailable("the cluster has not been listed yet")

    def metrics() -> Response:
        return Response(200, CONTENT_TYPE, render(_collect(control, leadership)))

    return {"/livez": livez, "/readyz": readyz, "/metrics": metrics}


def _collect(control: Control, leadership: Leadership) -> Iterator[Metric]:
    tools = control.tools
    yield gauge("jobpools_operator_leading", "1: this operator is the leader; 0: a standby.", int(leadership.leading))
    yield gauge("jobpools_operator_pools", "WorkerPools that this operator reconciles.", len(control.pools))
    yield gauge("jobpools_operator_pools_invalid", "Objects whose spec is invalid.", len(control.invalid))
    yield gauge("jobpools_operator_schedules", "CronJobSpecs that this operator reconciles.", len(control.schedules))
    yield counter("jobpools_operator_fires_total", "Ticks of schedules whose job was enqueued.", tools.fires)
    yield gauge("jobpools_operator_endpoints", "Redis endpoints in use.", len(control.endpoints))
    yield counter("jobpools_operator_passes_total", "Reconciles of one pool.", tools.passes)
    yield counter("jobpools_operator_status_writes_total", "Statuses written.", tools.reporter.writes)
    yield counter("jobpools_operator_scalings_total", "PATCHes of /scale that were accepted.", tools.cluster.scalings)
    yield counter(
        "jobpools_misdeletions_total", "Idle workers chosen for a scale-down that survived it.", tools.misdeletions
    )
