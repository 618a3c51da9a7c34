"""Read the states of a batch of schedules, fire and record their plans. A failure of one must not stop the others."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from jobpools.control.ports import Schedules
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.error_text import first_line
from jobpools.errors import ObservationError, StoreDataError, StoreError

STOP_TIMEOUT: Final = 2.0
"""Maximum seconds for which a scheduler that is stopped records the ticks that it has fired."""

KnownPlan = tuple[Schedule, ScheduleFacts, SchedulePlan]


@dataclass(frozen=True, slots=True)
class Planned:
    """One schedule in one pass."""

    schedule: Schedule
    facts: ScheduleFacts | None
    """None: unknown."""
    plan: SchedulePlan

    @property
    def key(self) -> str:
        """Key of the schedule: `namespace/name`."""
        return self.schedule.meta.key


async def observe_batch(
    store: Schedules, batch: Sequence[Schedule], now: float
) -> tuple[dict[str, ScheduleFacts], str]:
    """Return the facts by key, and why others are unknown."""
    try:
        return await store.observe(batch, now), "its state cannot be read"
    except (ObservationError, StoreError) as error:
        problem = first_line(error)
        is_divisible = isinstance(error, StoreDataError) and len(batch) > 1
    if not is_divisible:
        return {}, problem
    # A key of one queue has the wrong type: halve the batch to find its schedules, so that the others are still fired.
    middle = len(batch) // 2
    first, _ = await observe_batch(store, batch[:middle], now)
    second, _ = await observe_batch(store, batch[middle:], now)
    return first | second, problem


class Handled(NamedTuple):
    """Result of firing and recording the plans of one batch, by key."""

    problems: dict[str, str]
    """Why jobs could not be enqueued."""
    recorded: dict[str, bool]
    """Whether the handled ticks are recorded, as `record_batch` returns it."""
    record_problem: str
    """Why other keys are missing in `recorded`."""


async def handle_batch(store: Schedules, planned: Sequence[Planned], now: float) -> Handled:
    """Enqueue the jobs of the fires, and then record the handled ticks.

    If the caller is cancelled meanwhile, this continues for at most STOP_TIMEOUT seconds, so that a scheduler which is
    stopped leaves no tick that is fired and not counted. Then CancelledError is raised.
    """
    work = asyncio.ensure_future(_handle(store, planned, now))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work], timeout=STOP_TIMEOUT)
        raise
    finally:
        work.cancel()


async def _handle(store: Schedules, planned: Sequence[Planned], now: float) -> Handled:
    problems = await store.enqueue(with_facts([each for each in planned if each.plan.fires]), now)
    # Crash window: jobs are enqueued and their ticks are not recorded. The next pass enqueues the same ids again.
    recorded, problem = await record_batch(store, [each for each in planned if each.key not in problems])
    return Handled(problems, recorded, problem)


async def record_batch(store: Schedules, batch: Sequence[Planned]) -> tuple[dict[str, bool], str]:
    """Record the handled ticks.

    Returns:
        Whether each plan is recorded, by key (False: another scheduler recorded a pass of it since its facts were
        read), and why other keys are missing.
    """
    recorded = {each.key: True for each in batch if each.plan.handled is None}
    due = with_facts([each for each in batch if each.plan.handled is not None])
    try:
        answers = await store.record(due)
    except StoreError as error:
        return recorded, first_line(error)
    return recorded | {schedule.meta.key: answer for (schedule, _, _), answer in zip(due, answers, strict=True)}, ""


def with_facts(batch: Sequence[Planned]) -> list[KnownPlan]:
    """Return the plans whose facts are known."""
    return [(each.schedule, each.facts, each.plan) for each in batch if each.facts is not None]
