"""`jobpools worker`: its options, which precede the environment and the settings file."""

import typer

from jobpools.cli.setting_options import (
    AppName,
    Concurrency,
    ConfigFile,
    Grace,
    LogFormat,
    LogInterval,
    LogLevel,
    PoolKey,
    Preset,
    ProbePort,
    Queues,
    RedisUrl,
    with_queues,
)


def worker(  # noqa: PLR0913  # a command's own options
    app: AppName = None,
    *,
    redis: RedisUrl = None,
    queues: Queues = None,
    concurrency: Concurrency = None,
    pool: PoolKey = None,
    grace: Grace = None,
    probe_port: ProbePort = None,
    log: LogFormat = None,
    log_level: LogLevel = None,
    log_interval: LogInterval = None,
    preset: Preset = None,
    config: ConfigFile = None,
) -> None:
    """Run one worker until SIGTERM or Ctrl-C.

    An option that is not given comes from the environment (JOBPOOLS_CONCURRENCY for --concurrency), else from
    jobpools.toml or [tool.jobpools] in pyproject.toml, else from the preset. `jobpools config` shows all settings and
    where they come from.
    """
    from jobpools.cli import worker_process

    options = {
        "app": app, "redis_url": redis, "concurrency": concurrency, "pool": pool, "grace": grace,
        "probe_port": probe_port, "log": log, "log_level": log_level, "log_interval": log_interval,
        "preset": preset, "config": config,
    }  # fmt: skip
    raise typer.Exit(worker_process.run(with_queues(options, queues)))
