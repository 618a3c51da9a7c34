"""The same from Python: one line, of the class that the tree of errors promises, and nothing is sent."""
# ruff: noqa: E501  # one case a line: a table is read from top to bottom

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from redis import Redis

from jobpools import (
    App,
    ArgumentsError,
    ConfigurationError,
    Context,
    JobpoolsError,
    PayloadTooLargeError,
    Retry,
    StoreAuthError,
    StoreUnavailableError,
    UnknownJobError,
)
from jobpools.core.job import Priority
from tests.cli.conftest import dump
from tests.support.servers import running, valkey_binary


@pytest.fixture
def app(valkey_url: str) -> Iterator[App]:
    app = App("store", redis=valkey_url, max_payload=1500)

    @app.job(queue="emails")
    async def send(ctx: Context, to: str, copies: int = 1) -> None:
        """What is sent here is never run."""

    yield app
    if app._client is not None and app._client._sync is not None:
        app._client._sync.close()


def send(*args: Any, **kwargs: Any) -> Callable[[App], Any]:
    return lambda app: app.handlers["send"].enqueue_sync(*args, **kwargs)


def options(**given: Any) -> Callable[[App], Any]:
    return lambda app: app.handlers["send"].options(**given).enqueue_sync(to="ada")


def by_name(name: str, args: Any, **given: Any) -> Callable[[App], Any]:
    return lambda app: app.enqueue_sync(name, args, **given)


def job(function: Callable[..., Any] | None = None, **said: Any) -> Callable[[App], Any]:
    async def other(to: str) -> None:
        """A handler."""

    return lambda app: app.job(**said)(function or other)


def positional(to: str, /) -> None:
    """An argument without a name in JSON."""


CASES: dict[str, tuple[Callable[[App], Any], type[JobpoolsError], str]] = {
    "missing argument": (send(), ArgumentsError, r"send: to: is missing"),
    "mistyped argument": (send(to="a", copeis=2), ArgumentsError, r"send: copeis: no such argument; did you mean copies\?"),
    "wrong type": (send(to=7), ArgumentsError, r"send: to: Input should be a valid string"),
    "too many": (send("a", 1, 2), ArgumentsError, r"send: takes 2 positional arguments, 3 given"),
    "twice": (send("a", to="b"), ArgumentsError, r"send: to: given twice"),
    "too large": (send(to="x" * 2000), PayloadTooLargeError, r"send: the encoded job takes 2\d{3} bytes, more than 1500: .*"),
    "unknown job": (by_name("sned", {}), UnknownJobError, r"app store has no job 'sned'; did you mean send\? .*"),
    "no name": (by_name(" ", {}, queue="emails"), ArgumentsError, r"a job needs a name"),
    "no JSON": (by_name("x", {"a": object()}, queue="emails"), ArgumentsError, r"x: the arguments are not JSON: .*"),
    "unknown option": (options(dely="5s"), ConfigurationError, r"dely: no such option; did you mean delay\?"),
    "a delay without a unit": (options(delay="5"), ConfigurationError, r"delay: '5' is not a duration: .*"),
    "a delay backwards": (options(delay=-1), ConfigurationError, r"delay: -1 is not a duration: .*"),
    "a moment without a zone": (options(at=datetime(2027, 1, 1)), ConfigurationError, r"at: .* has no time zone: .*"),  # noqa: DTZ001  # that is the mistake
    "at and delay": (options(at=datetime.fromisoformat("2027-01-01T00:00:00Z"), delay=1), ConfigurationError, r"give at or delay, not both"),
    "unknown priority": (options(priority="urgent"), ConfigurationError, r"priority: 'urgent' is none: write high, normal or low"),
    "a queue that would split its keys": (options(queue="{x}"), ConfigurationError, r"queue: '\{x\}' cannot be a queue: .*"),
    "a string for tags": (options(tags="vip"), ConfigurationError, r"tags: 'vip' is no list of strings"),
    "a retry that is none": (options(retry=3), ConfigurationError, r"retry: 3 is no Retry: write Retry\(max_attempts=5\)"),
    "no time": (options(timeout=0), ConfigurationError, r"timeout: 0 leaves a job no time at all"),
    "no crash": (options(max_crashes=0), ConfigurationError, r"max_crashes: 0 is no number from 1 on"),
    "an id of two words": (options(id="a b"), ConfigurationError, r"id: 'a b' cannot be an id: .*"),
    "a name twice": (job(name="send"), ConfigurationError, r"two jobs are called 'send': give one of them another name="),
    "no name in JSON": (job(positional), ConfigurationError, r"job positional: parameter to has no name in JSON: .*"),
    "a mistyped default": (job(timeot="5s"), ConfigurationError, r"timeot: no such option; did you mean timeout\?"),
    "an executor that does not fit": (job(executor="thread"), ConfigurationError, r"job other: executor='thread' does not fit: .*"),
    "an app's queue": (lambda _: App("x", queue="a b"), ConfigurationError, r"queue: 'a b' cannot be a queue: .*"),
    "nobody there": (lambda _: _to("redis://127.0.0.1:1/0"), StoreUnavailableError, r"redis://127\.0\.0\.1:1/0: cannot be reached: .*"),
    "no URL": (lambda _: _to("nowhere"), ConfigurationError, r"nowhere: not a Redis URL: .*"),
}  # fmt: skip


def _to(url: str) -> Any:
    return App("x", redis=url).enqueue_sync("any", {}, queue="emails")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_line_and_nothing_sent(
    case: tuple[Callable[[App], Any], type[JobpoolsError], str], app: App, valkey_url: str
) -> None:
    act, kind, says = case
    with Redis.from_url(valkey_url) as client:
        app.handlers["send"].enqueue_sync(to="ada")
        before = dump(client)
        with pytest.raises(JobpoolsError) as caught:
            act(app)
        assert type(caught.value) is kind
        assert re.fullmatch(says, str(caught.value)), str(caught.value)
        assert dump(client) == before


def test_what_is_right_is_taken(app: App) -> None:
    """Each option as it should be: a check that refuses everything would pass all of the above."""
    handle = options(
        queue="emails.high",
        priority=Priority.LOW,
        tags=["a"],
        retry=Retry(),
        timeout="1m",
        max_crashes=1,
        id="own",
        delay="0s",
    )(app)
    assert (handle.id, handle.queue, handle.new) == ("own", "emails.high", True)


def test_a_wrong_password_is_not_repeated() -> None:
    secret = "right"  # noqa: S105  # of a server that lives for this test
    with running(valkey_binary(), password=secret) as server, pytest.raises(StoreAuthError) as caught:
        _to(f"redis://:wrong@127.0.0.1:{server.port}/0")
    assert "wrong@" not in str(caught.value)
    assert "check user and password" in str(caught.value)
