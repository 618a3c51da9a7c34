"""`jobpools worker`: its options, which take precedence over the environment."""

from typing import Annotated, Any

import typer

AppName = Annotated[str | None, typer.Argument(metavar="APP", help="The App, as in shop.jobs:app.")]
Redis = Annotated[str | None, typer.Option("--redis", metavar="URL", help="URL of Redis or Valkey.")]
Queues = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="Queues and their weights, as in emails,reports=2. Default: those of the handlers."
    ),
]
Concurrency = Annotated[
    int | None, typer.Option(metavar="N", help="Number of slots: how many jobs run at the same time.")
]
PoolKey = Annotated[
    str | None, typer.Option(metavar="POOL", help="Pool to which the worker belongs, as in default/emails.")
]
Grace = Annotated[
    str | None, typer.Option(metavar="DURATION", help="How long running jobs may take after SIGTERM, as in 30s.")
]
ProbePort = Annotated[
    int | None, typer.Option(metavar="PORT", help="Port of /livez, /readyz and /metrics. 0 opens no port.")
]
LogFormat = Annotated[str | None, typer.Option(metavar="FORMAT", help="Log format: text or json.")]
LogInterval = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="How often the log says what the worker has done, as in 5m; 0s: never."),
]


def worker(  # noqa: PLR0913  # a command's own options
    app: AppName = None,
    *,
    redis: Redis = None,
    queues: Queues = None,
    concurrency: Concurrency = None,
    pool: PoolKey = None,
    grace: Grace = None,
    probe_port: ProbePort = None,
    log: LogFormat = None,
    log_interval: LogInterval = None,
) -> None:
    """Run one worker until SIGTERM or Ctrl-C.

    Options that are not given come from the environment: JOBPOOLS_APP, JOBPOOLS_REDIS_URL, JOBPOOLS_QUEUES,
    JOBPOOLS_CONCURRENCY, JOBPOOLS_POOL, JOBPOOLS_GRACE, JOBPOOLS_PROBE_PORT, JOBPOOLS_LOG,
    JOBPOOLS_LOG_INTERVAL.
    """
    from jobpools.cli import worker_process

    flags: dict[str, Any] = {
        "app": app, "redis_url": redis, "concurrency": concurrency, "pool": pool, "grace": grace,
        "probe_port": probe_port, "log": log, "log_interval": log_interval,
    }  # fmt: skip
    if queues is not None:
        from jobpools.settings import parse_queues

        flags["queues"] = parse_queues(queues)
    raise typer.Exit(worker_process.run(flags))
