"""Remove from a handler's forked child what it must not inherit: signal handlers, event loop, descriptors.

A forked child is a copy of the worker inside a handler. Three things in the copy would affect the worker: the
descriptor through which asyncio receives signals (a SIGTERM to the child would stop the worker), the descriptors of the
event loop (epoll), and the event loop itself, if the child returned to it as a second worker.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that stop a worker; in a forked child they have Python's default actions."""

is_child = False
"""Whether this process was forked by a handler."""

_loop: asyncio.AbstractEventLoop | None = None
_loop_thread = 0
_masks = threading.local()
_private: tuple[int, ...] = ()
_hooked = False


def protect(loop: asyncio.AbstractEventLoop, private: tuple[int, ...] = ()) -> None:
    """Protect the worker on this event loop from the children that its handlers fork.

    Call it on the thread that runs the loop. `private` are more descriptors that no child may use.
    """
    global _loop, _loop_thread, _private, _hooked  # noqa: PLW0603  # hooks of a fork belong to the process
    _loop, _loop_thread, _private = loop, threading.get_ident(), private
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def unprotect() -> None:
    """Stop changing forked children: the worker has ended."""
    global _loop  # noqa: PLW0603  # as above
    _loop = None


def leave(error: BaseException | None) -> NoReturn:
    """End a forked child that has left its handler, as the interpreter would end it, without running worker code."""
    code: Any = 0
    with contextlib.suppress(Exception):  # the error's own code may raise; this process ends anyway
        if isinstance(error, SystemExit):
            code = error.code
            if code is not None and not isinstance(code, int):
                sys.stderr.write(f"{code}\n")
                code = 1
        elif error is not None:
            code = 1
            traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit((code or 0) & 0xFF)


def confined(call: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Return the call of a handler or middleware so that a child which it forks ends there, not in its caller."""

    @wraps(call)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_child:
            leave(None)
        try:
            value = await call(*args, **kwargs)
        except BaseException as error:
            if is_child:
                leave(error)
            raise
        if is_child:
            leave(None)
        return value

    return run


def _before() -> None:
    if _loop is not None:
        # Until the child has closed the wake-up descriptor, a signal sent to it would be written to the worker.
        _masks.former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _after_in_parent() -> None:
    if _loop is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.former)


def _after_in_child() -> None:
    global is_child, _loop  # noqa: PLW0603  # as above
    loop, _loop = _loop, None
    if loop is None:
        return
    is_child = True
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _detach(loop)
    if threading.get_ident() == _loop_thread:
        _disarm(loop)
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.former)


def _detach(loop: Any) -> None:
    """Give up the descriptors that the child shares with the worker's event loop.

    They stay open on /dev/null. If they were closed, new files would get their numbers, and the former owners would
    close those files.
    """
    owners = (getattr(loop, name, None) for name in ("_selector", "_ssock", "_csock"))
    numbers = [*_private, *(owner.fileno() for owner in owners if owner is not None)]
    null = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        if number >= 0:
            os.dup2(null, number, inheritable=False)
    os.close(null)


def _disarm(loop: Any) -> None:
    """Keep the event loop from running anything more: the child was forked on the loop's thread and may await."""

    def end() -> NoReturn:
        leave(RuntimeError("a forked child cannot use the worker's event loop; use asyncio.run in it"))

    loop._ready.clear()  # noqa: SLF001  # asyncio has no public way: stop() would run the rest of the ready handles
    loop.call_soon(end)
    loop._run_once = end  # noqa: SLF001  # as above
