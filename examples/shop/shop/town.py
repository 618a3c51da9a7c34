"""The outside world of the shop: a mail server that keeps what it gets, and a carrier whose API fails at times.

Run alone, as on a cluster: python -m shop.town
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from shop import places

ROWS = 6000
"""Of the supplier's catalogue."""
CATEGORIES = ("books", "chairs", "cups", "lamps", "plants", "rugs", "tables", "toys")
ANSWERS_AFTER = 0.12
"""Seconds that the carrier takes to think."""
FAILS_EVERY = 20
"""The carrier refuses each order whose number this divides, the first time that it is asked."""


class Town:
    """What arrived."""

    def __init__(self) -> None:
        self.emails: Counter[str] = Counter()
        """How many times each Message-ID came, its domain aside: the ids of the jobs that sent them."""
        self.asked: Counter[int] = Counter()
        """How many times a label was asked for, by order."""
        self.labels: dict[int, str] = {}
        """Tracking numbers, by order."""

    # The mail server

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Take an e-mail."""
        del server, session
        message: Message = message_from_bytes(envelope.original_content or b"")
        self.emails[str(message["Message-ID"]).strip("<>").partition("@")[0]] += 1
        return "250 OK"

    # The carrier's API, and the supplier's

    async def label(self, request: web.Request) -> web.Response:
        """POST /labels {"order": 7}: the same order gets the same label, however often it is asked for."""
        order = int((await request.json())["order"])
        self.asked[order] += 1
        await asyncio.sleep(ANSWERS_AFTER)
        if order % FAILS_EVERY == 0 and self.asked[order] == 1:
            raise web.HTTPServiceUnavailable
        tracking = self.labels.setdefault(order, f"TR{order:08d}")
        return web.json_response({"order": order, "tracking": tracking})

    async def catalogue(self, request: web.Request) -> web.Response:
        """GET /catalogue.csv."""
        del request
        return web.Response(text=catalogue(), content_type="text/csv")

    async def counts(self, request: web.Request) -> web.Response:
        """GET /: what arrived, in figures."""
        del request
        return web.json_response(
            {"emails": len(self.emails), "again": self.emails.total() - len(self.emails), "labels": len(self.labels)}
        )


def catalogue() -> str:
    """ROWS products as CSV, the same each time."""
    draw = random.Random(1)  # noqa: S311  # prices, no secrets
    rows = ["sku,name,category,price"]
    for number in range(1, ROWS + 1):
        category = CATEGORIES[number % len(CATEGORIES)]
        rows.append(f"L{number:04d},{category.rstrip('s').title()} no. {number},{category},{draw.uniform(2, 200):.2f}")
    return "\n".join(rows)


@asynccontextmanager
async def opened(host: str) -> AsyncIterator[Town]:
    """A town that listens on `host`. Raises OSError when a port is taken."""
    town = Town()
    application = web.Application()
    application.add_routes(
        [web.get("/", town.counts), web.get("/catalogue.csv", town.catalogue), web.post("/labels", town.label)]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    loop = asyncio.get_running_loop()
    try:
        await web.TCPSite(runner, host, places.HTTP_PORT).start()
        mail = await loop.create_server(lambda: SMTP(town, hostname="town", loop=loop), host, places.SMTP_PORT)
        async with mail:
            yield town
    finally:
        await runner.cleanup()


async def main() -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with opened(os.environ.get("SHOP_BIND", "127.0.0.1")) as town:
        print(f"town: mail on port {places.SMTP_PORT}, carrier on port {places.HTTP_PORT}", flush=True)
        await stop.wait()
        print(json.dumps({"emails": len(town.emails), "labels": len(town.labels)}), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
