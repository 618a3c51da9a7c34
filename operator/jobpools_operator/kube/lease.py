"""Leader election through a Lease: one operator acts, the others stand by with everything loaded.

The leader renews the Lease every RENEW_INTERVAL seconds. Another operator may take over when it has seen no renewal for
DURATION seconds by its own clock: clocks of two machines are never compared. A leader that could not renew for DEADLINE
seconds (less than DURATION) stops acting before another operator may start. A Lease does not fence: a leader that is
suspended between its check and its write may still write once. Therefore every effect is idempotent: an apply states
the wanted state, and the job id of a tick is a hash of the tick.
Source: coordination.k8s.io/v1 Lease; the durations' roles are those of client-go's leader election.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from jobpools.core.text.timestamps import timestamp
from jobpools_operator.kube.client import LEASES, Api, ApiError, Object, path_of

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
        """`clock`: monotonic seconds."""
        self._api = api
        self._folder = path_of(LEASES, namespace, "leases")
        self._path = path_of(LEASES, namespace, "leases", name)
        self._name, self._identity, self._clock = name, identity, clock
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = clock()
        self._renewed_at: float | None = None
        self._tried_at: float | None = None
        """None: the campaign has not started, because the CRDs are not installed yet."""

    @property
    def leading(self) -> bool:
        """Return whether this operator may act now."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < DEADLINE

    @property
    def alive(self) -> bool:
        """Return whether the campaign is not stuck: its last attempt is recent, or it has not started."""
        return self._tried_at is None or self._clock() - self._tried_at < STUCK_AFTER

    async def campaign(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Campaign until cancelled; run `lead` while elected, and cancel it when the term ends."""
        while True:
            await self._until(elected=True)
            log.info("leading as %s", self._identity)
            task = asyncio.ensure_future(lead())
            lost = asyncio.ensure_future(self._until(elected=False))
            try:
                done, _ = await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
                if task in done:
                    task.result()  # it returns only by an error: raise it
                log.warning("no longer leading: the lease could not be renewed")
            finally:
                for each in (task, lost):
                    each.cancel()
                # Not `await each`: a cancellation of this task would be mistaken for that of the awaited one, and lost.
                await asyncio.wait({task, lost})

    async def _until(self, *, elected: bool) -> None:
        while self.leading is not elected:
            self._tried_at = self._clock()
            try:
                async with asyncio.timeout(self._within_term(DEADLINE / 2)):
                    await self._try(self._clock())
            except (ApiError, TimeoutError) as error:
                log.warning("lease: %s", str(error) or "no answer")
            if self.leading is not elected:
                await asyncio.sleep(self._within_term(RENEW_INTERVAL))

    def _within_term(self, seconds: float) -> float:
        """Limit a wait to the rest of the term: a leader that gets no answer must stop in time."""
        left = 0.0 if self._renewed_at is None else self._renewed_at + DEADLINE - self._clock()
        return min(seconds, left) if left > 0 else seconds

    async def _try(self, now: float) -> None:
        """Renew the Lease, take it over, or stand by."""
        try:
            found = await self._api.get(self._path)
        except ApiError as error:
            if not error.missing:
                raise
            with contextlib.suppress(ApiError):  # another operator created it first: the next attempt reads it
                await self._api.create(self._folder, self._body({}, transitions=0))
                self._renewed_at = now
            return
        spec = found.get("spec", {})
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if (holder, renewed) != self._seen:
            self._seen, self._seen_at = (holder, renewed), now
        if holder not in ("", self._identity) and now - self._seen_at < DURATION:
            self._renewed_at = None
            return
        transitions = int(spec.get("leaseTransitions") or 0) + (holder != self._identity)
        try:
            # The resource version lets only one of two simultaneous attempts succeed.
            await self._api.replace(self._path, self._body(found["metadata"], transitions))
        except ApiError as error:
            if not error.conflict:
                raise
            return
        self._renewed_at = now

    async def release(self) -> None:
        """Release the Lease, so that another operator need not wait until it expires."""
        if not self.leading:
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
