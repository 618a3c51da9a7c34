"""A process that fires schedules until it is killed: python -m tests.chaos.firing URL START COUNT"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from jobpools.control.schedules import ScheduleEngine
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.specs import Schedule
from jobpools.store.connection import connect
from jobpools.store.schedules import StoreSchedules

APART = timedelta(milliseconds=100)


def schedules(start: float, count: int) -> list[Schedule]:
    """Return `count` schedules with one tick each, APART from each other."""
    first = datetime.fromtimestamp(round(start), UTC)
    job = {"name": "work", "queue": "ticks"}
    return [
        Schedule.model_validate({"meta": {"name": f"c{number}"}, "spec": {"at": first + number * APART, "job": job}})
        for number in range(count)
    ]


class Silent:
    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        pass


async def main(url: str, start: float, count: int) -> None:
    engine = ScheduleEngine(StoreSchedules(connect(url)), Silent())
    for schedule in schedules(start, count):
        engine.put(schedule)
    await engine.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
