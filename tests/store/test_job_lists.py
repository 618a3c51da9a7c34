"""Jobs of one state are listed in the order in which they leave it."""

from jobpools.core.jobs.job import JobState
from jobpools.store.connection import Connection
from jobpools.store.job_lists import read_jobs
from tests.store.attempts import AT, NOW, claim, failed, settled
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs


async def test_jobs_are_listed_in_the_order_in_which_they_leave_their_state(store: Connection, job: Send) -> None:
    order = [("n1", "normal"), ("l1", "low"), ("h1", "high"), ("n2", "normal")]
    await enqueue_jobs(store, [job(job_id, priority) for job_id, priority in order], NOW)
    later = [("s3", "high", 30), ("s1", "low", 10), ("s2", "normal", 20)]
    await enqueue_jobs(store, [job(job_id, priority, AT + delay) for job_id, priority, delay in later], NOW)

    async def listed(state: JobState, limit: int = 100) -> list[str]:
        return [view.id for view in await read_jobs(store, QUEUE, state, limit)]

    assert await listed(JobState.QUEUED) == ["h1", "n1", "n2", "l1"]
    assert await listed(JobState.QUEUED, 2) == ["h1", "n1"]
    assert await listed(JobState.SCHEDULED) == ["s1", "s2", "s3"]
    assert await listed(JobState.SCHEDULED, 1) == ["s1"]
    for number in range(3):
        (lease_id,) = await claim(store, "w.1", number)
        await settled(store, lease_id, failed(attempts=1), NOW + number)
    assert await listed(JobState.DEAD) == ["n2", "n1", "h1"], "the latest first"
