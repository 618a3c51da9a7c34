"""When the next pass over a schedule is due."""

from jobpools.core.schedules.requeue import IDLE_INTERVAL, next_pass
from tests.support.schedules import ENDED, RUNNING, T0, schedule_facts


def test_the_next_pass_is_due_at_the_next_tick() -> None:
    assert next_pass(schedule_facts(), T0 + 60, T0) == T0 + 60
    assert next_pass(schedule_facts(jobs=(ENDED,), last_fire=T0), T0 + 60, T0 + 5) == T0 + 60


def test_without_a_next_tick_passes_are_rare() -> None:
    assert next_pass(schedule_facts(), None, T0) == T0 + IDLE_INTERVAL


def test_the_state_of_a_running_job_is_read_at_growing_intervals() -> None:
    facts, now = schedule_facts(jobs=(RUNNING,), last_fire=T0), T0
    intervals = []
    while now < T0 + 1500:
        check = next_pass(facts, T0 + 3600, now)
        intervals.append(round(check - now))
        now = check
    assert intervals == [2, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
