"""The commands, their arguments and their help. What a command does is imported when it is called."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jobpools.cli import listings, schedule_commands, shell

app = typer.Typer(
    name="jobpools",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Background jobs for Python: the same YAML on a laptop and on Kubernetes.",
    epilog=shell.examples(
        "up deploy/", "enqueue shop.jobs:app report day=2027-01-01 --wait 60", "queues --output json"
    ),
)

_BESIDE = (
    "Run this beside the pools, with JOBPOOLS_REDIS_URL set: a web server, a script that enqueues. --until-idle waits "
    "for its end; if it fails, so does the run."
)
_SERVER = "The Redis or Valkey to use; default: an embedded one, for as long as this runs."


def run() -> None:
    """Run the command line and exit."""
    shell.run(app)


def _version(asked: bool) -> None:  # noqa: FBT001  # typer's way of an eager flag
    if asked:
        from importlib.metadata import version

        shell.put(f"jobpools {version('jobpools')}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: FBT002  # as above
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    del version


@app.command(
    epilog=shell.examples(
        "up shop.yaml",
        "up deploy/ --redis redis://127.0.0.1:6379/0",
        "up . --until-idle --plot run.png",
        "up . --with 'python -m shop.web'",
    )
)
def up(  # noqa: PLR0913  # a command's own flags
    paths: listings.Paths,
    *,
    redis: Annotated[str | None, typer.Option("--redis", envvar="JOBPOOLS_REDIS_URL", help=_SERVER)] = None,
    namespace: listings.Namespace = "default",
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when all work is done.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw queues and workers over time into this PNG.")] = None,
    data: Annotated[Path | None, typer.Option(help="Keep the embedded Valkey's data in this folder.")] = None,
    beside: Annotated[str | None, typer.Option("--with", metavar="COMMAND", help=_BESIDE)] = None,
    fire: Annotated[bool, typer.Option("--fire", help="Also fire every schedule once at the start.")] = False,
) -> None:
    """Run the pools and schedules of YAML files on this machine. Ctrl-C drains; a second one hands back at once."""
    from jobpools.local import up as local
    from jobpools.local.options import Options
    from jobpools.local.view import View

    options = Options(tuple(paths), namespace, redis, data, until_idle, plot, beside, fire)
    view: View
    if sys.stdout.isatty():
        from jobpools.local.terminal_view import TerminalView

        view = TerminalView()
    else:
        from jobpools.local.text_view import TextView

        view = TextView()
    raise typer.Exit(local.run(options, view))


@app.command(
    epilog=shell.examples("worker shop.jobs:app", "worker shop.jobs:app --queues emails,reports=2 --concurrency 20")
)
def worker(  # noqa: PLR0913  # a command's own flags
    name: Annotated[str | None, typer.Argument(metavar="[APP]", help="module:name of the App [JOBPOOLS_APP].")] = None,
    *,
    redis: Annotated[str | None, typer.Option("--redis", help="URL of Redis or Valkey [JOBPOOLS_REDIS_URL].")] = None,
    queues: Annotated[
        str | None, typer.Option(help="emails,reports=2 with weights; default: those of the app.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Slots: jobs at once.")] = None,
    pool: Annotated[str | None, typer.Option(help="namespace/name that it reports under.")] = None,
    grace: Annotated[str | None, typer.Option(help="What running jobs get after SIGTERM, as in 30s.")] = None,
    probe_port: Annotated[int | None, typer.Option(help="Serve /livez, /readyz and /metrics there.")] = None,
    log: Annotated[str | None, typer.Option(help="text or json.")] = None,
) -> None:
    """Run one worker in this process. What no flag says, the environment says (JOBPOOLS_…)."""
    from jobpools.cli import worker as process

    flags = {"app": name, "redis_url": redis, "concurrency": concurrency, "pool": pool, "grace": grace,
             "probe_port": probe_port, "log": log}  # fmt: skip
    if queues is not None:
        from jobpools.settings import parse_queues

        flags["queues"] = parse_queues(queues)  # type: ignore[assignment]  # of its own type
    raise typer.Exit(process.run(flags))


@app.command(
    epilog=shell.examples(
        "enqueue shop.jobs:app order_confirmation to=ada@example.com order='{\"id\": 1}'",
        "enqueue order_confirmation to=ada@example.com --queue emails --delay 10m",
        "enqueue shop.jobs:app report day=2027-01-01 --wait 60",
    )
)
def enqueue(  # noqa: PLR0913  # a command's own flags
    target: Annotated[
        str,
        typer.Argument(
            metavar="APP NAME | NAME", help="module:app and the job's name; or the name alone with --queue."
        ),
    ],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[name=value]...", help="Arguments; what is JSON is taken as JSON.")
    ] = None,
    *,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Default: the handler's.")] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low.")] = None,
    delay: Annotated[str | None, typer.Option(help="Not before this much later, as in 10m.")] = None,
    at: Annotated[str | None, typer.Option(help="Not before this time, as in 2027-01-01T09:00:00Z.")] = None,
    id: Annotated[str | None, typer.Option(help="The job's own id; a second one of it is not accepted.")] = None,  # noqa: A002  # the job's own word
    tag: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    wait: Annotated[float | None, typer.Option(min=0, help="Wait so many seconds for the result and print it.")] = None,
    redis: Annotated[
        str | None, typer.Option("--redis", help="URL of Redis or Valkey; default: the app's [JOBPOOLS_REDIS_URL].")
    ] = None,
) -> None:
    """Enqueue one job and print its id."""
    import json

    from pydantic_core import to_jsonable_python

    from jobpools.cli import enqueue_job

    given = {"queue": queue, "priority": priority, "delay": delay, "at": at, "id": id, "tags": tag}
    handle, result = enqueue_job.send(target, words or [], given, redis, wait)
    if not handle.new:
        sys.stderr.write(f"job {handle.id} is there already in queue {handle.queue}: nothing was written\n")
    if wait is None:
        shell.put(f"{handle.id}\n")
        return
    shown = to_jsonable_python(result, inf_nan_mode="strings", fallback=str)
    shell.put(f"{json.dumps(shown, ensure_ascii=False)}\n")


app.command(epilog=shell.examples("pools", "pools --output json"))(listings.pools)
app.command(epilog=shell.examples("queues", "queues --output json"))(listings.queues)
app.command(epilog=shell.examples("workers", "workers --output yaml"))(listings.workers)
app.add_typer(listings.jobs, name="jobs")
app.add_typer(listings.dead, name="dead")
app.add_typer(schedule_commands.cron, name="cron")
app.command(epilog=shell.examples("stats", "stats --over 10s --output json"))(listings.stats)
app.command(epilog=shell.examples("plan deploy/", "plan a.yaml b.yaml --output json"))(listings.plan)
