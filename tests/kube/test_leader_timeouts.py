"""Leadership while the API server does not respond, and an operator without CRDs. The API server is a fake."""

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

from jobpools_operator.kube import client, leadership
from jobpools_operator.kube.client import CRD_API, Api, ApiError, Object
from jobpools_operator.kube.leadership import Leadership
from tests.kube.campaigns import campaigning
from tests.kube.processes import Operator
from tests.support.waiting import eventually, until


class LeaseServer:
    """Holds one Lease; while `is_silent`, it accepts requests and does not respond."""

    def __init__(self) -> None:
        self.is_silent = False
        self.written_at = 0.0
        self._lease: Object | None = None

    async def get(self, path: str) -> Object:
        await self._wait_while_silent()
        if self._lease is None:
            raise ApiError(f"{path}: not found", 404)
        return self._lease

    async def create(self, _: str, body: Object) -> Object:
        return await self.replace("", body)

    async def replace(self, _: str, body: Object) -> Object:
        await self._wait_while_silent()
        self._lease, self.written_at = body, time.monotonic()
        return body

    async def _wait_while_silent(self) -> None:
        if self.is_silent:
            await asyncio.Event().wait()


async def test_a_leader_that_gets_no_answers_stops_before_another_may_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DURATION", "DEADLINE", "RENEW_INTERVAL"):  # a tenth of the time, in the same proportions
        monkeypatch.setattr(leadership, name, getattr(leadership, name) / 10)
    server = LeaseServer()
    leader = Leadership(cast("Api", server), "jobpools", "lease", "a", time.monotonic)
    async with campaigning(leader) as term, asyncio.timeout(10):
        await term.began.wait()
        server.is_silent = True
        await term.ended.wait()
        assert time.monotonic() - server.written_at < leadership.DURATION


async def test_a_stuck_campaign_is_not_alive_and_one_that_has_not_started_is() -> None:
    now = itertools.count(step=int(leadership.STUCK_AFTER) + 1)
    leader = Leadership(cast("Api", LeaseServer()), "default", "lease", "a", lambda: next(now))

    async def lead() -> None:
        raise AssertionError("it must not be elected: the clock jumps past each term")

    assert leader.is_alive, "the campaign has not started, however long ago the process did"
    task = asyncio.ensure_future(leader.campaign(lead))
    await until(lambda: not leader.is_alive)  # the only attempt was long ago
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class LateCrds(Api):
    """An API server that has the CRDs only after some requests."""

    def __init__(self, refusals: int) -> None:
        super().__init__(None)
        self.refusals_left = refusals

    async def get(self, path: str, **query: Any) -> Object:
        assert query == {}
        if self.refusals_left:
            self.refusals_left -= 1
            raise ApiError(f"GET {path}: 404 page not found", 404)
        return {}


async def test_missing_crds_are_logged_once_and_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CRD_CHECK_INTERVAL", 0.01)
    api = LateCrds(5)
    await api.wait_for(CRD_API)
    assert api.refusals_left == 0
    (line,) = caplog.messages
    assert "if the CRDs are missing, install them (crds/)" in line


class WithoutCrds(BaseHTTPRequestHandler):
    """An API server without our CRDs."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_an_operator_that_waits_for_its_crds_stops_on_sigterm(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), WithoutCrds) as server:
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
            eventually("it logs what it waits for", lambda: "if the CRDs are missing" in operator.log.read_text())
            operator.signal(signal.SIGTERM)
            assert operator.wait(60) == 0
        finally:
            operator.stop()
            server.shutdown()
