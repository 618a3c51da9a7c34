"""What many tests share: a real Valkey, empty at the start of each test that asks for it."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.servers import Server, running, valkey_binary

settings.register_profile("jobpools", deadline=None)  # a time limit for each example fails on a busy machine
settings.load_profile("jobpools")

# Tests send these signals to processes that they start, which inherit what is ignored here: by `nohup` and by `&` in a
# script. A handler is not inherited, and pytest itself still survives a hangup.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """One for the whole run, without a file: tests that kill or restart it start one of their own."""
    with running(valkey_binary()) as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: Server) -> str:
    """An empty one."""
    with valkey_server.client() as client:
        client.flushall()
    return valkey_server.url
