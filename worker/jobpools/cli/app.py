"""The commands `up`, `worker` and `enqueue`, and the table of all commands.

Each command imports what it needs when it runs, so that `--help` and `worker` start fast.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jobpools.cli import dead_letter_commands, job_commands, overview_commands, schedule_commands
from jobpools.cli.command_group import Command, Group, examples
from jobpools.cli.parameters import Namespace, Paths
from jobpools.cli.terminal import write

app = typer.Typer(
    name="jobpools",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Background jobs for Python. The same YAML runs on a laptop and on Kubernetes.",
    epilog=examples("up deploy/", "enqueue shop.jobs:app report day=2027-01-01 --wait 60", "queues --output json"),
)

_COMPANION = (
    "Command to run beside the pools, such as a web server, with JOBPOOLS_REDIS_URL set. --until-idle waits for its "
    "end, and if it fails, so does the run."
)
_SERVER = "URL of Redis or Valkey. Default: an embedded Valkey that ends with this command."


def _print_version(requested: bool) -> None:  # noqa: FBT001  # the signature that typer calls
    if requested:
        from importlib.metadata import version

        write(f"jobpools {version('jobpools')}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: FBT002  # the signature that typer calls
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


@app.command(
    cls=Command,
    epilog=examples(
        "up shop.yaml",
        "up deploy/ --redis redis://127.0.0.1:6379/0",
        "up . --until-idle --plot run.png",
        "up . --with 'python -m shop.web'",
    ),
)
def up(  # noqa: PLR0913  # a command's own options
    paths: Paths,
    *,
    redis: Annotated[str | None, typer.Option("--redis", envvar="JOBPOOLS_REDIS_URL", help=_SERVER)] = None,
    namespace: Namespace = "default",
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when all jobs have ended and all pools are at their minimum.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG of queues and workers over time to this file.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that keeps the embedded Valkey's data.")] = None,
    companion: Annotated[str | None, typer.Option("--with", metavar="COMMAND", help=_COMPANION)] = None,
    fire: Annotated[bool, typer.Option("--fire", help="Fire every schedule once at the start.")] = False,
) -> None:
    """Run the pools and schedules of YAML files on this machine.

    Workers are processes. Ctrl-C lets them finish their running jobs; a second Ctrl-C hands the jobs back at once.
    """
    from jobpools.local import up as local
    from jobpools.local.options import Options
    from jobpools.local.view import View

    options = Options(tuple(paths), namespace, redis, data, until_idle, plot, companion, fire)
    view: View
    if sys.stdout.isatty():
        from jobpools.local.terminal_view import TerminalView

        view = TerminalView()
    else:
        from jobpools.local.text_view import TextView

        view = TextView()
    raise typer.Exit(local.run(options, view))


@app.command(
    cls=Command,
    epilog=examples("worker shop.jobs:app", "worker shop.jobs:app --queues emails,reports=2 --concurrency 20"),
)
def worker(  # noqa: PLR0913  # a command's own options
    name: Annotated[str | None, typer.Argument(metavar="[APP]", help="The App, as module:name. [JOBPOOLS_APP]")] = None,
    *,
    redis: Annotated[str | None, typer.Option("--redis", help="URL of Redis or Valkey. [JOBPOOLS_REDIS_URL]")] = None,
    queues: Annotated[
        str | None,
        typer.Option(help="Queues and weights, as in emails,reports=2. Default: those of the handlers."),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Slots: how many jobs run at the same time.")] = None,
    pool: Annotated[str | None, typer.Option(help="Pool that the worker reports to, as namespace/name.")] = None,
    grace: Annotated[str | None, typer.Option(help="How long running jobs may take after SIGTERM, as in 30s.")] = None,
    probe_port: Annotated[int | None, typer.Option(help="Port of /livez, /readyz and /metrics; 0: none.")] = None,
    log: Annotated[str | None, typer.Option(help="Log format: text or json.")] = None,
) -> None:
    """Run one worker in this process.

    Options that are not given come from environment variables (JOBPOOLS_…).
    """
    from jobpools.cli import worker as process

    flags = {"app": name, "redis_url": redis, "concurrency": concurrency, "pool": pool, "grace": grace,
             "probe_port": probe_port, "log": log}  # fmt: skip
    if queues is not None:
        from jobpools.settings import parse_queues

        flags["queues"] = parse_queues(queues)  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]  # the only option that is not text or number
    raise typer.Exit(process.run(flags))


@app.command(
    cls=Command,
    epilog=examples(
        "enqueue shop.jobs:app order_confirmation to=ada@example.com order='{\"id\": 1}'",
        "enqueue order_confirmation to=ada@example.com --queue emails --delay 10m",
        "enqueue shop.jobs:app report day=2027-01-01 --wait 60",
    ),
)
def enqueue(  # noqa: PLR0913  # a command's own options
    target: Annotated[
        str,
        typer.Argument(
            metavar="APP NAME | NAME",
            help="The App (module:name) and the job's name; or the job's name alone, with --queue.",
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[name=value]...", help="Arguments of the job. A value that is JSON is decoded; any other is text."
        ),
    ] = None,
    *,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Default: the handler's queue.")] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low.")] = None,
    delay: Annotated[str | None, typer.Option(help="Earliest start from now, as in 10m.")] = None,
    at: Annotated[str | None, typer.Option(help="Earliest start, as in 2027-01-01T09:00:00Z.")] = None,
    job_id: Annotated[
        str | None, typer.Option("--id", help="Id of the job. If a job with this id exists, nothing is enqueued.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the job; may be repeated.")] = None,
    wait: Annotated[float | None, typer.Option(min=0, help="Seconds to wait for the result, which is printed.")] = None,
    redis: Annotated[
        str | None, typer.Option("--redis", help="URL of Redis or Valkey. Default: the app's. [JOBPOOLS_REDIS_URL]")
    ] = None,
) -> None:
    """Enqueue one job and print its id."""
    import json

    from pydantic_core import to_jsonable_python

    from jobpools.cli.enqueue_job import enqueue_job

    given = {"queue": queue, "priority": priority, "delay": delay, "at": at, "id": job_id, "tags": tag}
    handle, result = enqueue_job(target, words or [], given, redis, wait)
    if not handle.new:
        sys.stderr.write(f"job {handle.id} already exists in queue {handle.queue}; nothing was enqueued\n")
    if wait is None:
        write(f"{handle.id}\n")
        return
    shown = to_jsonable_python(result, inf_nan_mode="strings", fallback=str)
    write(f"{json.dumps(shown, ensure_ascii=False)}\n")


app.command(cls=Command, epilog=examples("pools", "pools --output json"))(overview_commands.pools)
app.command(cls=Command, epilog=examples("queues", "queues --output json"))(overview_commands.queues)
app.command(cls=Command, epilog=examples("workers", "workers --output yaml"))(overview_commands.workers)
app.add_typer(job_commands.jobs, name="jobs")
app.add_typer(dead_letter_commands.dead, name="dead")
app.add_typer(schedule_commands.cron, name="cron")
app.command(cls=Command, epilog=examples("stats", "stats --over 10s --output json"))(overview_commands.stats)
app.command(cls=Command, epilog=examples("plan deploy/", "plan a.yaml b.yaml --output json"))(overview_commands.plan)
