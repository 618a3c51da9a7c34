"""Read the states of a batch of schedules, and record their plans. A failure of one must not stop the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobpools.control.ports import Schedules
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.error_text import first_line
from jobpools.errors import ObservationError, StoreDataError, StoreError

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
