"""`jobpools up`: the pools and schedules of YAML files on this machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobpools.cli.parameters import Namespace, Paths
from jobpools.cli.setting_options import ConfigFile, Preset

if TYPE_CHECKING:
    from jobpools.local.view import View

Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        help="URL of Redis or Valkey. Default: JOBPOOLS_REDIS_URL or that of the settings file, else an embedded "
        "Valkey that ends with this command.",
    ),
]
UntilIdle = Annotated[
    bool, typer.Option("--until-idle", help="End when all jobs have ended and all pools are at their minimum.")
]
Plot = Annotated[
    Path | None, typer.Option(metavar="PNG", help="Write a plot of queues and workers over time to this file.")
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder that keeps the embedded Valkey's data. Default: the data is deleted."),
]
Companion = Annotated[
    str | None,
    typer.Option(
        "--with",
        metavar="COMMAND",
        help="Command to run in addition to the pools, such as a web server. Its JOBPOOLS_REDIS_URL is set. "
        "--until-idle waits for its end. If it fails, so does the run.",
    ),
]
Fire = Annotated[bool, typer.Option("--fire", help="Fire every schedule once at the start.")]


def up(  # noqa: PLR0913  # a command's own options
    paths: Paths,
    *,
    redis: Redis = None,
    namespace: Namespace = "default",
    until_idle: UntilIdle = False,
    plot: Plot = None,
    data: Data = None,
    companion: Companion = None,
    fire: Fire = False,
    preset: Preset = None,
    config: ConfigFile = None,
) -> None:
    """Run the pools and schedules of YAML files on this machine.

    Workers are processes, which read the settings file as well. Ctrl-C lets them finish their running jobs; a second
    Ctrl-C hands the jobs back at once.
    """
    from jobpools.local.options import Options
    from jobpools.local.up import run
    from jobpools.settings_reader import Inputs, given_url, variables_of

    settings = {"redis_url": redis, "preset": preset, "config": config}
    options = Options(
        tuple(paths), namespace=namespace, redis=given_url(Inputs(settings)), data=data, until_idle=until_idle,
        plot=plot, companion=companion, fire=fire, variables=variables_of({"preset": preset, "config": config}),
    )  # fmt: skip
    raise typer.Exit(run(options, _make_view()))


def _make_view() -> "View":
    if sys.stdout.isatty():
        from jobpools.local.terminal_view import TerminalView

        return TerminalView()
    from jobpools.local.text_view import TextView

    return TextView()
