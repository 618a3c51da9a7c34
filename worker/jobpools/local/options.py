"""The options of one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `jobpools up`."""

    paths: tuple[Path, ...]
    """YAML files, or folders that contain some."""
    namespace: str = "default"
    """Namespace of objects that do not name one."""
    redis: str | None = None
    """URL of the Redis to use; None: an embedded Valkey."""
    data: Path | None = None
    """Folder that keeps the embedded Valkey's data; None: the data is removed after the run."""
    until_idle: bool = False
    """End when all jobs have ended and all pools are at their minimum."""
    plot: Path | None = None
    """PNG of queues and workers over time that is written after the run."""
    companion: str | None = None
    """Command line of a program that runs in addition to the pools."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the workers, which options of the command line set."""
    fire: bool = False
    """Fire every schedule once at the start, in addition to its ticks."""
