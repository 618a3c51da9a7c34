"""Which attempts are charged with the death of their worker, and what the report says."""

import signal

import pytest

from jobpools.runtime.crash_report import CrashFacts, location_of, report_crash
from jobpools.runtime.vitals import Started

DUMP = """Fatal Python error: Segmentation fault

Thread 0x0000000000000009 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 10 in wait

Current thread 0x0000000000000005 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/app/jobs.py", line 7 in resize
"""
LOOP, THREAD = 5, 9
A, B, C = 11, 12, 13
"""Keys of attempts: A runs handler 0 and B handler 1 in the event loop, C a plain function in a thread."""
FACTS = CrashFacts(
    exit_code=-signal.SIGSEGV,
    peak_bytes=64 << 20,
    out_of_memory=False,
    started={A: Started(0, 0), B: Started(0, 1), C: Started(THREAD, 2)},
    ended_by=0,
    loop_thread=LOOP,
    code=[["/app/jobs.py", "send"], ["/app/jobs.py", "resize"], ["/app/jobs.py", "render"]],
    dump="",
)


@pytest.mark.parametrize(
    ("facts", "charged"),
    [
        (FACTS, {A, B, C}),
        (FACTS._replace(started={C: Started(THREAD, 2)}), {C}),
        (FACTS._replace(started={}), set()),
        (FACTS._replace(ended_by=A, dump=DUMP), {A}),
        (FACTS._replace(ended_by=99, dump=DUMP), {B}),
        (FACTS._replace(dump=DUMP), {B}),
        (FACTS._replace(dump=DUMP, loop_thread=1, started={A: Started(0, 0), C: Started(5, 2)}), {C}),
        (FACTS._replace(dump=DUMP, code=[]), {A, B, C}),
    ],
    ids=["no evidence", "only one", "none", "its caller", "settled caller", "loop", "thread", "unknown code"],
)
def test_the_best_evidence_decides_which_attempts_are_charged(facts: CrashFacts, charged: set[int]) -> None:
    assert set(report_crash(facts).keys) == charged


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (FACTS, "the worker was killed by SIGSEGV, peak memory 64 MiB"),
        (FACTS._replace(peak_bytes=0), "the worker was killed by SIGSEGV"),
        (
            FACTS._replace(exit_code=-signal.SIGKILL, out_of_memory=True),
            (
                "the kernel killed the worker: out of memory (SIGKILL, peak memory 64 MiB); "
                "raise the memory limit or use less"
            ),
        ),
        (FACTS._replace(exit_code=3), "the worker process exited with code 3 while it ran jobs"),
        (FACTS._replace(exit_code=3, ended_by=A), "the worker was ended by os._exit(3)"),
        (FACTS._replace(kill_reason="a handler holds the GIL"), "a handler holds the GIL"),
    ],
    ids=["signal", "no memory figure", "out of memory", "exit", "os._exit", "killed by its supervisor"],
)
def test_the_cause_names_how_the_worker_died(facts: CrashFacts, cause: str) -> None:
    assert report_crash(facts).cause == cause


def test_the_traceback_has_only_the_thread_that_crashed() -> None:
    traceback = report_crash(FACTS._replace(dump=DUMP)).traceback
    assert traceback.startswith("Fatal Python error: Segmentation fault\nCurrent thread 0x0000000000000005")
    assert "threading.py" not in traceback
    assert location_of(DUMP, ("/usr/lib",)) == " (/app/jobs.py:7)"
    assert location_of("", ("/usr/lib",)) == ""
