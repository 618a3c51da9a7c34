"""Orders and the jobs that they need: what the shop's web server does when a customer pays.

As a program it enqueues the given number of jobs, mixed as on a normal day, and prints each as a line of JSON:

    python -m shop.orders 1000
"""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from jobpools import Call, JobHandle, StoreUnavailableError
from shop.jobs import app, order_confirmation, review_request, shipping_label, thumbnail
from shop.models import Item, Order
from shop.photos import NAMES
from shop.town import CATEGORIES

CUSTOMERS = ("ada", "barbara", "edsger", "frances", "grace", "leslie", "margaret", "tony")
SIZES = (64, 160, 320)
"""Pixels of a thumbnail's longer side."""
LARGE = 200.0
"""Orders above this total, in euros, get the tag `large`."""


def order(number: int, hour: int) -> Order:
    """Return the order with this number; the same number gives the same order."""
    category = CATEGORIES[number % len(CATEGORIES)].rstrip("s")
    items = [
        Item(sku=f"L{number % 240 + n:04d}", name=f"{category} no. {n}", price=10 + number % 90 + n, count=n)
        for n in range(1, 2 + number % 3)
    ]
    customer = CUSTOMERS[number % len(CUSTOMERS)]
    return Order(number=number, email=f"{customer}@customers.example", hour=hour, items=items)


async def send(calls: Sequence[Call[Any]]) -> list[JobHandle[Any]]:
    """Enqueue the calls; retry while Redis is unavailable. A call keeps its id, so a retry enqueues nothing twice."""
    while True:
        try:
            return await app.enqueue_many(calls)
        except StoreUnavailableError:
            await asyncio.sleep(0.2)


async def place(orders: Iterable[Order], redis: Redis) -> list[JobHandle[Any]]:
    """Record the sales; enqueue an e-mail and a label for each order, and a review request for every second one."""
    placed = list(orders)
    day = datetime.now(UTC).date().isoformat()
    async with redis.pipeline(transaction=True) as pipe:
        for each in placed:
            pipe.hincrbyfloat(f"shop:sales:{day}", str(each.hour), each.total)
        await pipe.execute()
    calls: list[Call[Any]] = []
    for each in placed:
        tags = [f"order:{each.number}", "large"] if each.total > LARGE else [f"order:{each.number}"]
        calls.append(order_confirmation.options(tags=tags).call(each))
        calls.append(shipping_label.options(tags=tags).call(each))
        if each.number % 2:
            calls.append(review_request.options(delay="3s", tags=tags).call(each))  # a real shop waits for days
    return await send(calls)


def pictures(products: int) -> list[Call[str]]:
    """Return the calls that draw the thumbnails of this many products, in SIZES."""
    return [thumbnail.call(NAMES[n % len(NAMES)], f"L{n:04d}", size) for n in range(1, products + 1) for size in SIZES]


def mixture(count: int) -> list[Call[Any]]:
    """Return this many calls: of ten, five e-mails, four labels and one thumbnail."""
    calls: list[Call[Any]] = []
    for n in range(count):
        bought = order(n + 1, hour=12)
        match n % 10:
            case 0 | 2 | 4 | 6 | 8:
                calls.append(order_confirmation.call(bought))
            case 1:
                calls.append(thumbnail.call(NAMES[n // 10 % len(NAMES)], bought.items[0].sku, SIZES[0]))
            case _:
                calls.append(shipping_label.call(bought))
    return calls


async def main(count: int) -> None:
    """Enqueue this many jobs and print them."""
    async with app:
        calls = mixture(count)
        for call, job in zip(calls, await send(calls), strict=True):
            print(json.dumps({"id": job.id, "queue": job.queue, "job": call.envelope.name}))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():  # noqa: PLR2004  # the program and a number
        sys.exit("usage: python -m shop.orders NUMBER")
    asyncio.run(main(int(sys.argv[1])))
