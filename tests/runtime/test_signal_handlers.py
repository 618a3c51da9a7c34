"""Signal handlers that jobs install: an exception concerns the job that installed the handler, and no other code."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from jobpools.runtime import signal_handlers
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import current_attempt
from tests.runtime.harness import SlotsHarness

NUMBER = signal.SIGUSR1


class AlarmError(Exception):
    """What the handler of a job raises."""


def alarm(*_: object) -> None:
    raise AlarmError


async def handler(_ctx: Any, _args: dict[str, Any]) -> None: ...


@pytest.fixture
def attempt() -> Attempt:
    return SlotsHarness(handler).attempt("lease")


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    former = signal.getsignal(NUMBER)
    yield
    signal.signal(NUMBER, former)


async def prepared(attempt: Attempt | None) -> list[tuple[Attempt, BaseException]]:
    """Install the handler as code of the attempt; return the attempts that are blamed."""
    blamed: list[tuple[Attempt, BaseException]] = []
    undo = signal_handlers.prepare(asyncio.get_running_loop(), lambda each, error: blamed.append((each, error)))
    token = current_attempt.set(attempt)
    try:
        signal.signal(NUMBER, alarm)
    finally:
        current_attempt.reset(token)
        undo()
    return blamed


async def test_in_its_own_code_a_job_gets_the_exception(attempt: Attempt) -> None:
    blamed = await prepared(attempt)
    token = current_attempt.set(attempt)
    with pytest.raises(AlarmError):
        signal.raise_signal(NUMBER)
    current_attempt.reset(token)
    await asyncio.sleep(0)
    assert blamed == []


async def test_in_other_code_the_job_is_blamed_and_nothing_is_raised(attempt: Attempt) -> None:
    blamed = await prepared(attempt)
    signal.raise_signal(NUMBER)
    await asyncio.sleep(0)
    ((blamed_attempt, error),) = blamed
    assert blamed_attempt is attempt
    assert isinstance(error, AlarmError)


async def test_a_handler_that_no_job_installed_raises_where_it_runs() -> None:
    await prepared(None)
    with pytest.raises(AlarmError):
        signal.raise_signal(NUMBER)


async def test_afterwards_signal_is_pythons_own() -> None:
    plain = signal.signal
    await prepared(None)
    assert signal.signal is plain
