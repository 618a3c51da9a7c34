"""Round the figures of a status, which is written again only when a rounded figure changes."""

from collections.abc import Mapping
from typing import Any, Final

ROUNDED_FIGURES: Final = ("queued", "inFlight", "scheduled", "dead", "oldestSeconds", "completedPerMinute")
"""Figures that are written only when they reach another step."""


def round_down(count: float) -> int:
    """Return the largest of 0, 1, 2, 5, 10, 20, 50… that is at most `count`."""
    power = 1
    while power * 10 <= count:
        power *= 10
    return next((step * power for step in (5, 2, 1) if step * power <= count), 0)


def round_status(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CRD status reduced to what is worth a write: figures rounded down, workers and conditions in short."""
    rounded = dict(status)
    for name in ROUNDED_FIGURES:
        if name in rounded:
            rounded[name] = round_down(rounded[name])
    rounded["workers"] = [(each["name"], each["ready"], each.get("problem")) for each in status.get("workers", ())]
    rounded["conditions"] = [(each["type"], each["status"], each["reason"]) for each in status.get("conditions", ())]
    return rounded
