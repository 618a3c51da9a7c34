"""The conversation with Redis that moves jobs: settle what ended, claim what fits, over and over.

One round trip does both, and it is sent before the batch in hand runs, so that server and worker work at once.
"""

import asyncio
import time
from collections.abc import Sequence

from jobpools.core.jobs.fairness import take_turns
from jobpools.errors import StoreError
from jobpools.runtime.current import WorkerTask
from jobpools.runtime.lane import LONGEST_NAP, Lane
from jobpools.runtime.listener import Listener
from jobpools.runtime.outage import Outage, Pauses, away, jittered
from jobpools.runtime.processor import Processor

GATHERING, GATHERING_LOOK = 0.005, 0.0005
"""Seconds that settlements and room for claims may gather before the next step, and between two looks at the stock."""


class Dispatcher:
    """Serves several queues with one set of slots."""

    def __init__(self, lanes: Sequence[Lane], processor: Processor, outage: Outage) -> None:
        self._lanes = lanes
        self._processor = processor
        self._outage = outage
        self._event = asyncio.Event()
        self._pauses = Pauses()
        self._finish = False
        self._trying = False
        """The latest step failed."""
        self.listeners: Sequence[Listener] = ()
        """Told when it rests."""
        self.progress = time.monotonic()
        """When it last came round: the watchdog of /livez."""
        self.draining = False
        """An answer of Redis said that this worker may not claim."""

    def wake(self) -> None:
        """There is something to settle or to claim."""
        self._event.set()

    def finish(self) -> None:
        """Return from `run` as soon as everything is settled and nothing is held."""
        self._finish = True
        self._event.set()

    async def run(self) -> None:
        """Until `finish`: one step after the other."""
        while True:
            self.progress = time.monotonic()
            self._event.clear()
            await self._gather()
            shares = {} if self._trying else self._shares(self._processor.room())
            busy = [lane for lane in self._lanes if (lane.outbox or shares.get(lane)) and not lane.ailing]
            if self._trying and not self._finish:
                busy = busy or [lane for lane in self._lanes if not lane.ailing]
            if busy:
                await self._round(busy, shares)
            elif self._finish and not self._processor.held and not any(lane.outbox for lane in self._lanes):
                return
            else:
                await self._rest()

    async def _gather(self) -> None:
        """While there is work in hand, let a batch come together: a round trip costs worker and server 0.1 ms each.

        At 10 slots that is 0.004 instead of 0.018 round trips a no-op job, and 1.5 µs of 15 that both spend on it.
        """
        until = time.monotonic() + GATHERING
        while self._processor.stocked and time.monotonic() < until and not self._finish:  # noqa: ASYNC110  # no event a job
            await asyncio.sleep(GATHERING_LOOK)

    async def _round(self, busy: list[Lane], shares: dict[Lane, int]) -> None:
        if self._trying:
            errors = [await _step(lane, 0) or await _prove(lane) for lane in busy]
        elif len(busy) == 1:
            errors = [await _step(busy[0], shares.get(busy[0], 0))]
        else:
            errors = await asyncio.gather(*[WorkerTask(_step(lane, shares.get(lane, 0))) for lane in busy])
        gone = None
        for lane, error in zip(busy, errors, strict=True):
            if error is not None and away(error):
                gone = error
            elif error is not None:
                lane.fail(error)
        if gone is not None:
            # Whether the step was carried out is unknown. Its settlements stay in the outbox: once more does no harm,
            # the fence sees to that. Jobs that it claimed and that never arrived the janitor finds, and hands back.
            # Claim nothing until a step and a write work again: jobs claimed by an unanswered step would not run.
            self._trying = True
            self._outage.noticed(gone, "steps")
            await asyncio.sleep(jittered(self._pauses.next()))
            return
        if self._trying or self._outage.failing("steps"):  # the latter where the start of the worker failed
            self._trying = False
            self._outage.over("steps")
            self._pauses.reset()
        self.draining = any(lane.draining for lane in self._lanes)

    async def _rest(self) -> None:
        """Nothing to do now: until something ends, a queue is woken, or a scheduled job falls due."""
        wanted = self._processor.room() > 0
        for listener in self.listeners:
            listener.rest(wanted=wanted)
        # With no slot free, no queue is worth a look before something ends.
        nap = min((lane.nap() for lane in self._lanes if wanted or lane.outbox), default=LONGEST_NAP)
        try:
            async with asyncio.timeout(nap):
                await self._event.wait()
        except TimeoutError:
            for lane in self._lanes:
                lane.look_again()

    def _shares(self, room: int) -> dict[Lane, int]:
        """How many jobs each hungry queue may give."""
        hungry = [lane for lane in self._lanes if lane.hungry and not lane.ailing]
        if room <= 0 or not hungry:
            return {}
        if len(hungry) == 1:
            return {hungry[0]: room}
        turns = take_turns(room, [lane.weight for lane in hungry], [lane.credit for lane in hungry])
        for lane, credit in zip(hungry, turns.credits, strict=True):
            lane.credit = credit
        return dict(zip(hungry, turns.shares, strict=True))


async def _step(lane: Lane, claim: int) -> StoreError | None:
    """One queue's step to its end; what Redis said against it is an answer, so that the other queues' are heard too."""
    try:
        await lane.step(claim)
    except StoreError as error:
        return error
    return None


async def _prove(lane: Lane) -> StoreError | None:
    """Return the server's error for a write to one queue; a step with nothing to settle writes nothing."""
    try:
        await lane.prove()
    except StoreError as error:
        return error
    return None
