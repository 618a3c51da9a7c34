"""The process of `jobpools scheduler`."""

import asyncio
import contextlib
import logging
import signal
import sys
from typing import TYPE_CHECKING

from jobpools.runtime.loading import import_app
from jobpools.settings_reader import redis_url

if TYPE_CHECKING:
    from jobpools.app import App
    from jobpools.control.code_schedules import CodeScheduler

RETRY_INTERVAL = 1.0
"""Seconds until the schedules are written again after Redis could not be reached."""

log = logging.getLogger("jobpools.scheduler")


def run(app: str | None, redis: str | None) -> None:
    """Run a scheduler until SIGTERM or Ctrl-C. Raises JobpoolsError."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    found = import_app(app) if app else None
    asyncio.run(_run(found, app or "", redis_url(redis or (found.redis if found else None))))


async def _run(app: "App | None", source: str, url: str) -> None:
    from jobpools.client import Client
    from jobpools.control.code_schedules import CodeScheduler
    from jobpools.store.connection import connect

    if app is not None:
        app.use(Client(url))
    connection = connect(url)
    try:
        running = asyncio.create_task(_declare_and_run(app, source, CodeScheduler(connection)))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running
    finally:
        await connection.aclose()


async def _declare_and_run(app: "App | None", source: str, scheduler: "CodeScheduler") -> None:
    from jobpools.errors import StoreUnavailableError

    while app is not None:
        try:
            await app.scheduler.declare(source)
            break
        except StoreUnavailableError as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(RETRY_INTERVAL)
    if app is not None:
        await app.aclose()
    await scheduler.run()
