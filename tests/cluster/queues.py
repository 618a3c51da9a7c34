"""The contents of a queue in Redis, and the traces of the suite's jobs, to compare with what the product reports."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis import Redis, exceptions
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from jobpools import Client
from jobpools.options import Options
from jobpools.store.records import decode_result


@dataclass(frozen=True)
class Trace:
    """The start or the end of one attempt."""

    at: float
    """By the server's clock, seconds since the epoch."""
    id: str
    event: str
    host: str
    attempt: int
    version: str


class Queue:
    """One queue, read without the product's own code."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.url = url
        retry = Retry(ConstantBackoff(0.5), 60)  # a port-forward comes back after its pod
        errors = [exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError]
        self.redis: Any = Redis.from_url(url, decode_responses=True, retry=retry, retry_on_error=errors)
        self._bytes: Any = Redis.from_url(url, retry=retry, retry_on_error=errors)

    def _key(self, part: str) -> str:
        return f"jobpools:{{{self.name}}}:{part}"

    def enqueue(self, seconds: list[float]) -> list[str]:
        """Enqueue a job `work` of each duration; return the ids."""

        async def send() -> list[str]:
            client = Client(self.url)
            try:
                calls = [client.call_json("work", {"seconds": s}, Options.make(queue=self.name)) for s in seconds]
                return [handle.id for handle in await client.enqueue_many(calls)]
            finally:
                await client.aclose()

        return asyncio.run(send())

    def queued(self) -> int:
        with self.redis.pipeline() as pipe:
            for priority in ("high", "normal", "low"):
                pipe.llen(self._key(f"ready:{priority}"))
            return sum(pipe.execute())

    def leased(self) -> list[str]:
        """Return the lease ids `<id>:<worker>:<n>` of the claimed jobs."""
        found: list[str] = self.redis.zrange(self._key("leases"), 0, -1)
        return found

    def completed(self) -> set[str]:
        """Return the ids of the jobs that completed according to their result records (docs/protocol.md)."""
        found: dict[bytes, bytes] = self._bytes.hgetall(self._key("results"))
        return {id_.decode() for id_, record in found.items() if decode_result(record).state == "completed"}

    def dead(self) -> list[str]:
        found: list[str] = self.redis.zrange(self._key("dead"), 0, -1)
        return found

    def traces(self, event: str = "") -> list[Trace]:
        """Return the traces in the order in which they were written."""
        rows = self.redis.xrange(f"suite:trace:{self.name}")
        found = [
            Trace(int(at.partition("-")[0]) / 1000, t["id"], t["event"], t["host"], int(t["attempt"]), t["version"])
            for at, t in rows
        ]
        return [trace for trace in found if event in ("", trace.event)]

    def executions(self) -> Counter[str]:
        """Return the number of starts by job id."""
        return Counter(trace.id for trace in self.traces("start"))
