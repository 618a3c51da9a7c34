"""The outside world of the shop: a mail server that counts e-mails, and a carrier whose API fails at times.

As a program, for example on a cluster: python -m shop.town
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
"""Number of products in the supplier's catalogue."""
CATEGORIES = ("books", "chairs", "cups", "lamps", "plants", "rugs", "tables", "toys")
LATENCY = 0.12
"""Seconds that a request to the carrier takes."""
FAILS_EVERY = 20
"""The carrier refuses the first request for each order whose number is a multiple of this."""


class Town:
    """The outside world, and what has arrived there."""

    def __init__(self) -> None:
        self.emails: Counter[str] = Counter()
        """Number of e-mails by Message-ID without its domain, which is the id of the job that sent it."""
        self.requests: Counter[int] = Counter()
        """Number of requests for a label, by order."""
        self.labels: dict[int, str] = {}
        """Tracking numbers, by order."""

    # The mail server

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Accept an e-mail."""
        del server, session
        message: Message = message_from_bytes(envelope.original_content or b"")
        self.emails[str(message["Message-ID"]).strip("<>").partition("@")[0]] += 1
        return "250 OK"

    # The carrier's API, and the supplier's

    async def label(self, request: web.Request) -> web.Response:
        """Answer POST /labels {"order": 7}. The same order always gets the same label."""
        order = int((await request.json())["order"])
        self.requests[order] += 1
        await asyncio.sleep(LATENCY)
        if order % FAILS_EVERY == 0 and self.requests[order] == 1:
            raise web.HTTPServiceUnavailable
        tracking = self.labels.setdefault(order, f"TR{order:08d}")
        return web.json_response({"order": order, "tracking": tracking})

    async def catalogue(self, request: web.Request) -> web.Response:
        """Answer GET /catalogue.csv."""
        del request
        return web.Response(text=catalogue(), content_type="text/csv")

    async def counts(self, request: web.Request) -> web.Response:
        """Answer GET / with the number of e-mails and labels; `again` counts duplicate e-mails."""
        del request
        return web.json_response(
            {"emails": len(self.emails), "again": self.emails.total() - len(self.emails), "labels": len(self.labels)}
        )


def catalogue() -> str:
    """Return ROWS products as CSV; every call returns the same ones."""
    draw = random.Random(1)  # noqa: S311  # prices, not secrets
    rows = ["sku,name,category,price"]
    for number in range(1, ROWS + 1):
        category = CATEGORIES[number % len(CATEGORIES)]
        rows.append(f"L{number:04d},{category.rstrip('s').title()} no. {number},{category},{draw.uniform(2, 200):.2f}")
    return "\n".join(rows)


@asynccontextmanager
async def opened(host: str) -> AsyncIterator[Town]:
    """Open a town that listens on `host`. Raises OSError if a port is in use."""
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
    """Run the town until SIGTERM."""
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
