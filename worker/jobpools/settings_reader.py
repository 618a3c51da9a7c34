"""Read the settings of a process: its options, its environment and a file. A running worker may call `read` again."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from jobpools.core.configuration.resolution import Facts, Resolution, resolve
from jobpools.core.configuration.settings_table import CONFIG, OWN_FILE, PREFIX, PROJECT_FILE
from jobpools.core.configuration.values import Origin
from jobpools.errors import SettingsError
from jobpools.settings import ProducerSettings, WorkerSettings

if TYPE_CHECKING:
    from jobpools.core.configuration.file_source import SettingsFile


class Inputs(NamedTuple):
    """The places in which a process reads its settings."""

    options: Mapping[str, Any] = MappingProxyType({})
    """Options of the command line, by the name of the setting; None: not given. `config` names the file."""
    environ: Mapping[str, str] = os.environ
    folder: Path = Path()
    """Folder in which jobpools.toml and pyproject.toml are looked for."""


def read(inputs: Inputs) -> Resolution[WorkerSettings]:
    """Read all settings of a worker.

    Raises:
        SettingsError: Settings are unknown or invalid, or the file cannot be read.
    """
    return resolve(facts_of(inputs), WorkerSettings)


def read_producer(inputs: Inputs) -> ProducerSettings:
    """Read the settings of a process that enqueues jobs. Raises SettingsError as `read` does."""
    return resolve(facts_of(inputs), ProducerSettings).settings


def redis_url(given: str | None = None, inputs: Inputs | None = None) -> str:
    """Return the given URL, else that of the environment, of the file, or redis://127.0.0.1:6379/0."""
    return given or read_producer(inputs or Inputs()).redis_url


def given_url(inputs: Inputs) -> str | None:
    """Return the URL of Redis; None: no source sets it. The settings of workers are checked as `read` does it."""
    found = read(inputs)
    return None if found.origin("redis_url") is Origin.DEFAULT else found.settings.redis_url


def variables_of(options: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables that pass options, by the name of the setting, to a child process."""
    return {f"{PREFIX}{name.upper()}": value for name, value in options.items() if value is not None}


def with_app_url(found: Resolution[WorkerSettings], url: str | None) -> WorkerSettings:
    """Return the settings with the URL of the App that runs, unless an option or the environment sets another.

    A worker serves the Redis that its pool names, so the environment precedes the code here.
    """
    if not url or found.origin("redis_url") in (Origin.OPTION, Origin.ENVIRONMENT):
        return found.settings
    return found.settings.model_copy(update={"redis_url": url})


def facts_of(inputs: Inputs) -> Facts:
    """Read the file, if there is one. Raises SettingsError if it cannot be read."""
    options = {name: value for name, value in inputs.options.items() if name != CONFIG.name}
    given = inputs.options.get(CONFIG.name)
    name, place = (given, CONFIG.option) if given else (inputs.environ.get(CONFIG.variable, ""), CONFIG.variable)
    file = _named_file(inputs.folder, str(name), place) if name else _file_in(inputs.folder)
    return Facts(options, inputs.environ, file)


def _named_file(folder: Path, name: str, place: str) -> "SettingsFile":
    """Return the file that an option or the environment names."""
    text = _text(folder / name)
    if text is None:
        raise SettingsError([f"{place}: {name}: there is no such file; name a file with settings"])
    from jobpools.core.configuration.file_source import SettingsFile

    return SettingsFile(name, text, place)


def _file_in(folder: Path) -> "SettingsFile | None":
    """Return the file with settings in a folder. Raises SettingsError if there are two."""
    own, project = _text(folder / OWN_FILE), _text(folder / PROJECT_FILE)
    if own is None and "jobpools" not in (project or ""):  # most processes: nothing is imported to read a file
        return None
    from jobpools.core.configuration.file_source import SettingsFile, has_settings

    in_project = project is not None and has_settings(project)
    if own is not None and in_project:
        raise SettingsError(
            [f"{OWN_FILE}: {PROJECT_FILE} has settings too, in [tool.jobpools]; keep them in one of the two files"]
        )
    if own is not None:
        return SettingsFile(OWN_FILE, own)
    return SettingsFile(PROJECT_FILE, project) if project is not None and in_project else None


def _text(path: Path) -> str | None:
    """Return the text of a file; None if there is no such file."""
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors write a BOM
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: not UTF-8: {error.reason}; save it as UTF-8"]) from error
    except ValueError as error:
        raise SettingsError([f"{str(path)!r}: not a path: {error}; name a file"]) from error
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}; make it readable, or remove it"]) from error
