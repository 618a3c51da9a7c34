"""Writes the statuses that are due, one after the other, and within the limit of writes."""

import asyncio
import logging

from jobpools_operator.kube.client import CRD_API, Api, ApiError, path_of
from jobpools_operator.kube.rate_limit import TokenBucket
from jobpools_operator.statuses import Statuses, Write

FIELD_MANAGER = "jobpools-status"

log = logging.getLogger("jobpools.operator")


class StatusWriter:
    """Writes the statuses that are due."""

    def __init__(self, api: Api, statuses: Statuses, bucket: TokenBucket) -> None:
        self._api, self._statuses, self._bucket = api, statuses, bucket
        self.writes = 0
        """Number of statuses written since the start."""

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            while True:
                object_id = await self._statuses.next_due()
                await asyncio.sleep(self._bucket.take())
                # Asked only now: a newer status may have been put while the bucket was empty.
                if write := self._statuses.begin_write(object_id):
                    await self._write(write)
        finally:
            self._statuses.end_term()

    async def _write(self, write: Write) -> None:
        target = write.id
        path = path_of(CRD_API, target.namespace, target.kind.plural, target.name, "status")
        try:
            await self._api.merge(path, {"status": write.body}, FIELD_MANAGER)
        except ApiError as error:
            if not error.is_missing:
                log.warning("%s: the status could not be written; trying again: %s", target, error)
            self._statuses.fail_write(write, is_missing=error.is_missing)
        else:
            self.writes += 1
            self._statuses.end_write(write)
