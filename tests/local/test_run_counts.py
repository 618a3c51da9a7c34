"""Job counts since the start of a run."""

from jobpools.local.completion import Ending
from jobpools.local.run_counts import RunCounts
from jobpools.local.summary import summarize
from jobpools.store.ledger import Ledger


def counts(*readings: dict[str, Ledger]) -> RunCounts:
    made = RunCounts()
    for reading in readings:
        made.update(reading)
    return made


def test_jobs_from_before_the_run_are_not_counted() -> None:
    made = counts(
        {"emails": Ledger(enqueued=10, completed=10)},
        {"emails": Ledger(enqueued=13, completed=11, failed=2, ready=2)},
    )
    total = made.total
    assert (total.enqueued, total.completed, total.retried, total.unfinished, total.lost) == (3, 1, 2, 2, 0)
    assert (made.ended, made.unfinished, made.is_current) == (1, 2, True)


def test_a_new_queue_is_counted_from_its_first_reading() -> None:
    made = counts(
        {"emails": Ledger(enqueued=1, completed=1)},
        {"emails": Ledger(enqueued=1, completed=1), "news": Ledger()},
        {"emails": Ledger(2, 2), "news": Ledger(3, 3)},
    )
    assert made.total.completed == 4


def test_jobs_are_lost_when_redis_loses_its_data() -> None:
    made = counts({"emails": Ledger()}, {"emails": Ledger(enqueued=5, completed=2, ready=3)}, {"emails": Ledger()})
    assert (made.total.completed, made.total.lost) == (2, 3)
    made.update({"emails": Ledger(enqueued=1, completed=1)})
    assert (made.total.completed, made.total.lost) == (3, 3)


def test_the_summary_counts_unfinished_jobs_unless_all_are_done() -> None:
    made = counts({"emails": Ledger()}, {"emails": Ledger(enqueued=5, completed=2, ready=3)})
    assert summarize(Ending.DONE, made, 2, 1.5) == "done: 2 completed, 0 retried, 0 dead, 0 lost; peak 2 workers; 1.5 s"
    stopped = "stopped: 2 completed, 0 retried, 0 dead, 0 lost, {} unfinished; peak 2 workers; 1.5 s"
    assert summarize(Ending.GAVE_UP, made, 2, 1.5) == stopped.format(3)
    made.is_current = False
    assert summarize(Ending.STOPPED, made, 2, 1.5) == stopped.format("?")
