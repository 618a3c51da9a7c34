"""Jobs that may crash only once more run one at a time, and are handed back if another one runs."""

import asyncio
from typing import Any

from jobpools.core.jobs.job import Disposition, Outcome, OutcomeKind
from tests.runtime.harness import SlotsHarness

CANCELLED = Outcome(OutcomeKind.CANCELLED)


async def forever(_ctx: Any, _args: dict[str, Any]) -> None:
    await asyncio.Event().wait()


async def test_only_one_job_that_may_crash_once_more_runs_and_the_others_are_handed_back() -> None:
    harness = SlotsHarness(forever, size=4)
    suspects = [harness.attempt(f"suspect {n}", crashes=2) for n in range(3)]
    others = [harness.attempt("first crash", crashes=1), harness.attempt("fresh")]
    harness.slots.take([*suspects, *others])
    assert set(harness.dispositions) == {"suspect 1", "suspect 2"}
    for _, settlement in harness.settled:
        assert settlement.disposition is Disposition.RETURN
        assert settlement.delay is not None, "not at once, or this worker would claim it again"
        assert settlement.history.crashes == 2, "neither charged nor forgiven"
    await harness.until_started(*others)
    assert not suspects[0].started_at, "it must not crash before Redis knows that the others are handed back"
    assert harness.slots.quarantine.unrecorded == suspects[1:]
    harness.acknowledge()
    await harness.until_started(suspects[0])
    assert harness.slots.quarantine.unrecorded == []


async def test_the_next_suspect_is_admitted_when_the_former_one_is_settled() -> None:
    harness = SlotsHarness(forever, size=4)
    first, second, third = (harness.attempt(name, crashes=2) for name in ("first", "second", "third"))
    harness.slots.take([first])
    await harness.until_started(first)
    harness.slots.take([second])
    assert "second" in harness.dispositions
    harness.slots.stop(first, CANCELLED)
    await harness.until_idle()
    harness.slots.take([third])
    harness.acknowledge()
    await harness.until_started(third)
    harness.slots.stop(third, CANCELLED)
    await harness.until_idle()
