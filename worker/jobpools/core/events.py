"""A Kubernetes event, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, reported once."""

    reason: str
    """One stable CamelCase word that users may match on."""
    message: str
    warning: bool = False
    """Whether it has the type Warning in Kubernetes: a person should check it."""
