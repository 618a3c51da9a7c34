"""The app of the two test pools, and a program that enqueues its jobs: python pair.py JOB COUNT ARGUMENT"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from jobpools import App, Context, Retry

app = App("pair", queue="quick")


@app.job
async def quick(n: float) -> float:
    await asyncio.sleep(0.01)
    return n


@app.job(queue="slow")
async def slow(ctx: Context, seconds: float) -> None:
    await asyncio.to_thread(record_process, ctx.id)
    await asyncio.sleep(seconds)


def record_process(name: str) -> None:
    """Write the id of this process to a file named after the job."""
    Path(f"running-{name}").write_text(str(os.getpid()))


@app.job(retry=Retry(max_attempts=3, initial=0.05))
async def fails(n: float) -> None:
    raise ValueError(f"no {n}")


@app.job(queue="slow", max_crashes=2)
def crashes(n: float) -> None:
    del n
    os.kill(os.getpid(), signal.SIGKILL)


async def main(name: str, count: int, argument: float) -> None:
    async with app:
        handler = app.handlers[name]
        await app.enqueue_many([handler.call(argument) for _ in range(count)])
        sys.stdout.write(f"sent {count}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
