"""The shop's background jobs: a worker imports `shop.jobs:app`, the web server calls `enqueue`."""

import asyncio
import csv
import os
import signal
import smtplib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

from aiohttp import ClientSession, ClientTimeout
from redis.asyncio import Redis

from jobpools import App, Context, Retry
from shop import places
from shop.models import Label, Order, Product

CHUNK = 150
"""Rows of the catalogue that one job imports."""
CACHE_SECONDS = 3600

app = App("shop")


class CarrierUnavailableError(Exception):
    """The carrier's API is unavailable for a moment: retryable."""


# Services: each worker opens them once and closes them when it ends.


@app.service
async def database() -> AsyncIterator[Redis]:
    """The shop's own data, in keys below `shop:` of the Redis that also holds the jobs."""
    async with Redis.from_url(os.environ["JOBPOOLS_REDIS_URL"], decode_responses=True) as client:
        yield client


@app.service
async def web() -> AsyncIterator[ClientSession]:
    """A pool of HTTP connections."""
    async with ClientSession(timeout=ClientTimeout(total=10)) as session:
        yield session


# 1. E-mails over SMTP: plain functions run in a thread.


@app.job(
    queue="emails",
    priority="high",
    timeout="30s",
    retry=Retry(max_attempts=5, initial=0.5, on=("SMTPException", "OSError")),
)
def order_confirmation(ctx: Context, order: Order) -> str:
    """Confirm an order. The customer waits for this e-mail, so its priority is high."""
    lines = [f"{item.count} x {item.name}: {item.price:.2f} EUR" for item in order.items]
    return _send(ctx, order, f"Your order {order.number}", "\n".join([*lines, f"Total: {order.total:.2f} EUR"]))


@app.job(queue="emails", priority="low", timeout="30s")
def review_request(ctx: Context, order: Order) -> str:
    """Ask for a review some time after the order; it is enqueued with `delay`."""
    return _send(ctx, order, "How do you like it?", f"Tell us about {order.items[0].name}.")


def _send(ctx: Context, order: Order, subject: str, text: str) -> str:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@shop.example", order.email, subject
    # The job runs again if its worker dies before the result is recorded: the same id marks the duplicate e-mail.
    message["Message-ID"] = f"<{ctx.id}@shop.example>"
    message.set_content(text)
    # Without local_hostname smtplib asks the DNS, which takes half a minute on a machine without a DNS entry.
    with smtplib.SMTP(places.TOWN, places.SMTP_PORT, local_hostname="shop.example", timeout=10) as smtp:
        smtp.send_message(message)
    return order.email


# 2. An HTTP API that fails at times: retried by the type of the exception.


@app.job(
    queue="carrier",
    timeout="10s",
    retry=Retry(max_attempts=5, initial=0.4, max=10, on=("CarrierUnavailableError", "ClientConnectionError")),
)
async def shipping_label(ctx: Context, order: Order) -> Label:
    """Buy a label. 4xx is final; 5xx and connection errors are retried."""
    call = ctx.service(web).post(
        f"{places.API}/labels", json={"order": order.number}, headers={"Idempotency-Key": ctx.id}
    )
    async with call as answer:
        if answer.status >= 500:  # noqa: PLR2004  # server errors
            raise CarrierUnavailableError(f"the carrier answered {answer.status}")
        answer.raise_for_status()
        return Label.model_validate(await answer.json())


# 3. Thumbnails: CPU-bound. Their pool has one slot per worker.


@app.job(queue="photos", timeout="1m")
def thumbnail(photo: str, sku: str, size: int) -> str:
    """Scale a product's photograph down and return the file's name."""
    from PIL import Image

    from shop.photos import photograph

    places.MEDIA.mkdir(parents=True, exist_ok=True)
    target = places.MEDIA / f"{sku}-{size}.webp"
    image = photograph(photo)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    _write(target, lambda path: image.save(path, "WEBP", quality=80, method=4))
    return target.name


@app.job(queue="photos", max_crashes=2)
def raw_photograph(name: str) -> None:
    """Crash the worker, as a photograph that needs too much memory does. After its second crash the job is dead."""
    del name
    os.kill(os.getpid(), signal.SIGKILL)


# 4. A bulk import: one job reads the catalogue, many small jobs write it.


@app.job(queue="catalog", timeout="1m", retry=Retry(max_attempts=3, initial=0.5))
async def import_catalogue(ctx: Context) -> list[str]:
    """Fetch the supplier's catalogue, enqueue a job for each CHUNK of rows, and return the ids of these jobs."""
    async with ctx.service(web).get(f"{places.API}/catalogue.csv") as answer:
        answer.raise_for_status()
        text = await answer.text()
    products = [Product.model_validate(row) for row in csv.DictReader(text.splitlines())]
    chunks = [products[start : start + CHUNK] for start in range(0, len(products), CHUNK)]
    # Own ids: if this job runs twice, the second run enqueues nothing new.
    calls = [import_rows.options(id=f"{ctx.id}-{n}").call(rows) for n, rows in enumerate(chunks)]
    return [job.id for job in await app.enqueue_many(calls)]


@app.job(queue="catalog", timeout="1m")
async def import_rows(ctx: Context, rows: list[Product]) -> int:
    """Write some products and return how many were new."""
    async with ctx.service(database).pipeline(transaction=True) as pipe:
        for row in rows:
            pipe.hset("shop:products", row.sku, row.model_dump_json())
            pipe.sadd(f"shop:category:{row.category}", row.sku)
        answers = await pipe.execute()
    return sum(answers[::2])


# 5. Cache warming.


@app.job(queue="catalog", timeout="30s")
async def warm_cache(ctx: Context, category: str) -> int:
    """Render the page of a category before it is requested, and return its size in bytes."""
    redis = ctx.service(database)
    skus = sorted(await redis.smembers(f"shop:category:{category}"))
    found = await redis.hmget("shop:products", skus) if skus else []
    products = sorted((Product.model_validate_json(text) for text in found if text), key=lambda each: each.price)
    rows = "".join(f"<li>{each.name} {each.price:.2f}</li>" for each in products)
    page = f"<h1>{category}</h1><ul>{rows}</ul>"
    await redis.set(f"shop:page:{category}", page, ex=CACHE_SECONDS)
    return len(page)


# 6. Inventory sync, by a schedule.


@app.job(queue="catalog", timeout="30s")
async def sync_inventory(ctx: Context) -> int:
    """Copy the stock counts of the warehouse and return the number of articles."""
    with Path(__file__).with_name("stock.csv").open(encoding="utf-8", newline="") as file:
        stock = {row["sku"]: row["count"] for row in csv.DictReader(file)}
    redis = ctx.service(database)
    await redis.hset("shop:stock", mapping=stock)
    await redis.set("shop:stock:synced", datetime.now(UTC).isoformat(timespec="seconds"))
    return len(stock)


# 7. The daily report with a plot.


@app.job(queue="reports", timeout="2m")
async def daily_report(ctx: Context) -> str:
    """Draw the sales of today by the hour and return the file's path."""
    day = datetime.now(UTC).date().isoformat()
    found = await ctx.service(database).hgetall(f"shop:sales:{day}")
    sales = {hour: float(found.get(str(hour), 0)) for hour in range(24)}
    # Drawing blocks, so it runs in a thread: the worker's other jobs continue.
    return str(await asyncio.to_thread(_draw, day, sales))


def _draw(day: str, sales: dict[int, float]) -> Path:
    from matplotlib.figure import Figure

    places.REPORTS.mkdir(parents=True, exist_ok=True)
    target = places.REPORTS / f"{day}.png"
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar(list(sales), list(sales.values()), color="#2f6fab")
    axes.set(title=f"Sales on {day}: {sum(sales.values()):.2f} EUR", xlabel="hour", ylabel="EUR")
    _write(target, lambda path: figure.savefig(path, format="png"))
    return target


def _write(target: Path, write: Callable[[Path], None]) -> None:
    """Write the file completely or not at all: a worker may be killed at any moment, and the job then runs again."""
    part = target.with_name(f".{target.name}.{uuid4().hex}")
    write(part)
    part.replace(target)


# 8. Clean-up of old files.


@app.job(queue="chores", timeout="5m")
def clean_up(ctx: Context, older_than_days: float = 7) -> int:
    """Remove old exports and return how many."""
    limit, removed = time.time() - older_than_days * 86400, 0
    for path in sorted(places.EXPORTS.glob("*.csv")):
        if ctx.cancelled:  # a thread cannot be stopped from outside: a long job checks between its steps
            break
        if path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)
            removed += 1
    return removed
