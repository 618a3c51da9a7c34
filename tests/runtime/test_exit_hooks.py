"""Calls that end the worker's process record their attempt; other calls, and code of no attempt, record nothing."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobpools.runtime import exit_hooks
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import current_attempt
from jobpools.runtime.vitals import Vitals, key
from tests.runtime.harness import SlotsHarness

LEASE = "job:web-1.a:0000000001"
ROW = 1
ME, GROUP, OTHER = os.getpid(), os.getpgrp(), 1


async def handler(_ctx: Any, _args: dict[str, Any]) -> None: ...


@pytest.fixture
def attempt() -> Attempt:
    made = SlotsHarness(handler).attempt(LEASE)
    made.row = ROW
    return made


@pytest.fixture
def vitals(monkeypatch: pytest.MonkeyPatch) -> Vitals:
    """The memory that the hooks write to. The hooked functions do nothing, so that this process survives them."""
    for module, names in ((os, ("_exit", "abort", "kill", "killpg")), (signal, ("raise_signal", "pthread_kill"))):
        for name in names:
            monkeypatch.setattr(module, name, lambda *_: None)
    memory = Vitals()
    exit_hooks.prepare(memory)
    return memory


@pytest.fixture
def in_attempt(attempt: Attempt) -> Iterator[None]:
    token = current_attempt.set(attempt)
    yield
    current_attempt.reset(token)


ENDING: dict[str, Callable[[], Any]] = {
    "os._exit": lambda: os._exit(0),
    "os.abort": lambda: os.abort(),  # noqa: PLW0108  # the fixture replaces it
    "os.kill this process": lambda: os.kill(ME, signal.SIGKILL),
    "os.kill this group": lambda: os.kill(0, signal.SIGTERM),
    "os.killpg this group": lambda: os.killpg(GROUP, signal.SIGTERM),
    "signal.raise_signal": lambda: signal.raise_signal(signal.SIGTERM),
    "signal.pthread_kill": lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM),
}
HARMLESS: dict[str, Callable[[], Any]] = {
    "another process": lambda: os.kill(OTHER, signal.SIGKILL),
    "another group": lambda: os.killpg(OTHER, signal.SIGKILL),
    "a test whether it exists": lambda: os.kill(ME, 0),
    "a signal that ends nothing": lambda: signal.raise_signal(signal.SIGCHLD),
    "a signal with a handler": lambda: signal.raise_signal(signal.SIGINT),
}


@pytest.mark.usefixtures("in_attempt")
@pytest.mark.parametrize("call", ENDING.values(), ids=ENDING)
def test_a_call_that_ends_the_process_records_its_attempt(vitals: Vitals, call: Callable[[], Any]) -> None:
    call()
    assert vitals.ended_by == key(LEASE)


@pytest.mark.usefixtures("in_attempt")
@pytest.mark.parametrize("call", HARMLESS.values(), ids=HARMLESS)
def test_a_call_that_leaves_the_process_alone_records_nothing(vitals: Vitals, call: Callable[[], Any]) -> None:
    call()
    assert vitals.ended_by == 0


def test_code_of_no_attempt_records_nothing(vitals: Vitals) -> None:
    ENDING["os._exit"]()
    assert vitals.ended_by == 0


@pytest.mark.usefixtures("in_attempt")
def test_an_attempt_without_a_row_records_nothing(vitals: Vitals, attempt: Attempt) -> None:
    attempt.row = 0
    ENDING["os._exit"]()
    assert vitals.ended_by == 0
