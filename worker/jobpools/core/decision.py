"""A decision: a value, and the reason for it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Decision(Generic[T_co]):
    """A value and why it was chosen; the condition, the event, the log line and the metric label come from it."""

    value: T_co
    reason: str
    """One stable CamelCase word that users may match on."""
    message: str
    """One sentence with the figures that led to the value."""
