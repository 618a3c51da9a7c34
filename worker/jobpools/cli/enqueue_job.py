"""`jobpools enqueue`: enqueues one job whose arguments are words of a command line."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from jobpools.cli.filter_options import parse_time
from jobpools.core.jobs import json_values
from jobpools.errors import ArgumentsError, ConfigurationError


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Return the job's arguments from words such as `to=ada@example.com` and `order='{"id": 1}'`.

    A value that is JSON is decoded; any other value is text.

    Raises:
        ArgumentsError: A word is not name=value, or a name is repeated.
    """
    found: dict[str, Any] = {}
    for word, name, value in _pairs(words):
        if not name.isidentifier():
            raise ArgumentsError(f"{word!r}: not an argument; write name=value, as in to=ada@example.com")
        if name in found:
            raise ArgumentsError(f"{name}: duplicate argument; give it once")
        found[name] = value
    return found


def parse_metadata(words: Sequence[str]) -> dict[str, Any]:
    """Return the job's metadata from words such as `tenant=acme`, whose values are those of `parse_arguments`.

    Raises:
        ConfigurationError: A word is not key=value, or a key is repeated.
    """
    found: dict[str, Any] = {}
    for word, key, value in _pairs(words):
        if not key.strip():
            raise ConfigurationError(f"--metadata: {word!r} is not metadata; write key=value, as in tenant=acme")
        if key in found:
            raise ConfigurationError(f"--metadata: duplicate key: {key}; give it once")
        found[key] = value
    return found


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield each word with what is before its `=`, which is empty without a `=`, and the value behind it."""
    for word in words:
        name, equals, text = word.partition("=")
        yield word, name if equals else "", _value(text)


def _value(text: str) -> Any:
    """Return the value of a JSON text, or the text itself if it is not JSON."""
    try:
        return json_values.decode(text.encode())
    except ValueError:
        return text


def parse_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that have a value. Raises ConfigurationError if `at` or `metadata` cannot be read."""
    found = {name: value for name, value in options.items() if value}
    if words := found.get("metadata"):
        found["metadata"] = parse_metadata(words)
    if text := found.get("at"):
        found["at"] = parse_time("--at", text)
    return found


def enqueue_job(
    target: str, words: Sequence[str], options: dict[str, Any], redis: str | None, wait: float | None
) -> tuple[Any, Any]:
    """Enqueue one job and return (its handle, its result or None).

    Args:
        target: `module:app`, where the first word is the job's name; or the job's name alone, which needs a queue.
        words: The job's arguments, as name=value.
        options: The job's options; None: not given.
        redis: URL of Redis; None: that of the app.
        wait: Seconds to wait for the result; None: do not wait.

    Raises:
        JobpoolsError: The job cannot be enqueued, or did not complete in time.
    """
    from jobpools.app import App
    from jobpools.runtime.loading import import_app

    if ":" in target:
        if not words:
            raise ArgumentsError(f"{target}: no job named; write its name after the app, as in enqueue {target} NAME")
        app, name, arguments = import_app(target), words[0], words[1:]
    else:
        app, name, arguments = App("cli"), target, words
        if not options.get("queue"):
            raise ConfigurationError(
                f"{name}: no queue given; use --queue, or name the app, as in shop.jobs:app {name}"
            )
    if redis:
        app.use(app.client_of(redis))

    async def enqueue_and_wait() -> tuple[Any, Any]:
        async with app:
            handle = await app.enqueue(name, parse_arguments(arguments), **parse_options(options))
            return handle, None if wait is None else await handle.result(timeout=wait)

    return asyncio.run(enqueue_and_wait())
