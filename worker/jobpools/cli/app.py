"""The table of all commands.

Each command imports what it needs when it runs, so that `--help` and `worker` start fast.
"""

from typing import Annotated

import typer

from jobpools.cli import (
    config_command,
    dead_letter_commands,
    enqueue_command,
    job_commands,
    overview_commands,
    queue_commands,
    schedule_commands,
    scheduler_command,
    stats_command,
    up_command,
    worker_command,
    worker_commands,
)
from jobpools.cli.command_group import Command, Group, examples
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


app.command(
    cls=Command,
    epilog=examples(
        "up shop.yaml",
        "up deploy/ --redis redis://127.0.0.1:6379/0",
        "up . --until-idle --plot run.png",
        "up . --with 'python -m shop.web' --data .valkey",
    ),
)(up_command.up)
app.command(
    cls=Command,
    epilog=examples("worker shop.jobs:app", "worker shop.jobs:app --queues emails,reports=2 --concurrency 20"),
)(worker_command.worker)
app.command(
    cls=Command,
    epilog=examples(
        "enqueue shop.jobs:app order_confirmation to=ada@example.com order='{\"id\": 1}'",
        "enqueue order_confirmation to=ada@example.com --queue emails --delay 10m",
        "enqueue shop.jobs:app report day=2027-01-01 --tag nightly --metadata tenant=acme --expires 1h",
        "enqueue shop.jobs:app report day=2027-01-01 --wait 60",
    ),
)(enqueue_command.enqueue)
app.command(cls=Command, epilog=examples("pools", "pools --output json"))(overview_commands.pools)
app.add_typer(queue_commands.queues, name="queues")
app.add_typer(worker_commands.workers, name="workers")
app.add_typer(job_commands.jobs, name="jobs")
app.add_typer(dead_letter_commands.dead, name="dead")
app.add_typer(schedule_commands.cron, name="cron")
app.command(
    cls=Command,
    epilog=examples(
        "stats",
        "stats --over 10s --output json",
        "stats --since 6h",
        "stats --since 24h --step 1h --queue emails --plot day.png",
    ),
)(stats_command.stats)
app.command(
    cls=Command,
    epilog=examples("scheduler shop.jobs:app", "scheduler --redis redis://127.0.0.1:6379/0"),
)(scheduler_command.scheduler)
app.command(
    cls=Command,
    epilog=examples("config", "config shop.jobs:app --preset production", "config --output json"),
)(config_command.config)
app.command(cls=Command, epilog=examples("plan deploy/", "plan a.yaml b.yaml --output json"))(overview_commands.plan)
