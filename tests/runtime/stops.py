"""An app whose start, jobs and end take as long as a test says, and tell where they are."""

import asyncio
import atexit
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator

from jobpools import App

app = App("stops")
PHASE = os.environ.get("PHASE", "")


def say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def take_long(what: str) -> None:
    say(what)
    time.sleep(60)


@app.job
async def nap(seconds: float) -> str:
    say("nap begins")
    await asyncio.sleep(seconds)
    return "slept"


@app.job
def doze(seconds: float) -> str:
    say("doze begins")
    time.sleep(seconds)
    return "dozed"


if PHASE == "import":
    take_long("importing")
if PHASE == "deaf import":
    try:
        take_long("importing")
    except BaseException:  # noqa: BLE001  # as careless code does
        say("never mind")
if PHASE == "async service":

    @app.service
    async def opening() -> AsyncIterator[None]:
        say("opening")
        await asyncio.sleep(60)
        yield


if PHASE == "plain service":

    @app.service
    def loading() -> Iterator[None]:
        take_long("opening")
        yield


if PHASE == "closing":

    @app.service
    async def closing() -> AsyncIterator[None]:
        yield
        say("closing")
        await asyncio.sleep(2)


if PHASE == "exit":

    @atexit.register
    def leave() -> None:
        say("leaving")
        time.sleep(2)
