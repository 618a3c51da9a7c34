"""Runs the campaign of one operator for the Lease, and says when its term begins and ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from jobpools_operator.kube.leadership import Leadership


class Term(NamedTuple):
    """The time for which an operator leads."""

    began: asyncio.Event
    ended: asyncio.Event


@contextlib.asynccontextmanager
async def campaigning(operator: Leadership) -> AsyncIterator[Term]:
    """Campaign until the block ends."""
    term = Term(asyncio.Event(), asyncio.Event())

    async def lead() -> None:
        term.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            term.ended.set()

    campaign = asyncio.create_task(operator.campaign(lead))
    try:
        yield term
    finally:
        campaign.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await campaign
