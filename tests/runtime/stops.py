"""An app whose start, jobs and end take as long as a test needs, and print where they are."""

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


def report(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def take_long(what: str) -> None:
    report(what)
    time.sleep(60)


@app.job
async def nap(seconds: float) -> str:
    report("nap begins")
    await asyncio.sleep(seconds)
    return "slept"


@app.job
def doze(seconds: float) -> str:
    report("doze begins")
    time.sleep(seconds)
    return "dozed"


@app.job
async def replace_signal_handler(number: int, how: str) -> str:
    """Replace a signal handler of the worker, as libraries do that are usually run as programs."""
    loop = asyncio.get_running_loop()
    match how:
        case "ignore":
            signal.signal(number, signal.SIG_IGN)
        case "default":
            signal.signal(number, signal.SIG_DFL)
        case "handler":
            signal.signal(number, lambda *_: report("handler of the job"))
        case _:
            loop.add_signal_handler(number, report, "handler of the job")
    if how == "removed from loop":
        loop.remove_signal_handler(number)
    return "replaced"


if PHASE == "import":
    take_long("importing")
if PHASE == "import that swallows":
    try:
        take_long("importing")
    except BaseException:  # noqa: BLE001  # as some apps do
        report("the app continues")
if PHASE == "async service":

    @app.service
    async def opening() -> AsyncIterator[None]:
        report("opening")
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
        report("closing")
        await asyncio.sleep(2)


if PHASE == "exit":

    @atexit.register
    def leave() -> None:
        report("leaving")
        time.sleep(2)
