"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from jobpools.cli.output import Output
from jobpools.core.text.durations import parse_duration
from jobpools.errors import ConfigurationError

Paths = Annotated[
    list[Path], typer.Argument(metavar="FILES", help="YAML files, or folders of them.", show_default=False)
]
Namespace = Annotated[str, typer.Option(metavar="NAME", help="Namespace of objects that do not name one.")]
Redis = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", envvar="JOBPOOLS_REDIS_URL", help="URL of Redis or Valkey."),
]
Format = Annotated[Output, typer.Option("--output", "-o", help="Output format.")]
QueueName = Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Only jobs of this queue.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.", show_default=False)]
JobIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of the jobs.", show_default=False)]
AllDead = Annotated[bool, typer.Option("--all", help="All dead letters of --queue.")]
ListLimit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Maximum number of jobs.")]
AllLimit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Without ids: maximum number of jobs, the earliest first."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; print how many jobs are selected, and the first ids.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def seconds_of(option: str, text: str) -> float:
    """Return the seconds of a duration. Raises ConfigurationError, which names the option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from error
