"""The queues of an operator, for tests that do not wait until it may rescue leases."""

import time

from jobpools.control.queues import RENEWAL_GRACE, StoreQueues
from jobpools.store.connection import Connection


class _Clock:
    """The monotonic clock, and how far it was behind when the operator started."""

    behind = RENEWAL_GRACE

    def __call__(self) -> float:
        return time.monotonic() - self.behind


def operator_queues(connection: Connection) -> StoreQueues:
    """Return the queues of an operator that started RENEWAL_GRACE ago, so that it rescues expired leases at once."""
    clock = _Clock()
    queues = StoreQueues(connection, "operator", clock)
    clock.behind = 0.0
    return queues
