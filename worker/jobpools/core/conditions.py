"""Conditions in the form that Kubernetes uses, made from decisions."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from jobpools.core.decision import Decision
from jobpools.core.text.timestamps import timestamp

_Type = TypeVar("_Type", bound=str)


class Condition(TypedDict, total=False):
    """One entry of `status.conditions`."""

    type: str
    status: str
    """`True`, `False` or `Unknown`."""
    reason: str
    """One stable CamelCase word."""
    message: str
    """One sentence with the figures that led to the status."""
    lastTransitionTime: str
    """When `status` last changed."""
    observedGeneration: int
    """The generation of the spec that was judged."""


def conditions(
    decisions: Mapping[_Type, Decision[bool | None]], before: Mapping[str, Any] | None, generation: int, now: float
) -> list[Condition]:
    """Return one condition for each type, in the order given.

    Args:
        decisions: What was decided, by condition type.
        before: The object's status as last written: `lastTransitionTime` changes only when the status does.
        generation: The generation of the spec that was judged.
        now: Seconds since the epoch.
    """
    return [
        {
            "type": str(kind),
            "status": status_word(decision.value),
            "reason": str(decision.reason),
            "message": decision.message,
            "lastTransitionTime": _transition_time(kind, status_word(decision.value), before, now),
            "observedGeneration": generation,
        }
        for kind, decision in decisions.items()
    ]


def condition(status: Mapping[str, Any] | None, kind: str) -> Condition:
    """Return the condition of this type, or an empty one."""
    known: Sequence[Condition] = (status or {}).get("conditions") or ()
    return next((each for each in known if each.get("type") == kind), Condition())


def status_word(value: bool | None) -> str:  # noqa: FBT001  the three values of a condition
    """Return `True`, `False` or `Unknown`."""
    return "Unknown" if value is None else str(value)


def _transition_time(kind: str, status: str, before: Mapping[str, Any] | None, now: float) -> str:
    old = condition(before, kind)
    if old.get("status") == status and old.get("lastTransitionTime"):
        return str(old["lastTransitionTime"])
    return timestamp(now)
