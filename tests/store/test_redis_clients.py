"""URLs of Redis: which are valid, and messages about the others do not show the password."""

import pytest

from jobpools.errors import ConfigurationError
from jobpools.store.connection import Connection, connect
from jobpools.store.sync_connection import SyncConnection

SECRET = "tiger&scott"  # noqa: S105  # a password of the tests


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host", "not a Redis URL"),
        ("host:6379", "not a Redis URL"),
        ("", "not a Redis URL"),
        ("redis://host:port/0", "not a Redis URL"),
        ("redis://host:99999999/0", "not a Redis URL"),
        ("redis+sentinel://host:x/0", "not a Redis URL"),
    ],
)
@pytest.mark.parametrize("kind", [Connection, SyncConnection])
def test_an_invalid_url_is_refused_at_once(url: str, why: str, kind: type[Connection] | type[SyncConnection]) -> None:
    with pytest.raises(ConfigurationError, match=why) as raised:
        kind(url)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("url", [f"redis://:{SECRET}/x@host", f"http://:{SECRET}@host", f"redis://:{SECRET}@host:x/0"])
def test_the_message_about_an_invalid_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Connection(url)
    assert SECRET not in str(raised.value)


async def test_the_scheme_valkey_is_accepted(valkey_url: str) -> None:
    connection = connect(valkey_url.replace("redis://", "valkey://"))
    assert await connection.execute("PING")
    await connection.aclose()
