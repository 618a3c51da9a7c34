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


def job(function: Callable[..., Any] | None = None, **job_options: Any) -> Callable[[App], Any]:
    async def other(to: str) -> None:
        """A handler."""

    return lambda app: app.job(**job_options)(function or other)


def retry(**retry_options: Any) -> Retry:
    return Retry(**retry_options)


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
    "too many arguments": (send("a", 1, 2), ArgumentsError, r"send: takes 2 positional arguments, 3 given"),
    "duplicate argument": (send("a", to="b"), ArgumentsError, r"send: to: given twice; .*"),
    "too large arguments": (send(to="x" * 2000), PayloadTooLargeError, r"send: the encoded job takes 2\d{3} bytes, more than 1500; .*"),
    "unknown job": (by_name("sned", {}), UnknownJobError, r"app store: no job 'sned'; give queue= .*; did you mean send\?"),
    "blank job name": (by_name(" ", {}, queue="emails"), ArgumentsError, r"enqueue: the job's name is empty; .*"),
    "arguments that are not JSON": (by_name("x", {"a": object()}, queue="emails"), ArgumentsError, r"x: the arguments are not JSON: .*"),
    "unknown option": (options(dely="5s"), ConfigurationError, r"send\.options: dely: no such option; did you mean delay\?"),
    "delay without a unit": (options(delay="5"), ConfigurationError, r"send\.options: delay: '5' is not a duration; .*"),
    "negative delay": (options(delay=-1), ConfigurationError, r"send\.options: delay: -1 is not a duration; .*"),
    "time without a time zone": (options(at=datetime(2027, 1, 1)), ConfigurationError, r"send\.options: at: .* has no time zone; .*"),  # noqa: DTZ001  # that is the mistake
    "at and delay": (options(at=datetime.fromisoformat("2027-01-01T00:00:00Z"), delay=1), ConfigurationError, r"send\.options: at and delay exclude each other; give one of them"),
    "unknown priority": (options(priority="urgent"), ConfigurationError, r"send\.options: priority: 'urgent' is not a priority; use high, normal or low"),
    "queue name with braces": (options(queue="{x}"), ConfigurationError, r"send\.options: queue: '\{x\}' is not a queue name; .*"),
    "text for a list of tags": (options(tags="vip"), ConfigurationError, r"send\.options: tags: 'vip' is not a list of strings; .*"),
    "number for a Retry": (options(retry=3), ConfigurationError, r"send\.options: retry: 3 is not a Retry; write Retry\(max_attempts=5\)"),
    "timeout of 0": (options(timeout=0), ConfigurationError, r"send\.options: timeout: must be more than 0"),
    "max_crashes of 0": (options(max_crashes=0), ConfigurationError, r"send\.options: max_crashes: must be an integer of at least 1, got 0"),
    "id with a space": (options(id="a b"), ConfigurationError, r"send\.options: id: 'a b' cannot be an id; .*"),
    "duplicate job name": (job(name="send"), ConfigurationError, r"job send: duplicate name; give one of the two functions another name="),
    "positional-only parameter": (job(positional), ConfigurationError, r"job positional: parameter to has no name in JSON; .*"),
    "mistyped default": (job(timeot="5s"), ConfigurationError, r"job other: timeot: no such option; did you mean timeout\?"),
    "thread executor for a coroutine function": (job(executor="thread"), ConfigurationError, r"job other: executor='thread' does not fit .*"),
    "queue name with a line break": (options(queue="emails\n"), ConfigurationError, r"send\.options: queue: 'emails\\n' is not a queue name; .*"),
    "invalid queue of an app": (lambda _: App("x", queue="a b"), ConfigurationError, r"App: queue: 'a b' is not a queue name; .*"),
    "mistyped argument of an app": (lambda _: App("x", reddis="redis://"), ConfigurationError, r"App: reddis: no such option; did you mean redis\?"),  # type: ignore[call-arg]  # that is the mistake
    "app name that is not text": (lambda _: App(7), ConfigurationError, r"App: name: must be a string that is not empty, got 7"),  # type: ignore[arg-type]  # that is the mistake
    "invalid payload limit of an app": (lambda _: App("x", max_payload="1k"), ConfigurationError, r"App: max_payload: must be an integer of at least 1, got '1k'"),  # type: ignore[arg-type]  # that is the mistake
    "Redis URL that is not text": (lambda _: App("x", redis=7), ConfigurationError, r"App: redis: must be a string that is not empty, got 7"),  # type: ignore[arg-type]  # that is the mistake
    "job name that is not text": (job(name=7), ConfigurationError, r"@app\.job: name: must be a string that is not empty, got 7"),
    "class as a handler": (job(Thing), ConfigurationError, r"@app\.job: <class '.*Thing'> is not a function; .*"),
    "unbound method as a handler": (job(Thing.named), ConfigurationError, r"@app\.job: .* takes self; decorate a function or a bound method"),
    "handler where a call is expected": (lambda app: asyncio.run(app.enqueue_many([app.handlers["send"]])), ArgumentsError, r"enqueue_many: <Handler send .*> is not a call; use handler\.call\(…\)"),  # type: ignore[list-item]  # that is the mistake
    "text as a handler": (lambda app: app.job("emails"), ConfigurationError, r"@app\.job: 'emails' is not a function; write @app\.job or @app\.job\(name=…\)"),  # type: ignore[call-overload]  # that is the mistake
    "id that is not text": (options(id=7), ConfigurationError, r"send\.options: id: 7 cannot be an id; .*"),
    "tag that is not text": (options(tags=[7]), ConfigurationError, r"send\.options: tags: \[7\] is not a list of strings; .*"),
    "number for a list of tags": (options(tags=7), ConfigurationError, r"send\.options: tags: 7 is not a list of strings; .*"),
    "list for a duration": (options(delay=[5]), ConfigurationError, r"send\.options: delay: \[5\] is not a duration; .*"),
    "boolean for a duration": (options(timeout=True), ConfigurationError, r"send\.options: timeout: True is not a duration; .*"),
    "mistyped option of enqueue by name": (by_name("send", {"to": "ada"}, dely=1), ConfigurationError, r"enqueue send: dely: no such option; did you mean delay\?"),
    "mistyped option for another app's job": (by_name("x", {}, queue="emails", dely=1), ConfigurationError, r"enqueue x: dely: no such option; did you mean delay\?"),
    "mistyped option of a Retry": (lambda _: retry(max_attemps=5), ConfigurationError, r"Retry: max_attemps: no such option; did you mean max_attempts\?"),
    "invalid delay of a Retry": (lambda _: retry(initial="soon"), ConfigurationError, r"Retry: initial: 'soon' is not a duration; .*as in 90s or 1h30m"),
    "Retry without a delay": (lambda _: retry(initial=None), ConfigurationError, r"Retry: initial: None is not a duration; .*"),
    "text for max_attempts": (lambda _: retry(max_attempts="five"), ConfigurationError, r'Retry: max_attempts: must be an integer, got "five"'),
    "max_attempts of 0": (lambda _: retry(max_attempts=0), ConfigurationError, r"Retry: max_attempts: must be at least 1, got 0"),
    "unknown retry strategy": (lambda _: retry(strategy="linear"), ConfigurationError, r"Retry: strategy: must be 'none', 'fixed' or 'exponential', got \"linear\""),
    "number for an exception class": (lambda _: retry(on=[7]), ConfigurationError, r"Retry: on: 7 is not an exception class; give a class or its name"),
    "async retry function": (job(retry=retry(function=wait)), ConfigurationError, r"job other: retry: the retry function wait is async; .*"),
    "Context that is not the first parameter": (lambda app: app.job(late).enqueue_sync("ada"), ConfigurationError, r"job late: ctx: the Context must be the first argument; use \(ctx: Context, …\)"),  # type: ignore[call-arg]  # that is the mistake
    "optional Context": (lambda app: app.job(perhaps).enqueue_sync(), ConfigurationError, r"job perhaps: ctx: the Context must be the first argument; .*"),
    "class that is not an exception": (lambda _: retry(on=[int]), ConfigurationError, r"Retry: on: <class 'int'> is not an exception class; give a class or its name"),
    "exception class instead of a list": (lambda _: retry(on=ValueError), ConfigurationError, r"Retry: on: <class 'ValueError'> is not a list; write it in brackets"),
    "unreachable Redis": (lambda _: _to("redis://127.0.0.1:1/0"), StoreUnavailableError, r"redis://127\.0\.0\.1:1/0: cannot be reached: .*"),
    "invalid URL": (lambda _: _to("nowhere"), ConfigurationError, r"nowhere: not a Redis URL.*; .*"),
}  # fmt: skip


def _to(url: str) -> Any:
    return App("x", redis=url).enqueue_sync("any", {}, queue="emails")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_error_is_one_line_and_nothing_is_enqueued(
    case: tuple[Callable[[App], Any], type[JobpoolsError], str], app: App, valkey_url: str
) -> None:
    act, kind, message = case
    with Redis.from_url(valkey_url) as client:
        app.handlers["send"].enqueue_sync(to="ada")
        before = dump(client)
        with pytest.raises(JobpoolsError) as caught:
            act(app)
        assert type(caught.value) is kind
        assert re.fullmatch(message, str(caught.value)), str(caught.value)
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
