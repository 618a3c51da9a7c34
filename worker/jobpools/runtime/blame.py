"""Decide which job caused its worker's death, and how. Pure: facts of the death in, a decision out.

The evidence, from the best to the worst: the worker wrote down which attempt was about to end the process; the
traceback of a fatal signal says which thread it hit and whose code ran there; only one attempt had started. Where none
of it decides, all that had started are charged, for one of them did it, and poison must end.
"""

import re
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jobpools.runtime.vitals import Started

_FRAME = re.compile(r'^  File "(.*)", line \d+ in (.*)$', re.MULTILINE)
_PLACE = re.compile(r'^  File "([^<].*)", line (\d+) in ', re.MULTILINE)


class Death(NamedTuple):
    """What is known of a worker's death."""

    exit_code: int
    """Negative for a signal, as in `subprocess`."""
    peak_bytes: int
    """Peak memory of the worker in bytes; 0: unknown."""
    out_of_memory: bool
    """The kernel's OOM killer ended a process of this container."""
    started: Mapping[int, Started]
    """The attempts that had started, by their keys."""
    ended_by: int
    """The key of the attempt that recorded that it ends the process; 0: none."""
    loop_thread: int
    """The thread that ran the event loop."""
    code: Sequence[Sequence[str]]
    """By handler's number: file and function."""
    dump: str
    """The traceback that faulthandler wrote."""
    note: str = ""
    """Why the supervisor killed the worker; empty: it did not."""


@dataclass(frozen=True, slots=True)
class Blame:
    """The attempts that a death is charged to, and the cause."""

    keys: Collection[int]
    cause: str
    traceback: str
    """The frames in which a fatal signal arrived; empty: unknown."""


def blame(death: Death) -> Blame:
    """Decide which attempts are charged with a worker's death."""
    return Blame(frozenset(_culprits(death)), cause_of(death), _own_thread(death.dump)[1])


def cause_of(death: Death) -> str:
    """Return a description of how the worker died."""
    if death.note:
        return death.note
    if death.exit_code >= 0 and not death.ended_by:
        return f"the worker process exited with code {death.exit_code} while it ran jobs"
    if death.exit_code >= 0:
        return f"the worker was ended by os._exit({death.exit_code})"
    name = signal.Signals(-death.exit_code).name
    peak = f", peak memory {death.peak_bytes >> 20} MiB" if death.peak_bytes else ""
    if death.out_of_memory:
        return f"the kernel killed the worker: out of memory ({name}{peak}); raise the memory limit or use less"
    return f"the worker was killed by {name}{peak}"


def place_of(dump: str, libraries: tuple[str, ...]) -> str:
    """Return ` (file:line)` of the innermost frame of a fatal signal outside of libraries; empty: none."""
    for file, line in _PLACE.findall(_own_thread(dump)[1]):
        if not file.startswith(libraries):
            return f" ({file}:{line})"
    return ""


def _culprits(death: Death) -> Collection[int]:
    if death.ended_by in death.started:
        return (death.ended_by,)
    thread, frames = _own_thread(death.dump)
    if thread and thread == death.loop_thread:
        ran = {(file, function) for file, function in _FRAME.findall(frames)}
        numbers = {number for number, each in enumerate(death.code) if tuple(each) in ran}
        found = [key for key, each in death.started.items() if not each.thread and each.handler in numbers]
    else:
        found = [key for key, each in death.started.items() if thread and each.thread == thread]
    return found or list(death.started)


def _own_thread(dump: str) -> tuple[int, str]:
    """Return the thread that a fatal signal hit, and its frames; 0: the dump does not say."""
    found = re.search(r"^Current thread 0x([0-9a-f]+) .*?(?=^\s*$|^Thread 0x|\Z)", dump, re.MULTILINE | re.DOTALL)
    if found is None:
        return 0, ""
    fatal = re.search(r"^Fatal Python error: .*$", dump, re.MULTILINE)
    return int(found[1], 16), "\n".join([*([fatal[0]] if fatal else []), found[0].strip()])
