"""Decide which attempts caused the death of their worker, and how.

Evidence, best first: the attempt that called a function that ends the process; the thread in which a fatal signal
arrived and the code that ran there; the only attempt that had started. Without evidence every attempt that had started
is charged: one of them caused the death, and a job that kills its workers must become dead.
"""

import re
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jobpools.runtime.vitals import Started

_FRAME = re.compile(r'^  File "(.*)", line \d+ in (.*)$', re.MULTILINE)
_LOCATION = re.compile(r'^  File "([^<].*)", line (\d+) in ', re.MULTILINE)


class CrashFacts(NamedTuple):
    """Everything known about the death of a worker process."""

    exit_code: int
    """Negative for a signal, as in `subprocess`."""
    peak_bytes: int
    """Peak memory of the worker in bytes; 0: unknown."""
    out_of_memory: bool
    """The kernel's OOM killer ended a process of this container."""
    started: Mapping[int, Started]
    """The attempts that had started, by `vitals.key` of their leases."""
    ended_by: int
    """The key of the attempt that recorded that it ends the process; 0: none."""
    loop_thread: int
    """The thread that ran the event loop."""
    code: Sequence[Sequence[str]]
    """By number of the handler: file and function."""
    dump: str
    """The traceback that faulthandler wrote."""
    kill_reason: str = ""
    """Why the supervisor killed the worker; empty: it did not."""


@dataclass(frozen=True, slots=True)
class CrashReport:
    """The attempts that are charged with the death of their worker, and how it died."""

    keys: Collection[int]
    """`vitals.key` of the leases of these attempts."""
    cause: str
    """How the worker died, as in `the worker was killed by SIGKILL`."""
    traceback: str
    """The frames in which a fatal signal arrived; empty: unknown."""


def report_crash(facts: CrashFacts) -> CrashReport:
    """Decide which attempts are charged with a worker's death."""
    return CrashReport(frozenset(_charged(facts)), cause_of(facts), _crashed_thread(facts.dump)[1])


def cause_of(facts: CrashFacts) -> str:
    """Return a description of how the worker died."""
    if facts.kill_reason:
        return facts.kill_reason
    if facts.exit_code >= 0 and not facts.ended_by:
        return f"the worker process exited with code {facts.exit_code} while it ran jobs"
    if facts.exit_code >= 0:
        return f"the worker was ended by os._exit({facts.exit_code})"
    name = signal.Signals(-facts.exit_code).name
    peak = f", peak memory {facts.peak_bytes >> 20} MiB" if facts.peak_bytes else ""
    if facts.out_of_memory:
        return f"the kernel killed the worker: out of memory ({name}{peak}); raise the memory limit or use less"
    return f"the worker was killed by {name}{peak}"


def location_of(dump: str, libraries: tuple[str, ...]) -> str:
    """Return ` (file:line)` of the innermost frame of a fatal signal outside of libraries; empty: none."""
    for file, line in _LOCATION.findall(_crashed_thread(dump)[1]):
        if not file.startswith(libraries):
            return f" ({file}:{line})"
    return ""


def _charged(facts: CrashFacts) -> Collection[int]:
    if facts.ended_by in facts.started:
        return (facts.ended_by,)
    thread, frames = _crashed_thread(facts.dump)
    if thread and thread == facts.loop_thread:
        ran = {(file, function) for file, function in _FRAME.findall(frames)}
        numbers = {number for number, each in enumerate(facts.code) if tuple(each) in ran}
        found = [key for key, each in facts.started.items() if not each.thread and each.handler in numbers]
    else:
        found = [key for key, each in facts.started.items() if thread and each.thread == thread]
    return found or list(facts.started)


def _crashed_thread(dump: str) -> tuple[int, str]:
    """Return the thread that a fatal signal hit, and its frames; 0: the dump does not say."""
    found = re.search(r"^Current thread 0x([0-9a-f]+) .*?(?=^\s*$|^Thread 0x|\Z)", dump, re.MULTILINE | re.DOTALL)
    if found is None:
        return 0, ""
    fatal = re.search(r"^Fatal Python error: .*$", dump, re.MULTILINE)
    return int(found[1], 16), "\n".join([*([fatal[0]] if fatal else []), found[0].strip()])
