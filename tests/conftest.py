"""Fixtures of all tests: a real Valkey, empty at the start of each test that uses it."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from jobpools.store import search
from tests.support.servers import Server, running, valkey_binary

settings.register_profile("jobpools", deadline=None)  # no time limit for an example, which a busy machine would exceed
settings.load_profile("jobpools")
search.TIME_LIMIT = 60.0  # a busy machine would exceed 0.15 s, and a page would have fewer jobs; one test has its own

# Processes that tests start inherit which signals are ignored, and tests send them these signals. `nohup` and `&` in a
# script ignore them. A handler in place of it is not inherited, and lets pytest itself survive a hangup.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """A server for the whole run, without a file; tests that kill or restart a server start their own."""
    with running(valkey_binary()) as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: Server) -> str:
    """The URL of the server, which is empty."""
    with valkey_server.client() as client:
        client.flushall()
    return valkey_server.url
