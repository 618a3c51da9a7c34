"""/livez, /readyz and /metrics of the operator."""

from collections.abc import Callable, Iterator, Mapping

from jobpools.runtime.metrics import CONTENT_TYPE
from jobpools.runtime.probes import Answer
from jobpools_operator.kube.lease import Leadership
from jobpools_operator.wake import Control


def routes(control: Control, leadership: Leadership) -> Mapping[str, Callable[[], Answer]]:
    """Who answers what. A standby is ready as soon as its copies of the cluster are filled."""

    def livez() -> Answer:
        return _answer(leadership.alive, "alive", "the election stands still")

    def readyz() -> Answer:
        return _answer(control.tools.cluster.listed, "ready", "the cluster has not been listed yet")

    def metrics() -> Answer:
        return 200, CONTENT_TYPE, "".join(f"{line}\n" for line in _lines(control, leadership))

    return {"/livez": livez, "/readyz": readyz, "/metrics": metrics}


def _answer(good: bool, yes: str, no: str) -> Answer:  # noqa: FBT001  # what is asked
    return (200, "text/plain", f"{yes}\n") if good else (503, "text/plain", f"{no}\n")


def _lines(control: Control, leadership: Leadership) -> Iterator[str]:
    tools = control.tools
    for name, kind, text, value in (
        ("operator_leading", "gauge", "1: this operator acts; 0: it stands by.", int(leadership.leading)),
        ("operator_pools", "gauge", "WorkerPools that are looked after.", len(control.pools)),
        ("operator_pools_invalid", "gauge", "Objects whose spec cannot work.", len(control.invalid)),
        ("operator_schedules", "gauge", "CronJobSpecs that are looked after.", len(control.schedules)),
        ("operator_fires_total", "counter", "Ticks of schedules whose job was enqueued.", tools.fires),
        ("operator_endpoints", "gauge", "Redis endpoints in use.", len(control.endpoints)),
        ("operator_passes_total", "counter", "Looks at a pool.", tools.passes),
        ("operator_status_writes_total", "counter", "Statuses written.", tools.reporter.writes),
        ("operator_scalings_total", "counter", "PATCHes of /scale that were accepted.", tools.cluster.scalings),
        ("misdeletions_total", "counter", "Chosen idle workers that survived a scale-down.", tools.misdeletions),
    ):
        yield f"# HELP jobpools_{name} {text}"
        yield f"# TYPE jobpools_{name} {kind}"
        yield f"jobpools_{name} {value}"
