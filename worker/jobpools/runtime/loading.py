"""Import the App that `module:name` names, or report in one line why that fails."""

import contextlib
import functools
import importlib
import logging
import os
import signal
import sys
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from jobpools.app import App
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.error_text import READ_LIMIT, error_message, one_line, traceback_of
from jobpools.errors import AppImportError
from jobpools.runtime import forking, outcomes
from jobpools.runtime.stopping import Stopped

SLOW_AFTER = 10.0
"""Seconds after which an import that still runs is logged, once, with its current line."""
_MACHINERY = (__file__, importlib.__file__)
_LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
)

log = logging.getLogger("jobpools.worker")


def import_app(reference: str) -> App:
    """Return the App that `module:name` names.

    Raises:
        AppImportError: The import failed; the message is one line with the error and where it occurred in the app.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise AppImportError(f"{reference!r} does not name an app; write module:name, as in shop.jobs:app")
    # As `python -m` does: modules in the current directory can be imported.
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    found = _guarded(reference, module_name, lambda: _load(reference, module_name, attribute))
    if not isinstance(found, App):
        raise AppImportError(f'{reference} is {_with_article(found)}, not an App; write app = App("name") there')
    return found


def _load(reference: str, module_name: str, attribute: str) -> Any:
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        apps = [name for name, value in getattr(module, "__dict__", {}).items() if isinstance(value, App)]
        close = did_you_mean(attribute, apps) or '; write app = App("name") there'
        raise AppImportError(f"{reference}: module {module_name} has no {attribute!r}{close}") from error


def _guarded(reference: str, module_name: str, load: Callable[[], Any]) -> Any:
    """Run code of the app and convert its exceptions to AppImportError, except Stopped and Ctrl-C."""
    process = os.getpid()
    raised: BaseException | None = None
    found: Any = None
    try:
        with _import_environment(reference, module_name):
            found = load()
    except BaseException as error:  # noqa: BLE001  # the app's module may raise anything, and exit
        raised = error
    if os.getpid() != process:
        forking.leave(raised)  # the module forked this process, which must not become a second worker
    if raised is None:
        return found
    if isinstance(raised, (AppImportError, Stopped)) or _is_ctrl_c(raised):
        raise raised
    raise AppImportError(f"{reference}: {_failure(raised, module_name)}") from raised


@contextlib.contextmanager
def _import_environment(reference: str, module_name: str) -> Generator[None]:
    """Hide the worker's arguments from the module, log each warning in one line, and report a slow import."""
    arguments, shown, leave = sys.argv, warnings.showwarning, os._exit
    slow = threading.Timer(SLOW_AFTER, _report_slow, (reference, module_name, threading.get_ident()))
    slow.daemon = True
    sys.argv = arguments[:1]  # argparse in the module would read the worker's arguments and exit
    warnings.showwarning = _in_one_line(reference, shown)
    slow.start()
    os._exit = _logging_exit(reference, module_name, leave)  # type: ignore[assignment]  # it has the same parameters
    try:
        yield
    finally:
        os._exit = leave
        slow.cancel()
        sys.argv = arguments
        if getattr(warnings.showwarning, "__module__", None) == __name__:  # otherwise the app has replaced it
            warnings.showwarning = shown


def _logging_exit(reference: str, module_name: str, leave: Callable[[int], NoReturn]) -> Callable[[int], NoReturn]:
    """Return an `os._exit` that first logs where it was called; the supervisor logs the end by a signal."""
    process = os.getpid()

    @functools.wraps(leave)
    def exit_with_log(status: int) -> NoReturn:
        if os.getpid() == process:
            location = _location(traceback.extract_stack(), module_name)
            log.error("%s: importing it failed: it ended the process by os._exit(%s)%s", reference, status, location)
        leave(status)

    return exit_with_log


def _in_one_line(reference: str, shown: Callable[..., None]) -> Callable[..., None]:
    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        if file is not None:
            shown(message, category, filename, lineno, file, line)
            return
        text = " ".join(str(message).split())
        log.warning("%s: %s: %s (%s:%d)", reference, category.__name__, text, filename, lineno)

    return show


def _report_slow(reference: str, module_name: str, thread: int) -> None:
    # Documented, and the only way to see another thread's frame.
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as above
    location = _location(traceback.extract_stack(frame), module_name) if isinstance(frame, FrameType) else ""
    log.warning(
        "%s: importing it has taken %.0f s so far; no job runs before it ends%s", reference, SLOW_AFTER, location
    )


def _is_ctrl_c(error: BaseException) -> bool:
    """Return whether a KeyboardInterrupt may come from the terminal: only if the worker does not handle SIGINT."""
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _failure(error: BaseException, module_name: str) -> str:
    """Return why an import failed, and where in the code of the app, if it is known."""
    if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
        return f"there is no module {error.name}, neither in {Path.cwd()} nor installed"
    text = outcomes.summary(error, lambda _: False)
    if isinstance(error, SyntaxError) and error.filename:
        text = f"{type(error).__name__}: {one_line(str(error.msg), READ_LIMIT)}"
        return f"importing it failed: {text} ({error.filename}, line {error.lineno or 1})"
    if isinstance(error, SystemExit):
        text = f"it ended the program (SystemExit: {error_message(error) or '0'})"
    location = _location(traceback.extract_tb(traceback_of(error)), module_name)
    return f"importing it failed: {text}{location}"


def _location(frames: traceback.StackSummary, module_name: str) -> str:
    """Return ` (file:line)` of the innermost line of the app; if there is none, of any code but the import system."""
    known = [each for each in frames if each.filename not in _MACHINERY and not each.filename.startswith("<")]
    top = module_name.partition(".")[0]
    own = [each for each in known if not each.filename.startswith(_LIBRARIES)]
    package = [each for each in known if top in Path(each.filename).with_suffix("").parts]
    for found in (own, package, known):
        if found:
            return f" ({found[-1].filename}:{found[-1].lineno})"
    return ""


def _with_article(value: object) -> str:
    """Return the name of the value's type, with its article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
