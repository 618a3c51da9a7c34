"""The commands, their arguments and their help. What a command does is imported when it is called."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jobpools.errors import JobpoolsError

app = typer.Typer(
    name="jobpools",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Background jobs for Python: the same YAML on a laptop and on Kubernetes.",
)

Redis = Annotated[
    str | None, typer.Option("--redis", envvar="JOBPOOLS_REDIS_URL", help="URL of Redis or Valkey.", show_envvar=True)
]
Paths = Annotated[list[Path], typer.Argument(help="YAML files, or folders of them.", show_default=False)]


def run() -> int:
    """Run the command line; returns the exit code. An error of ours is one line on stderr."""
    try:
        result = app(standalone_mode=False)
    except JobpoolsError as error:
        sys.stderr.write(f"jobpools: {error}\n")
        return 1
    return result if isinstance(result, int) else 0


def _version(asked: bool) -> None:  # noqa: FBT001  # typer's way of an eager flag
    if asked:
        from importlib.metadata import version

        typer.echo(f"jobpools {version('jobpools')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: FBT002  # as above
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    del version


@app.command()
def up(
    paths: Paths,
    redis: Redis = None,
    namespace: Annotated[str, typer.Option(help="Of objects that name none.")] = "default",
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when all work is done.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw queues and workers over time into this PNG.")] = None,
    data: Annotated[Path | None, typer.Option(help="Keep the embedded Valkey's data here.")] = None,
) -> int:
    """Run the pools of YAML files on this machine."""
    from jobpools.local import up as local
    from jobpools.local.lines import Lines, View

    options = local.Options(tuple(paths), namespace, redis, data, until_idle, plot)
    view: View
    if sys.stdout.isatty():
        from jobpools.local.live import LiveView

        view = LiveView()
    else:
        view = Lines()
    return local.run(options, view)
