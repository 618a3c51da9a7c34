"""`module:name` → the App, or one line that says why not."""

import importlib
import sys
from pathlib import Path

from jobpools.core.spelling import meant
from jobpools.errors import AppImportError
from jobpools.runtime import outcomes
from jobpools.runtime.registry import App


def import_app(reference: str) -> App:
    """The App that `module:name` names. Raises AppImportError with what went wrong, and where."""
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise AppImportError(f"{reference!r} names no app: write module:name, as in shop.jobs:app")
    # As `python -m` does it: what stands beside the user is importable.
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the user's module may raise anything
        raise AppImportError(f"{reference}: {_why(error, module_name)}") from error
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        apps = [name for name, value in vars(module).items() if isinstance(value, App)]
        close = meant(attribute, apps) or ", and no App at all"
        raise AppImportError(f"{reference}: module {module_name} has no {attribute!r}{close}") from error
    if not isinstance(found, App):
        raise AppImportError(f'{reference} is {_kind(found)}, not an App: write app = App("name") there')
    return found


def _why(error: Exception, module_name: str) -> str:
    """What went wrong with an import."""
    if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
        return f"there is no module {error.name}, neither in {Path.cwd()} nor installed"
    machinery = (__file__, importlib.__file__)
    said = outcomes.in_a_line(error, lambda file: file not in machinery and not file.startswith("<"))
    return f"importing it failed: {said}"


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
