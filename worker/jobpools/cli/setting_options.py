"""The options that set settings of a process. Their help is that of the table of settings."""

from typing import Annotated, Any

import typer

from jobpools.core.configuration.settings_table import BY_NAME, CONFIG


def _option(name: str, metavar: str) -> Any:
    return typer.Option(BY_NAME[name].option, metavar=metavar, help=BY_NAME[name].help)


AppName = Annotated[str | None, typer.Argument(metavar="APP", help=BY_NAME["app"].help)]
ConfigFile = Annotated[str | None, typer.Option(CONFIG.option, metavar="FILE", help=CONFIG.help)]
Preset = Annotated[str | None, _option("preset", "NAME")]
RedisUrl = Annotated[str | None, _option("redis_url", "URL")]
Queues = Annotated[str | None, _option("queues", "LIST")]
Concurrency = Annotated[int | None, _option("concurrency", "N")]
PoolKey = Annotated[str | None, _option("pool", "POOL")]
Grace = Annotated[str | None, _option("grace", "DURATION")]
ProbePort = Annotated[int | None, _option("probe_port", "PORT")]
LogFormat = Annotated[str | None, _option("log", "FORMAT")]
LogLevel = Annotated[str | None, _option("log_level", "LEVEL")]
LogInterval = Annotated[str | None, _option("log_interval", "DURATION")]


def with_queues(options: dict[str, Any], queues: str | None) -> dict[str, Any]:
    """Return the options with those of `--queues`, such as `emails,reports=2`. Raises ConfigurationError."""
    if queues is None:
        return options
    from jobpools.settings import parse_queues

    return {**options, "queues": parse_queues(queues)}
