"""Write docs/conditions.md from the docstrings of condition types and reasons."""

import ast
import inspect
import sys
import textwrap
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.reasons import SharedReason
from jobpools.core.schedules.reasons import Place, ScheduleReason

POOL_HEAD = """\
# Conditions and events

Each condition has a status (`True`, `False` or `Unknown`), a reason that programs may match on, and a message for
people. This page is generated from the source by `make generate`.

## WorkerPool

`kubectl describe jobpool NAME` shows a pool's conditions. `kubectl get jobpools` shows the reason of `Ready`. A
condition that becomes bad, and one that recovers, is reported as a Kubernetes event with the same reason.

Kubernetes' own reasons, such as `ImagePullBackOff`, `CreateContainerConfigError`, `Unschedulable` or `FailedCreate`,
are passed on in `Ready` and `Degraded`.

A firing alert stops when its figure is at 90 % of its limit or below. After a restart the operator knows only one
firing alert: the reason of `Alerting`. Any other alert fires again when its figure is above its limit.
"""
SCHEDULE_HEAD = """\
## CronJobSpec

`kubectl describe jobcron NAME` shows the condition `Ready` of a schedule, and its recent events.
"""


def docstrings(enum: type[StrEnum]) -> dict[str, str]:
    """Return the docstring below each member of an enum, by the member's name."""
    (tree,) = ast.parse(inspect.getsource(enum)).body
    found = {}
    for assignment, below in pairwise(tree.body):  # type: ignore[attr-defined]  # it is a class
        if isinstance(assignment, ast.Assign) and isinstance(below, ast.Expr):
            found[ast.unparse(assignment.targets[0])] = " ".join(ast.literal_eval(below.value).split())
    return found


def render() -> str:
    """Return the page: for each kind the conditions with the reasons that each may have, then the events."""
    return "\n".join([POOL_HEAD, *_pool_sections(), SCHEDULE_HEAD, *_schedule_sections()])


def _pool_sections() -> list[str]:
    conditions = docstrings(ConditionType)
    sections = []
    for kind in ConditionType:
        shared = list(SharedReason) if kind is ConditionType.READY else []
        reasons = [each for each in Reason if kind in each.conditions]
        sections.append(_section(kind, [*reasons, *shared], conditions[kind.name]))
    return [*sections, _section("Other events", [each for each in Reason if not each.conditions])]


def _schedule_sections() -> list[str]:
    places = docstrings(Place)
    sections = []
    for place in Place:
        shared = list(SharedReason) if place is Place.READY else []
        reasons = [each for each in ScheduleReason if place in each.places]
        sections.append(_section(f"{place} of a CronJobSpec", [*reasons, *shared], places[place.name]))
    return sections


def _section(title: str, reasons: list[StrEnum], intro: str = "") -> str:
    rows = [f"| `{reason}` | {docstrings(type(reason))[reason.name]} |" for reason in reasons]
    head = [f"### {title}\n", f"{textwrap.fill(intro, 120)}\n"] if intro else [f"### {title}\n"]
    return "\n".join([*head, "| reason | meaning |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
