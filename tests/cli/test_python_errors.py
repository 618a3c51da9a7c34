"""Wrong calls of the Python API raise a one-line error of the documented class, and nothing is enqueued."""
# ruff: noqa: E501  # one case a line: a table is read from top to bottom

import asyncio
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
from jobpools.core.jobs.job import Priority
from tests.cli.conftest import dump
from tests.support.servers import running, valkey_binary


@pytest.fixture
def app(valkey_url: str) -> Iterator[App]:
    app = App("store", redis=valkey_url, max_payload=1500)

    @app.job(queue="emails")
    async def send(ctx: Context, to: str, copies: int = 1) -> None:
        """Do nothing: no worker runs this job."""

    yield app
    app.close()


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


def retry(**said: Any) -> Retry:
    return Retry(**said)


class Thing:
    """A class, which cannot be a handler."""

    def named(self, to: str) -> None:
        """Do nothing: an unbound method cannot be a handler."""


async def wait(attempt: int, _error: BaseException | None) -> float:
    """Return a delay; an async function is not a valid retry function."""
    return attempt


async def late(to: str, ctx: Context) -> None:
    """Take the Context at the wrong position."""


async def perhaps(ctx: Context | None = None) -> None:
    """Take an optional Context, which is not allowed."""


def positional(to: str, /) -> None:
    """An argument without a name in JSON."""


CASES: dict[str, tuple[Callable[[App], Any], type[JobpoolsError], str]] = {
    "missing argument": (send(), ArgumentsError, r"send: to: is missing"),
    "mistyped argument": (send(to="a", copeis=2), ArgumentsError, r"send: copeis: no such argument; did you mean copies\?"),
    "wrong type": (send(to=7), ArgumentsError, r"send: to: must be text"),
    "too many": (send("a", 1, 2), ArgumentsError, r"send: takes 2 positional arguments, 3 given"),
    "twice": (send("a", to="b"), ArgumentsError, r"send: to: given twice; .*"),
    "too large": (send(to="x" * 2000), PayloadTooLargeError, r"send: the encoded job takes 2\d{3} bytes, more than 1500; .*"),
    "unknown job": (by_name("sned", {}), UnknownJobError, r"app store: no job 'sned'; give queue= .*; did you mean send\?"),
    "no name": (by_name(" ", {}, queue="emails"), ArgumentsError, r"enqueue: the job's name is empty; .*"),
    "no JSON": (by_name("x", {"a": object()}, queue="emails"), ArgumentsError, r"x: the arguments are not JSON: .*"),
    "unknown option": (options(dely="5s"), ConfigurationError, r"send\.options: dely: no such option; did you mean delay\?"),
    "a delay without a unit": (options(delay="5"), ConfigurationError, r"send\.options: delay: '5' is not a duration; .*"),
    "a delay backwards": (options(delay=-1), ConfigurationError, r"send\.options: delay: -1 is not a duration; .*"),
    "a moment without a zone": (options(at=datetime(2027, 1, 1)), ConfigurationError, r"send\.options: at: .* has no time zone; .*"),  # noqa: DTZ001  # that is the mistake
    "at and delay": (options(at=datetime.fromisoformat("2027-01-01T00:00:00Z"), delay=1), ConfigurationError, r"send\.options: at and delay exclude each other; give one of them"),
    "unknown priority": (options(priority="urgent"), ConfigurationError, r"send\.options: priority: 'urgent' is not a priority; use high, normal or low"),
    "a queue that would split its keys": (options(queue="{x}"), ConfigurationError, r"send\.options: queue: '\{x\}' is not a queue name; .*"),
    "a string for tags": (options(tags="vip"), ConfigurationError, r"send\.options: tags: 'vip' is not a list of strings; .*"),
    "a retry that is none": (options(retry=3), ConfigurationError, r"send\.options: retry: 3 is not a Retry; write Retry\(max_attempts=5\)"),
    "no time": (options(timeout=0), ConfigurationError, r"send\.options: timeout: must be more than 0"),
    "no crash": (options(max_crashes=0), ConfigurationError, r"send\.options: max_crashes: must be an integer of at least 1, got 0"),
    "an id of two words": (options(id="a b"), ConfigurationError, r"send\.options: id: 'a b' cannot be an id: .*"),
    "a name twice": (job(name="send"), ConfigurationError, r"job send: duplicate name; give one of the two functions another name="),
    "no name in JSON": (job(positional), ConfigurationError, r"job positional: parameter to has no name in JSON; .*"),
    "a mistyped default": (job(timeot="5s"), ConfigurationError, r"job other: timeot: no such option; did you mean timeout\?"),
    "an executor that does not fit": (job(executor="thread"), ConfigurationError, r"job other: executor='thread' does not fit .*"),
    "a queue of two lines": (options(queue="emails\n"), ConfigurationError, r"send\.options: queue: 'emails\\n' is not a queue name; .*"),
    "an app's queue": (lambda _: App("x", queue="a b"), ConfigurationError, r"App: queue: 'a b' is not a queue name; .*"),
    "an app's mistyped argument": (lambda _: App("x", reddis="redis://"), ConfigurationError, r"App: reddis: no such option; did you mean redis\?"),  # type: ignore[call-arg]  # that is the mistake
    "an app without a name": (lambda _: App(7), ConfigurationError, r"App: name: must be a string that is not empty, got 7"),  # type: ignore[arg-type]  # that is the mistake
    "an app's payload": (lambda _: App("x", max_payload="1k"), ConfigurationError, r"App: max_payload: must be an integer of at least 1, got '1k'"),  # type: ignore[arg-type]  # that is the mistake
    "an app's server": (lambda _: App("x", redis=7), ConfigurationError, r"App: redis: must be a string that is not empty, got 7"),  # type: ignore[arg-type]  # that is the mistake
    "a job's name": (job(name=7), ConfigurationError, r"@app\.job: name: must be a string that is not empty, got 7"),
    "a class": (job(Thing), ConfigurationError, r"@app\.job: <class '.*Thing'> is not a function; .*"),
    "a method": (job(Thing.named), ConfigurationError, r"@app\.job: .* takes self; decorate a function or a bound method"),
    "no call": (lambda app: asyncio.run(app.enqueue_many([app.handlers["send"]])), ArgumentsError, r"enqueue_many: <Handler send .*> is not a call; use handler\.call\(…\)"),  # type: ignore[list-item]  # that is the mistake
    "no function": (lambda app: app.job("emails"), ConfigurationError, r"@app\.job: 'emails' is not a function; write @app\.job or @app\.job\(name=…\)"),  # type: ignore[call-overload]  # that is the mistake
    "an id of another type": (options(id=7), ConfigurationError, r"send\.options: id: 7 cannot be an id: .*"),
    "a tag of another type": (options(tags=[7]), ConfigurationError, r"send\.options: tags: \[7\] is not a list of strings; .*"),
    "one tag that is no text": (options(tags=7), ConfigurationError, r"send\.options: tags: 7 is not a list of strings; .*"),
    "a span of another type": (options(delay=[5]), ConfigurationError, r"send\.options: delay: \[5\] is not a duration; .*"),
    "yes for a span": (options(timeout=True), ConfigurationError, r"send\.options: timeout: True is not a duration; .*"),
    "by name": (by_name("send", {"to": "ada"}, dely=1), ConfigurationError, r"enqueue send: dely: no such option; did you mean delay\?"),
    "another app's by name": (by_name("x", {}, queue="emails", dely=1), ConfigurationError, r"enqueue x: dely: no such option; did you mean delay\?"),
    "a retry's mistyped option": (lambda _: retry(max_attemps=5), ConfigurationError, r"Retry: max_attemps: no such option; did you mean max_attempts\?"),
    "a retry's delay": (lambda _: retry(initial="soon"), ConfigurationError, r"Retry: initial: 'soon' is not a duration; .*as in 90s or 1h30m"),
    "a retry without a delay": (lambda _: retry(initial=None), ConfigurationError, r"Retry: initial: None is not a duration; .*"),
    "a retry's number": (lambda _: retry(max_attempts="five"), ConfigurationError, r'Retry: max_attempts: must be an integer, got "five"'),
    "a retry that never tries": (lambda _: retry(max_attempts=0), ConfigurationError, r"Retry: max_attempts: must be at least 1, got 0"),
    "a retry's strategy": (lambda _: retry(strategy="linear"), ConfigurationError, r"Retry: strategy: must be 'none', 'fixed' or 'exponential', got \"linear\""),
    "a retry's error": (lambda _: retry(on=[7]), ConfigurationError, r"Retry: on: 7 is not an exception class; give a class or its name"),
    "a retry's function": (job(retry=retry(function=wait)), ConfigurationError, r"job other: retry: the retry function wait is async; .*"),
    "a context that is not the first": (lambda app: app.job(late).enqueue_sync("ada"), ConfigurationError, r"job late: ctx: the Context must be the first argument; use \(ctx: Context, …\)"),  # type: ignore[call-arg]  # that is the mistake
    "a context or none": (lambda app: app.job(perhaps).enqueue_sync(), ConfigurationError, r"job perhaps: ctx: the Context must be the first argument; .*"),
    "a retry's class that is no error": (lambda _: retry(on=[int]), ConfigurationError, r"Retry: on: <class 'int'> is not an exception class; give a class or its name"),
    "a retry's only error": (lambda _: retry(on=ValueError), ConfigurationError, r"Retry: on: <class 'ValueError'> is not a list; write it in brackets"),
    "nobody there": (lambda _: _to("redis://127.0.0.1:1/0"), StoreUnavailableError, r"redis://127\.0\.0\.1:1/0: cannot be reached: .*"),
    "no URL": (lambda _: _to("nowhere"), ConfigurationError, r"nowhere: not a Redis URL.*; .*"),
}  # fmt: skip


def _to(url: str) -> Any:
    return App("x", redis=url).enqueue_sync("any", {}, queue="emails")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_error_is_one_line_and_nothing_is_enqueued(
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


def test_valid_options_are_accepted(app: App) -> None:
    """Guard against checks that refuse everything, which would pass all tests above."""
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


def test_a_wrong_password_is_not_part_of_the_error() -> None:
    secret = "right"  # noqa: S105  # of a server that lives for this test
    with running(valkey_binary(), password=secret) as server, pytest.raises(StoreAuthError) as caught:
        _to(f"redis://:wrong@127.0.0.1:{server.port}/0")
    assert "wrong@" not in str(caught.value)
    assert "check user and password" in str(caught.value)
