"""A process that fires schedules until it is killed: python -m tests.chaos.firing URL START COUNT"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from jobpools.control.schedules import Timetable
from jobpools.core.schedules.actions import CronPlan
from jobpools.core.schedules.specs import Cron
from jobpools.store.connect import connect
from jobpools.store.schedules import StoreSchedules

APART = timedelta(milliseconds=50)


def crons(start: float, count: int) -> list[Cron]:
    """So many schedules, each of one tick, 50 ms one after the other."""
    first = datetime.fromtimestamp(round(start), UTC)
    job = {"name": "work", "queue": "ticks"}
    return [
        Cron.model_validate({"meta": {"name": f"c{number}"}, "spec": {"at": first + number * APART, "job": job}})
        for number in range(count)
    ]


class Silent:
    async def report_cron(self, cron: Cron, plan: CronPlan) -> None:
        pass


async def main(url: str, start: float, count: int) -> None:
    timetable = Timetable(StoreSchedules(connect(url)), Silent())
    for cron in crons(start, count):
        timetable.put(cron)
    await timetable.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
