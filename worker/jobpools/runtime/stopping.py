"""The signals that stop a worker, from its first line to its last.

SIGTERM, SIGINT and SIGHUP drain; a second one, or SIGQUIT, hands back at once what runs. What a signal does depends on
how far the worker is:

    starting    Stopped is raised at the current line: no job is claimed, so the process may end anywhere
    working     the worker's `stop` is called on its event loop
    ending      nothing: everything is settled, and the exit code must not depend on a late signal
"""

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from types import FrameType
from typing import Any

from jobpools.runtime import forking
from jobpools.runtime.worker_task import WorkerTask

SIGNALS = (*forking.SIGNALS, signal.SIGQUIT)
EFFECTIVE_SIGNALS = 2
"""Calls of `stop` that have an effect: the first drains, the second hands back at once."""
CHECK_INTERVAL = 0.25
"""Seconds between two checks whether a job has replaced the signal handlers."""

log = logging.getLogger("jobpools.worker")


class Stopped(BaseException):
    """The process received a stop signal before it claimed a job."""


class Stopping:
    """The effect of the stop signals on this process: raise, drain, hand back, or nothing."""

    def __init__(self) -> None:
        self.first_signal: signal.Signals | None = None
        """The first signal received; None: no signal was received."""
        self.is_over = False
        """Whether the worker has ended or is about to end: signals no longer have an effect."""
        self._count = 0
        self.pid = os.getpid()
        self._stop: Callable[[], None] | None = None
        self._may_raise: Callable[[], bool] = lambda: not self.is_over

    def check(self) -> None:
        """Raise Stopped if a signal has arrived: code of the app may have caught the first exception."""
        if self.first_signal is not None:
            raise Stopped(self.first_signal.name)

    @contextlib.contextmanager
    def working(
        self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None], blocks: Callable[[], bool]
    ) -> Generator[None]:
        """Call `stop` on this event loop for each signal; after the block, signals do nothing.

        While `blocks()` is true, code of the app blocks the event loop and holds no job: Stopped is raised there, too.
        `loop.add_signal_handler` is not used: a loop that closes restores the default action, and a signal that arrives
        then would kill a worker that has drained.
        """
        self.check()
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        loop.add_reader(receiver, _discard, receiver)
        former = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._may_raise, self._stop = blocks, lambda: _call(loop, stop)
        numbers = list(_install(self._handle))  # again: the app may have replaced them
        reinstalling = WorkerTask(self._keep_installed(numbers), loop=loop, name="signals")
        try:
            yield
        finally:
            reinstalling.cancel()
            self.is_over, self._may_raise, self._stop = True, lambda: False, None
            signal.set_wakeup_fd(former)
            loop.remove_reader(receiver)
            receiver.close()
            sender.close()

    async def _keep_installed(self, numbers: Sequence[signal.Signals]) -> None:
        """Reinstall signal handlers that a job has replaced: a worker must receive its stop signals."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            if replaced := [number for number in numbers if signal.getsignal(number) != self._handle]:
                for number in replaced:
                    signal.signal(number, self._handle)
                names = ", ".join(number.name for number in replaced)
                log.warning("a job replaced the signal handler of %s; the worker reinstalls its own", names)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self.pid:
            # The app forked this process while it was imported: it ends as any program does.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        name = signal.Signals(number)
        self.first_signal = self.first_signal or name
        if self._stop is not None and self._count < EFFECTIVE_SIGNALS:
            is_urgent = self._count > 0 or number == signal.SIGQUIT
            effect = "running jobs are handed back" if is_urgent else "running jobs may finish"
            log.info("%s received: the worker stops; %s", name.name, effect)
            for _ in range(EFFECTIVE_SIGNALS - self._count if is_urgent else 1):
                self._count += 1
                self._stop()
        if self._may_raise():
            raise Stopped(name.name)


@contextlib.contextmanager
def stopping() -> Generator[Stopping]:
    """Handle the stop signals during the block.

    After the block they are ignored if one has arrived. Otherwise the former handlers are restored.
    """
    state = Stopping()
    former = _install(state._handle)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # of this module
    # At its exit the interpreter restores the default action of handlers in Python, but not of ignored signals. The
    # function that is registered first runs last.
    atexit.register(_ignore, state)
    try:
        yield state
    finally:
        state.is_over = True
        if state.first_signal is None:
            for number, handler in former.items():
                signal.signal(number, handler)


def _install(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Install the handler and return the former ones. An ignored SIGHUP stays ignored: nohup set it."""
    former = {number: signal.getsignal(number) for number in SIGNALS}
    if former[signal.SIGHUP] is signal.SIG_IGN:
        del former[signal.SIGHUP]
    for number in former:
        signal.signal(number, handler)
    return former


def _ignore(state: Stopping) -> None:
    if state.first_signal is not None and os.getpid() == state.pid:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _discard(receiver: socket.socket) -> None:
    """Discard the bytes with which signals wake the event loop."""
    with contextlib.suppress(BlockingIOError):
        while receiver.recv(1024):
            pass


def _call(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: everything is settled
        loop.call_soon_threadsafe(stop)
