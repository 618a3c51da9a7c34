"""One day of the shop in seconds: simulates the outside world, enqueues the day's jobs, and checks their effects.

    jobpools up examples/shop --until-idle --with 'python -m shop.day'

Exits with 1 if an effect is missing: an e-mail that did not arrive, a file that does not exist.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from jobpools import JobDeadError, JobHandle, StoreUnavailableError
from shop import places
from shop.jobs import app, clean_up, daily_report, import_catalogue, raw_photograph, warm_cache
from shop.orders import SIZES, order, pictures, place, send
from shop.town import CATEGORIES, ROWS, Town, opened

WAVES = ((8, 45, 3.5), (12, 35, 3.5), (18, 40, 0.0))
"""Hour, number of orders, and seconds until the next wave."""
NEW_PRODUCTS = 24
OLD_EXPORTS = 30
JOB_TIMEOUT = 60.0
"""Maximum seconds to wait for one job."""


class Day:
    """The jobs that were enqueued, and the effects that they must have."""

    def __init__(self, town: Town, redis: Redis) -> None:
        self.town = town
        self.redis = redis
        self.orders = 0
        self.emails: set[str] = set()
        """Ids of the jobs that send an e-mail."""
        self.files: list[Path] = []
        self.missing: list[str] = []
        """Description of each missing effect."""

    async def run(self) -> None:
        """Run the day, from the night before to the report."""
        poison = None
        imported, tidied = await send([import_catalogue.call(), clean_up.call()])
        thumbnails = await send(pictures(NEW_PRODUCTS))
        print(
            f"night: a catalogue of {ROWS} rows, {NEW_PRODUCTS} photographs in {len(SIZES)} sizes, old files to remove"
        )
        sold: list[JobHandle[Any]] = []
        for hour, count, pause in WAVES:
            sold += await self.sell(hour, count)
            if poison is None:
                (poison,) = await send([raw_photograph.call("IMG_0815.RAW")])
            await asyncio.sleep(pause)
        for ids in await self.results_of([imported]):
            await self.results_of([app.handle(chunk, "catalog") for chunk in ids])
        await self.results_of(await send([warm_cache.call(category) for category in CATEGORIES]))
        self.files += [places.MEDIA / name for name in await self.results_of(thumbnails)]
        await self.results_of([tidied, *sold])
        await self.expect_dead_letter(poison)
        self.files += [Path(path) for path in await self.results_of(await send([daily_report.call()]))]

    async def sell(self, hour: int, count: int) -> list[JobHandle[Any]]:
        """Place a wave of orders and return their jobs."""
        jobs = await place([order(self.orders + n, hour) for n in range(1, count + 1)], self.redis)
        self.orders += count
        self.emails |= {job.id for job in jobs if job.queue == "emails"}
        print(f"{hour:02d}:00  {count} orders")
        return jobs

    async def results_of(self, jobs: Sequence[JobHandle[Any]]) -> list[Any]:
        """Wait for the jobs and return the results of those that completed."""
        results = []
        for job in jobs:
            try:
                results.append(await result_of(job))
            except JobDeadError as error:
                self.missing.append(str(error))
        return results

    async def expect_dead_letter(self, job: JobHandle[Any] | None) -> None:
        """Wait until the poison job is a dead letter, as expected."""
        try:
            if job is not None:
                await result_of(job)
        except JobDeadError as error:
            print(f"as expected: {error}")
        else:
            self.missing.append("the dead letter of the poison job")

    async def check(self, old: Sequence[Path], began: float) -> None:
        """Record each effect that is missing."""
        missing = self.missing
        missing += [f"the e-mail of job {job}" for job in sorted(self.emails - set(self.town.emails))]
        missing += [f"the label of order {n}" for n in range(1, self.orders + 1) if n not in self.town.labels]
        missing += [str(path) for path in self.files if not path.exists() or path.stat().st_mtime < began - 1]
        if (products := await self.redis.hlen("shop:products")) != ROWS:
            missing.append(f"{ROWS - products} of {ROWS} products")
        missing += [f"the page of {each}" for each in CATEGORIES if not await self.redis.exists(f"shop:page:{each}")]
        missing += [f"the removal of {path}" for path in old if path.exists()]


async def result_of(job: JobHandle[Any]) -> Any:
    """Return the job's result; wait while Redis is unavailable."""
    while True:
        try:
            return await job.result(JOB_TIMEOUT)
        except StoreUnavailableError:
            await asyncio.sleep(0.2)


def create_old_exports() -> list[Path]:
    """Create old exports, which the clean-up must remove, and a recent one, which it must keep; return the old ones."""
    places.EXPORTS.mkdir(parents=True, exist_ok=True)
    (places.EXPORTS / "recent.csv").write_text("order\n")
    old = [places.EXPORTS / f"export-{n:02d}.csv" for n in range(OLD_EXPORTS)]
    month_ago = time.time() - 30 * 86400
    for path in old:
        path.write_text("order\n")
        os.utime(path, (month_ago, month_ago))
    return old


async def main() -> int:
    """Run the day and return the exit code."""
    began, old = time.time(), create_old_exports()
    url, retry = os.environ["JOBPOOLS_REDIS_URL"], Retry(ConstantBackoff(0.2), retries=100)
    async with AsyncExitStack() as stack:
        try:
            town = await stack.enter_async_context(opened("127.0.0.1"))
        except OSError as error:
            print(f"town: cannot listen: {error.strerror}; set SHOP_SMTP_PORT and SHOP_HTTP_PORT to free ports")
            return 1
        redis = await stack.enter_async_context(Redis.from_url(url, decode_responses=True, retry=retry))
        await stack.enter_async_context(app)
        today = Day(town, redis)
        await today.run()
        await today.check(old, began)
    for text in today.missing:
        print(f"missing: {text}")
    emails, duplicates = len(town.emails), town.emails.total() - len(town.emails)
    print(
        f"the day is over: {emails} e-mails arrived ({duplicates} duplicates), {len(town.labels)} labels bought, "
        f"{ROWS} products imported, {len(today.files)} pictures drawn, {len(old)} old files removed; "
        f"{len(today.missing)} effects missing"
    )
    return 1 if today.missing else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
