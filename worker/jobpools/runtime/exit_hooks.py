"""Record which attempt ends the worker's process, before the process ends: afterwards it is unknown."""

import faulthandler
import functools
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from jobpools.runtime import forking
from jobpools.runtime.current_attempt import current_attempt
from jobpools.runtime.vitals import Vitals

_HARMLESS = (0, signal.SIGCONT, signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG)


def prepare(vitals: Vitals) -> None:
    """Make calls that end this process record the attempt that made them.

    After these calls the interpreter runs no more code. faulthandler reports the signals that C code raises.
    """

    def record() -> None:
        attempt = current_attempt.get()
        if attempt is not None and attempt.row and not forking.is_child:
            vitals.record_process_end(attempt.lease)

    os._exit = _record_first(os, os._exit, record, lambda *_: True)
    os.abort = _record_first(os, os.abort, record, lambda *_: True)
    os.kill = _record_first(os, os.kill, record, _ends_process)
    os.killpg = _record_first(os, os.killpg, record, _ends_group)
    signal.raise_signal = _record_first(signal, signal.raise_signal, record, _is_fatal)
    signal.pthread_kill = _record_first(signal, signal.pthread_kill, record, _ends_thread)


def write_tracebacks(descriptor: int) -> None:
    """Have faulthandler write the traceback of a fatal signal to this file; in forked children, to stderr."""
    faulthandler.enable(descriptor, all_threads=True)
    os.register_at_fork(after_in_child=_to_stderr)


def _to_stderr() -> None:
    if sys.__stderr__ is not None:
        faulthandler.enable(2)


def _is_fatal(number: int) -> bool:
    return number not in _HARMLESS and signal.getsignal(number) in (signal.SIG_DFL, None)


def _ends_process(pid: int, number: int) -> bool:
    return pid in (os.getpid(), 0, -1) and _is_fatal(number)


def _ends_group(pgid: int, number: int) -> bool:
    return pgid in (os.getpgrp(), 0) and _is_fatal(number)


def _ends_thread(_thread: int, number: int) -> bool:
    return _is_fatal(number)


def _record_first(
    module: ModuleType, function: Callable[..., Any], record: Callable[[], None], ends: Callable[..., bool]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def recording(*args: Any, **kwargs: Any) -> Any:
        if ends(*args, **kwargs):
            record()
        return function(*args, **kwargs)

    recording.__module__ = module.__name__  # where pickle finds it, to send it to another process
    return recording
