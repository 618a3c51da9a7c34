"""A child that a handler forks: it cannot continue the worker's event loop, and its signals do not reach the worker."""

import subprocess
import sys

import pytest

from tests.support.workers import ROOT

PROGRAM = """
import asyncio, os, signal, time
from jobpools.runtime import forking

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, print, "the worker got SIGTERM")
    forking.protect(loop)
    {before}
    pid = os.fork()
    if pid == 0:
        {child}
        return
    _, status = os.waitpid(pid, 0)
    await asyncio.sleep(0)
    print("child:", os.waitstatus_to_exitcode(status))

asyncio.run(main())
"""


def fork(child: str, before: str = "pass") -> tuple[list[str], str]:
    """Run code in a child that a handler forks; return the lines of the worker's output, and the errors of both."""
    program = PROGRAM.format(child=child, before=before)
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines(), ended.stderr


@pytest.mark.parametrize("child", ["await asyncio.sleep(0)", "pass"], ids=["awaits", "returns"])
def test_a_child_that_goes_back_to_the_event_loop_ends_with_an_error(child: str) -> None:
    output, errors = fork(child)
    assert output == ["child: 1"]
    assert "a forked child cannot use the worker's event loop; use asyncio.run in it" in errors


def test_a_signal_to_the_child_ends_the_child_and_not_the_worker() -> None:
    output, _ = fork("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)")
    assert output == ["child: -15"]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ("None", 0, ""),
        ("SystemExit()", 0, ""),
        ("SystemExit(3)", 3, ""),
        ("SystemExit('bye')", 1, "bye\n"),
        ("ValueError('wrong')", 1, "ValueError: wrong\n"),
    ],
)
def test_a_child_that_leaves_its_handler_ends_as_the_interpreter_would_end_it(error: str, code: int, text: str) -> None:
    assert fork(f"forking.leave({error})") == ([f"child: {code}"], text)


@pytest.mark.parametrize(("before", "code"), [("pass", 1), ("forking.unprotect()", 0)], ids=["protected", "not"])
def test_a_child_knows_that_it_is_one_while_the_worker_runs(before: str, code: int) -> None:
    assert fork("os._exit(int(forking.is_child))", before)[0] == [f"child: {code}"]
