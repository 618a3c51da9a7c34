"""An app whose start, jobs and end take as long as a test says, and tell where they are."""

import asyncio
import atexit
import os
import signal
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


@app.job
async def deafen(number: int, how: str) -> str:
    """Takes a signal of the worker's for itself, as servers and tools do that are programs of their own elsewhere."""
    loop = asyncio.get_running_loop()
    match how:
        case "ignore":
            signal.signal(number, signal.SIG_IGN)
        case "default":
            signal.signal(number, signal.SIG_DFL)
        case "handler":
            signal.signal(number, lambda *_: say("mine"))
        case _:
            loop.add_signal_handler(number, say, "mine")
    if how == "removed from loop":
        loop.remove_signal_handler(number)
    return "deaf"


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
