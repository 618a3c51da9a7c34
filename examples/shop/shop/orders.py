"""Orders, and what they set off: what the shop's web server would do when somebody pays.

Run alone it enqueues as many jobs as asked for, a mixture as on any day, and prints each as a line of JSON:

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
"""Euros from which on an order is tagged as a large one."""


def order(number: int, hour: int) -> Order:
    """The order of this number: always the same one."""
    category = CATEGORIES[number % len(CATEGORIES)].rstrip("s")
    items = [
        Item(sku=f"L{number % 240 + n:04d}", name=f"{category} no. {n}", price=10 + number % 90 + n, count=n)
        for n in range(1, 2 + number % 3)
    ]
    customer = CUSTOMERS[number % len(CUSTOMERS)]
    return Order(number=number, email=f"{customer}@customers.example", hour=hour, items=items)


async def send(calls: Sequence[Call[Any]]) -> list[JobHandle[Any]]:
    """Enqueue, and try again while Redis is away. A call keeps its id: what had arrived is not accepted twice."""
    while True:
        try:
            return await app.enqueue_many(calls)
        except StoreUnavailableError:
            await asyncio.sleep(0.2)


async def place(orders: Iterable[Order], redis: Redis) -> list[JobHandle[Any]]:
    """Book the sales and enqueue what they set off: an e-mail, a label, and for each second order a question later."""
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
            calls.append(review_request.options(delay="3s", tags=tags).call(each))  # days, in a real shop
    return await send(calls)


def pictures(products: int) -> list[Call[str]]:
    """The thumbnails that so many new products need, in SIZES."""
    return [thumbnail.call(NAMES[n % len(NAMES)], f"L{n:04d}", size) for n in range(1, products + 1) for size in SIZES]


def mixture(count: int) -> list[Call[Any]]:
    """Jobs as a day brings them: of ten, five e-mails, four labels, one thumbnail."""
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
    """Enqueue and print."""
    async with app:
        calls = mixture(count)
        for call, job in zip(calls, await send(calls), strict=True):
            print(json.dumps({"id": job.id, "queue": job.queue, "job": call.envelope.name}))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():  # noqa: PLR2004  # the program and a number
        sys.exit("usage: python -m shop.orders NUMBER")
    asyncio.run(main(int(sys.argv[1])))
