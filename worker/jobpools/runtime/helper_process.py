"""Short-lived processes for the supervisor's work that needs Redis: the supervisor stays small and never blocks."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable

from jobpools.runtime import processes
from jobpools.runtime.guardian import Guardian, follow_parent


class HelperProcesses:
    """Starts and stops the helper processes of one supervisor."""

    def __init__(self, channel: socket.socket, guardian: Guardian) -> None:
        """A helper closes its copies of the channel to the worker and of the guardian's pipe."""
        self._channel = channel
        self._guardian = guardian

    def start(self, work: Callable[[], None]) -> int:
        """Call `work` in a new process; return its pid."""
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            follow_parent(parent, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the supervisor forwards them to the worker
                signal.signal(number, signal.SIG_IGN)
            self._guardian.release()
            self._channel.close()
            work()
        except BaseException as error:  # noqa: BLE001  # this process must not continue as a second supervisor
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            os._exit(0)

    @staticmethod
    def stop(pid: int) -> None:
        """Kill a helper and wait for its end."""
        processes.send([pid], signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
