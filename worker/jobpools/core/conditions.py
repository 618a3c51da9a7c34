"""Conditions as Kubernetes writes them, made from decisions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobpools.core.decision import Decision

Condition = dict[str, Any]


def timestamp(seconds: float) -> str:
    """An instant as RFC 3339 in UTC, to the second, as in `2027-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(
    found: Mapping[str, Decision[bool | None]], before: Mapping[str, Any] | None, generation: int, now: float
) -> list[Condition]:
    """One condition a type, in the order given. `lastTransitionTime` changes only when the status does."""
    return [
        {
            "type": kind,
            "status": word(decision.value),
            "reason": decision.reason,
            "message": decision.message,
            "lastTransitionTime": _since(kind, word(decision.value), before, now),
            "observedGeneration": generation,
        }
        for kind, decision in found.items()
    ]


def condition(status: Mapping[str, Any] | None, kind: str) -> Condition:
    """The condition of this type, or an empty one."""
    known: Sequence[Condition] = (status or {}).get("conditions") or ()
    return next((each for each in known if each.get("type") == kind), {})


def word(value: bool | None) -> str:  # noqa: FBT001  a condition's three values are what this is about
    """True, False or Unknown."""
    return "Unknown" if value is None else str(value)


def _since(kind: str, status: str, before: Mapping[str, Any] | None, now: float) -> str:
    old = condition(before, kind)
    same = old.get("status") == status and old.get("lastTransitionTime")
    return str(old["lastTransitionTime"]) if same else timestamp(now)
