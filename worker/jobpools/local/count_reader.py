"""Reads the job counts of a run from Redis."""

from jobpools.errors import StoreError
from jobpools.local.redis_availability import RedisAvailability
from jobpools.local.run_counts import RunCounts
from jobpools.local.spec_files import SpecFiles
from jobpools.store import ledger
from jobpools.store.connection import Connection
from jobpools.store.server import queue_names


class CountReader:
    """Updates the counts of a run from Redis."""

    def __init__(
        self, connection: Connection, counts: RunCounts, availability: RedisAvailability, *, all_queues: bool
    ) -> None:
        """Create a reader.

        Args:
            connection: Where the counts are read.
            counts: The counts to update.
            availability: Learns whether Redis can be read.
            all_queues: Count every queue in Redis, not only those in the files. For an embedded Valkey, which only
                this run uses.
        """
        self._connection = connection
        self._counts = counts
        self._availability = availability
        self._all_queues = all_queues

    async def read(self, specs: SpecFiles) -> None:
        """Update the counts; if Redis is unavailable, mark them as outdated."""
        try:
            self._counts.update(await ledger.read(self._connection, await self._queues(specs)))
        except StoreError as error:
            self._counts.is_current = False
            self._availability.failed(error)
            return
        self._availability.succeeded()

    async def _queues(self, specs: SpecFiles) -> list[str]:
        served = {queue.name for pool in specs.pools for queue in pool.spec.queues}
        fired = {schedule.spec.job.queue for schedule in specs.schedules}
        return sorted(served | fired | set(await queue_names(self._connection) if self._all_queues else ()))
