"""How long a leader acts that hears nothing any more. No API server is asked: one that falls silent at a word."""

import asyncio
import contextlib
import time

import pytest

from jobpools_operator.kube import lease
from jobpools_operator.kube.client import ApiError, Object
from jobpools_operator.kube.lease import Leadership


class Server:
    """Holds one Lease; `silent`: it takes requests and answers none."""

    def __init__(self) -> None:
        self.silent = False
        self._kept: Object | None = None

    async def get(self, path: str) -> Object:
        await self._speak()
        if self._kept is None:
            raise ApiError(f"{path} is not there", 404)
        return self._kept

    async def create(self, _: str, body: Object) -> Object:
        return await self.replace("", body)

    async def replace(self, _: str, body: Object) -> Object:
        await self._speak()
        self._kept = body
        return body

    async def _speak(self) -> None:
        if self.silent:
            await asyncio.Event().wait()


async def test_a_leader_that_hears_nothing_stops_before_the_next_one_may_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DURATION", "DEADLINE", "RENEW"):  # a tenth of the time, the proportions as they are
        monkeypatch.setattr(lease, name, getattr(lease, name) / 10)
    server = Server()
    leader = Leadership(server, "jobpools", "lease", "a", time.monotonic)  # type: ignore[arg-type]  # of Api, what it uses
    began, ended = asyncio.Event(), asyncio.Event()

    async def lead() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    campaign = asyncio.create_task(leader.campaign(lead))
    try:
        async with asyncio.timeout(30):
            await began.wait()
            server.silent, renewed = True, leader._renewed_at
            await ended.wait()
        assert renewed is not None
        assert time.monotonic() - renewed < lease.DURATION
    finally:
        campaign.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await campaign
