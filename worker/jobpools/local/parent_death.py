"""Child processes that end when their parent dies, even by SIGKILL (Linux only)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
"""Option of prctl(2)."""


def signal_on_parent_death(number: int = signal.SIGTERM) -> Callable[[], None] | None:
    """Return a `preexec_fn` with which the child receives this signal when its parent dies; None outside Linux."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def request_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl: the kernel sends no signal for that
            os._exit(1)

    return request_signal
