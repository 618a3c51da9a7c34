"""How long a call waits for room in full queues, decided without a server: each receipt is given by hand."""

import contextlib

import pytest

from jobpools.errors import QueueFullError
from jobpools.sending import LOG_INTERVAL, FullQueueLog, SendSteps, send_steps
from jobpools.store.enqueue import BATCH, Batch, Receipt
from tests.store.conftest import sending

TIMEOUT = 30.0


class Clock:
    """Monotonic seconds that only the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def reply(steps: SendSteps, batch: Batch | float, receipt: Receipt) -> Batch | float:
    assert isinstance(batch, Batch)
    return steps.send([receipt] * len(batch.jobs))


@pytest.mark.parametrize("queues", [("emails", "emails"), ("emails", "reports")], ids=["one queue", "two queues"])
def test_the_time_counts_from_the_latest_job_that_was_accepted(queues: tuple[str, str]) -> None:
    clock = Clock()
    jobs = [
        sending(f"{queue}{place}{number}", queue=queue) for place, queue in enumerate(queues) for number in range(BATCH)
    ]
    steps = send_steps(jobs, TIMEOUT, FullQueueLog(), clock)
    assert isinstance(reply(steps, next(steps), Receipt.FULL), float), "it waits for room"
    clock.now = TIMEOUT - 1
    second = reply(steps, next(steps), Receipt.ACCEPTED)
    clock.now = TIMEOUT + 1
    assert isinstance(reply(steps, second, Receipt.FULL), float), "it waits again, for the whole time"
    clock.now = 2 * TIMEOUT + 1
    with pytest.raises(QueueFullError, match=rf"within 30s \({BATCH} of {2 * BATCH} jobs are enqueued\)"):
        reply(steps, next(steps), Receipt.FULL)


def test_a_client_logs_a_full_queue_once_in_a_while_and_counts_the_jobs_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, lines = Clock(), FullQueueLog()
    for receipt, queue in ((Receipt.DROPPED, "emails"), (Receipt.FULL, "reports")):
        for _ in range(100):
            steps = send_steps([sending("a", queue=queue)], TIMEOUT, lines, clock)
            with contextlib.suppress(StopIteration):
                reply(steps, next(steps), receipt)
    clock.now = LOG_INTERVAL
    steps = send_steps([sending("a", queue="emails")], TIMEOUT, lines, clock)
    with pytest.raises(StopIteration):
        reply(steps, next(steps), Receipt.DROPPED)
    dropped = "queue emails is full: %s moved to its dead letters: its overflow is DropNewest"
    waits = "queue reports is full; waiting for room"
    assert caplog.messages == [dropped % "1 job was", waits, dropped % "100 jobs were"]
