"""What Ctrl-C and SIGTERM do to a run."""

import asyncio
import signal
from collections.abc import Callable

from jobpools.local.cluster import ProcessCluster
from jobpools.local.companion import CompanionCommand


class StopSignals:
    """Counts SIGINT and SIGTERM: the first drains the run, the second hands running jobs back, the third kills."""

    def __init__(
        self,
        cluster: ProcessCluster,
        companion: CompanionCommand | None,
        wake: asyncio.Event,
        notify: Callable[[str], None],
    ) -> None:
        """Handle no signal yet; `wake` is set at each signal, and `notify` receives messages for the user."""
        self._cluster = cluster
        self._companion = companion
        self._wake = wake
        self._notify = notify
        self._count = 0

    @property
    def stop_requested(self) -> bool:
        """Whether a signal has arrived."""
        return self._count > 0

    def install(self) -> None:
        """Handle the signals in the running event loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        self._count += 1
        self._wake.set()
        match self._count:
            case 1:  # the control loop ends and drains the workers
                self._notify("stopping: workers finish their running jobs; press Ctrl-C again to hand them back now")
            case 2:
                self._notify("handing back running jobs")
                self._cluster.stop()
                if self._companion is not None:
                    self._companion.terminate()
            case _:
                self._cluster.kill()
