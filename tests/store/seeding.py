"""An app whose jobs seed the generator, fork, and enqueue in both processes."""

import os
import random

from jobpools import App
from jobpools.options import Options

SEEN = "jobpools:seeding"
"""Name of a hash with one field for each follow-up job that ran."""

app = App("seeding")


@app.job
def outer(number: int) -> None:
    """Seed the generator, then enqueue in this process and in a child."""
    random.seed(0)
    inner.enqueue_sync(source=f"{number} parent")
    child = os.fork()
    if child == 0:
        try:
            fresh = App("child", redis=os.environ["JOBPOOLS_REDIS_URL"])
            fresh.client.enqueue_sync(fresh.client.call_json("inner", {"source": f"{number} child"}, Options()))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@app.job
async def inner(source: str) -> None:
    """Record that it ran."""
    await app.client.connection().execute("HSET", SEEN, source, source)
