"""What `jobpools config` shows."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from jobpools.cli.terminal import print_error
from jobpools.core.configuration.resolution import Facts, Resolution, flattened, resolve, source_of
from jobpools.core.configuration.settings_table import BY_NAME, CONFIG, Setting
from jobpools.core.configuration.sources import unknown_variables
from jobpools.core.configuration.values import Origin, with_unit
from jobpools.core.jobs.policies import QueueRef
from jobpools.settings import WorkerSettings
from jobpools.settings_reader import Inputs, facts_of, with_app_url
from jobpools.store.translation import safe_url

APP_ARGUMENT = "App(redis=…)"
"""Source of the URL that an App names."""


def read(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each setting of a worker with these options; `app` names an App, which is imported.

    Raises:
        SettingsError: Settings are unknown or invalid.
        AppImportError: The App cannot be imported.
    """
    facts = facts_of(Inputs(options))
    return list(rows(facts, resolve(facts, WorkerSettings), _url_of_app(options.get("app"))))


def _url_of_app(app: str | None) -> str | None:
    if app is None:
        return None
    from jobpools.runtime.loading import import_app

    return import_app(app).redis


def rows(facts: Facts, found: Resolution[WorkerSettings], app_url: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for the file, for each setting, and for each key of a group."""
    file = facts.file
    yield _row(CONFIG, CONFIG.name, file and file.path, str(file.source if file else Origin.DEFAULT))
    settings = with_app_url(found, app_url)
    for name, value in flattened(settings).items():
        is_of_app = name == "redis_url" and settings is not found.settings
        source = APP_ARGUMENT if is_of_app else source_of(found, name)
        yield _row(BY_NAME[name.partition(".")[0]], name, _plain(name, value), source)


def _row(setting: Setting, name: str, value: Any, source: str) -> dict[str, Any]:
    return {
        "setting": name,
        "value": value,
        "from": source,
        "variable": setting.variable,
        "option": setting.option or None,
        "meaning": setting.doc,
    }


def with_text(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the table, in which a duration is text, as in `90s`."""
    return {**row, "value": with_unit(WorkerSettings, row["setting"], row["value"])}


def _plain(name: str, value: Any) -> Any:
    """Return a value for JSON: queues as the option has them, `reports=2`; without the password of a URL."""
    if name == "redis_url":
        return safe_url(value)
    if isinstance(value, tuple):
        return [_queue(each) if isinstance(each, QueueRef) else each for each in value]
    return value


def _queue(queue: QueueRef) -> str:
    return queue.name if queue.weight == 1 else f"{queue.name}={queue.weight}"


def print_notes() -> None:
    """Print a line on stderr for each variable whose name is almost that of a setting."""
    for note in unknown_variables(os.environ):
        print_error(note)
