"""`jobpools enqueue`: words of a command line → one job."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jobpools.core.jobs import json_values
from jobpools.errors import ArgumentsError, ConfigurationError


def arguments(words: Sequence[str]) -> dict[str, Any]:
    """`to=ada@example.com order='{"id": 1}'`: what is JSON is taken as such, the rest as text.

    Raises ArgumentsError for a word without `=` and for a name that comes twice.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise ArgumentsError(f"{word!r} is no argument: write name=value, as in to=ada@example.com")
        if name in found:
            raise ArgumentsError(f"{name} is there twice")
        try:
            found[name] = json_values.decode(text.encode())
        except ValueError:
            found[name] = text
    return found


def options(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given. Raises ConfigurationError for a time that is none."""
    found = {name: value for name, value in given.items() if value}
    if text := found.get("at"):
        try:
            found["at"] = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigurationError(
                f"--at {text!r}: write a time with its zone, as in 2027-01-01T09:00:00+01:00"
            ) from error
    return found


def send(
    target: str, words: Sequence[str], given: dict[str, Any], redis: str | None, wait: float | None
) -> tuple[Any, Any]:
    """Enqueue one job; (its handle, its result when it was waited for).

    `target` is `module:app`, and the first word the job's name; or the job's name alone, which needs `queue`.
    """
    from jobpools.app import App
    from jobpools.runtime.loading import import_app

    if ":" in target:
        if not words:
            raise ArgumentsError(f"which job of {target}? Write its name after it")
        app, name, rest = import_app(target), words[0], words[1:]
    else:
        app, name, rest = App("cli"), target, words
        if not given.get("queue"):
            raise ConfigurationError(f"{name}: give --queue, or the app before it, as in shop.jobs:app {name}")
    if redis:
        from jobpools.client import Client

        app.use(Client(redis, app.client.max_payload))

    async def whole() -> tuple[Any, Any]:
        async with app:
            handle = await app.enqueue(name, arguments(rest), **options(given))
            return handle, None if wait is None else await handle.result(timeout=wait)

    return asyncio.run(whole())
