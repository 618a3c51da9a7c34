"""`jobpools scheduler`: fire the schedules made in code where there is neither an operator nor `jobpools up`."""

from typing import Annotated

import typer

from jobpools.cli.parameters import Redis

AppName = Annotated[str | None, typer.Argument(metavar="APP", help="App whose @app.cron schedules are written first.")]


def scheduler(app: AppName = None, redis: Redis = None) -> None:
    """Fire the schedules made in code, until SIGTERM or Ctrl-C.

    Any number may run: one leads by a lock in Redis, and another takes over within 12 seconds of its death, or within
    about a second of its SIGTERM. A tick is never fired twice. Operators and `jobpools up` take part in the same
    election.
    """
    from jobpools.cli import scheduler_process

    scheduler_process.run(app, redis)
