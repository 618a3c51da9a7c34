"""Write docs/conditions.md from the docstrings of `ConditionType` and `Reason`."""

import ast
import inspect
import sys
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from jobpools.core.pools.reasons import ConditionType, Reason

HEAD = """\
# Conditions and events of a WorkerPool

`kubectl describe jobpool NAME` shows a pool's conditions: each has a status (`True`, `False` or `Unknown`), a reason
that programs may match on, and a message for people. `kubectl get jobpools` shows the reason of `Ready`. A condition
that becomes bad, and one that recovers, is reported as a Kubernetes event with the same reason.

Kubernetes' own reasons, such as `ImagePullBackOff`, `CreateContainerConfigError`, `Unschedulable` or `FailedCreate`,
are passed on in `Ready` and `Degraded`.

After a restart of the operator an alert that fires is recognised by the reason of `Alerting`. Further alerts fire again
when they exceed their limits.

This page is generated from the source by `make generate`.
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
    """Return the page: the conditions, then for each the reasons that it may have, then the events."""
    meanings, conditions = docstrings(Reason), docstrings(ConditionType)
    parts = [HEAD]
    for kind in ConditionType:
        shown = {str(each): meanings[each.name] for each in Reason if kind in each.conditions}
        parts.append(_section(kind, shown, conditions[kind.name]))
    parts.append(_section("Other events", {str(each): meanings[each.name] for each in Reason if not each.conditions}))
    return "\n".join(parts)


def _section(title: str, meanings: dict[str, str], intro: str = "") -> str:
    rows = [f"| `{reason}` | {meaning} |" for reason, meaning in meanings.items()]
    head = [f"## {title}\n", f"{intro}\n"] if intro else [f"## {title}\n"]
    return "\n".join([*head, "| reason | meaning |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
