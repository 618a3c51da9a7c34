"""An app whose handlers fork and go on sending in both processes, through one App."""

import asyncio
import os

from jobpools import App

app = App("forks")


@app.job
async def arrived(source: str) -> str:
    return source


def child_of_all_ways(source: str) -> None:
    """Leave this process with 0 when each way of sending works in it."""
    code = 1
    try:
        sent = arrived.enqueue_sync(f"{source} sync")
        asyncio.run(arrived.enqueue(f"{source} run"))
        if sent.result_sync(timeout=30) == f"{source} sync":
            code = 0
    finally:
        os._exit(code)


@app.job
def in_a_thread(number: int) -> int:
    arrived.enqueue_sync(f"{number} before")
    child = os.fork()
    if not child:
        child_of_all_ways(f"{number} child")
    arrived.enqueue_sync(f"{number} after")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@app.job
async def in_the_loop(number: int) -> int:
    await arrived.enqueue(f"{number} before")
    child = os.fork()
    if not child:
        child_of_all_ways(f"{number} child")
    await arrived.enqueue(f"{number} after")
    ended = await asyncio.to_thread(os.waitpid, child, 0)
    return os.waitstatus_to_exitcode(ended[1])
