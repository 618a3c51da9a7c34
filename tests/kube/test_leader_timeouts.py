"""A leader without answers, and an operator without CRDs. The API server is a fake that can stop responding."""

import asyncio
import contextlib
import itertools
import json
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from jobpools_operator.kube import client, lease
from jobpools_operator.kube.client import OURS, Api, ApiError, Object
from jobpools_operator.kube.lease import Leadership
from tests.kube.processes import Operator
from tests.support.waiting import eventually


class Server:
    """Holds one Lease; `silent`: it accepts requests and does not respond."""

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


async def test_a_leader_without_answers_stops_before_another_may_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DURATION", "DEADLINE", "RENEW_INTERVAL"):  # a tenth of the time, the proportions as they are
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
        async with asyncio.timeout(10):
            await began.wait()
            server.silent, renewed = True, leader._renewed_at
            await ended.wait()
        assert renewed is not None
        assert time.monotonic() - renewed < lease.DURATION
    finally:
        campaign.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await campaign


async def test_a_stuck_campaign_is_not_alive_and_one_that_has_not_started_is() -> None:
    now = itertools.count(step=int(lease.STUCK_AFTER) + 1)
    leadership = Leadership(cast("Api", Server()), "default", "lease", "a", lambda: next(now))

    async def lead() -> None:
        raise AssertionError("it was never elected")

    alive = [leadership.alive]  # long after its start
    task = asyncio.ensure_future(leadership.campaign(lead))
    await asyncio.sleep(0)
    alive.append(leadership.alive)  # long after its only try
    assert alive == [True, False]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class NoKinds(Api):
    """An API server that has the CRDs only after some requests."""

    def __init__(self, tries: int) -> None:
        super().__init__(None)
        self.left = tries

    async def get(self, path: str, **query: Any) -> Object:
        assert query == {}
        if self.left:
            self.left -= 1
            raise ApiError(f"GET {path}: 404 page not found", 404)
        return {}


async def test_missing_crds_are_logged_once_and_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CRD_CHECK_INTERVAL", 0.01)
    api = NoKinds(5)
    await api.wait_for(OURS)
    assert api.left == 0
    (line,) = caplog.messages
    assert "are the CRDs installed? (crds/)" in line


class KnowsNothing(BaseHTTPRequestHandler):
    """An API server without our CRDs."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_an_operator_that_waits_for_its_crds_stops_on_sigterm(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), KnowsNothing) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        config = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
            "clusters": [{"name": "it", "cluster": {"server": url}}],
            "users": [{"name": "me", "user": {"token": "none"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        operator = Operator("redis://127.0.0.1:1/0", "default", "a", tmp_path, path)
        operator.start()
        try:
            eventually("it says what it waits for", lambda: "are the CRDs installed?" in operator.log.read_text())
            operator.signal(signal.SIGTERM)
            assert operator.wait(60) == 0
        finally:
            operator.stop()
            server.shutdown()
