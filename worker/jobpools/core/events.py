"""A Kubernetes event, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, said once."""

    reason: str
    message: str
    warning: bool = False
