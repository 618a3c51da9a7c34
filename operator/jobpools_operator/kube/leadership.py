"""Leader election through a Lease: one operator acts, the others stand by with everything loaded.

The leader renews the Lease every RENEW_INTERVAL seconds. Another operator may take over when it has seen no renewal for
DURATION seconds by its own clock: clocks of two machines are never compared. A leader that could not renew for DEADLINE
seconds (less than DURATION) stops acting before another operator may start.

A Lease does not fence: a leader that is suspended between its check and its write may still write once. Therefore every
effect is idempotent: an apply states the wanted state, and the job id of a tick is a hash of the tick.

The Lease has the form of coordination.k8s.io/v1; the durations have the same roles as in client-go's leader election.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from jobpools.core.text.timestamps import timestamp
from jobpools_operator.kube.client import COORDINATION_API, Api, ApiError, Object, path_of

DURATION = 10.0
"""Seconds without a renewal after which another operator may take over."""
DEADLINE = 7.0
"""Seconds without a renewal after which the leader stops acting."""
RENEW_INTERVAL = 2.0
"""Seconds between two renewals, and between two attempts of a standby."""
STUCK_AFTER = 30.0
"""Seconds without an attempt after which /livez fails."""

log = logging.getLogger("jobpools.operator")


class Leadership:
    """Campaigns for the Lease and knows whether this operator leads."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, clock: Callable[[], float]) -> None:
        """Begin as a standby. `clock`: monotonic seconds."""
        self._api = api
        self._collection = path_of(COORDINATION_API, namespace, "leases")
        self._path = path_of(COORDINATION_API, namespace, "leases", name)
        self._name, self._identity, self._clock = name, identity, clock
        self._last_renewal: tuple[str, str] = ("", "")
        """`holderIdentity` and `renewTime` as last read. They are only compared: the times are of another clock."""
        self._last_renewal_at = clock()
        """When this operator first read them, by its own clock."""
        self._renewed_at: float | None = None
        """When this operator last renewed the Lease; None: another one holds it."""
        self._tried_at: float | None = None
        """When the latest attempt began; None: the campaign has not started, because the CRDs are not installed yet."""

    @property
    def is_leading(self) -> bool:
        """Return whether this operator may act now."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < DEADLINE

    @property
    def is_alive(self) -> bool:
        """Return whether the campaign is not stuck: its last attempt is recent, or it has not started."""
        return self._tried_at is None or self._clock() - self._tried_at < STUCK_AFTER

    async def campaign(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Campaign until cancelled; run `lead` while elected, and cancel it when the term ends."""
        while True:
            await self._campaign_until(elected=True)
            log.info("leading as %s", self._identity)
            task = asyncio.ensure_future(lead())
            lost = asyncio.ensure_future(self._campaign_until(elected=False))
            try:
                done, _ = await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
                if task in done:
                    task.result()  # `lead` ends only with an error: raise it
                log.warning("no longer leading: the Lease could not be renewed")
            finally:
                for each in (task, lost):
                    each.cancel()
                # Not `await each`: a cancellation of this task would be mistaken for that of the awaited one, and lost.
                await asyncio.wait({task, lost})

    async def _campaign_until(self, *, elected: bool) -> None:
        while self.is_leading is not elected:
            self._tried_at = self._clock()
            try:
                async with asyncio.timeout(self._within_term(DEADLINE / 2)):
                    await self.try_acquire_or_renew()
            except (ApiError, TimeoutError) as error:
                log.warning("Lease: %s", str(error) or "the API server did not answer in time")
            if self.is_leading is not elected:
                await asyncio.sleep(self._within_term(RENEW_INTERVAL))

    def _within_term(self, seconds: float) -> float:
        """Limit a wait to the rest of the term: a leader that gets no answer must stop in time."""
        left = 0.0 if self._renewed_at is None else self._renewed_at + DEADLINE - self._clock()
        return min(seconds, left) if left > 0 else seconds

    async def try_acquire_or_renew(self) -> None:
        """Renew the Lease, take it over if it is free or has expired, or stand by. Raises ApiError."""
        now = self._clock()
        try:
            found = await self._api.get(self._path)
        except ApiError as error:
            if not error.is_missing:
                raise
            await self._create(now)
            return
        spec = found.get("spec", {})
        if self._may_hold(spec, now):
            await self._renew(found["metadata"], spec, now)
        else:
            self._renewed_at = None

    def _may_hold(self, spec: Object, now: float) -> bool:
        """Return whether this operator holds the Lease or may take it over; note when its renewal was first read."""
        holder, renewal = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if (holder, renewal) != self._last_renewal:
            self._last_renewal, self._last_renewal_at = (holder, renewal), now
        return holder in ("", self._identity) or now - self._last_renewal_at >= DURATION

    async def _create(self, now: float) -> None:
        with contextlib.suppress(ApiError):  # another operator created it first: the next attempt reads it
            await self._api.create(self._collection, self._body({}, transitions=0))
            self._renewed_at = now

    async def _renew(self, metadata: Object, spec: Object, now: float) -> None:
        transitions = int(spec.get("leaseTransitions") or 0) + (spec.get("holderIdentity") != self._identity)
        try:
            # The resource version lets only one of two simultaneous attempts succeed.
            await self._api.replace(self._path, self._body(metadata, transitions))
        except ApiError as error:
            if not error.is_conflict:
                raise
        else:
            self._renewed_at = now

    async def release(self) -> None:
        """Release the Lease, so that another operator need not wait until it expires."""
        if not self.is_leading:
            return
        self._renewed_at = None
        with contextlib.suppress(ApiError):
            found = await self._api.get(self._path)
            if found["spec"].get("holderIdentity") == self._identity:
                found["spec"]["holderIdentity"] = ""
                await self._api.replace(self._path, found)

    def _body(self, metadata: Object, transitions: int) -> Object:
        now = timestamp(time.time(), "microseconds")
        keep = {key: metadata[key] for key in ("resourceVersion", "namespace") if key in metadata}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name} | keep,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(DURATION),
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }
