"""Handlers that fork and send from both processes: a real worker and its children mix no replies."""

from pathlib import Path

import pytest
from redis import Redis

from jobpools import App
from tests.support.workers import running_workers


@pytest.mark.chaos
@pytest.mark.parametrize("kind", ["in_a_thread", "in_the_loop"])
def test_a_handler_forks_and_both_processes_send(valkey_url: str, tmp_path: Path, kind: str) -> None:
    app = App("forks", redis=valkey_url)
    with running_workers(tmp_path, valkey_url, "tests.chaos.handlers.forking_jobs:app", "forks", CONCURRENCY="8") as (
        worker,
    ):
        jobs = [app.enqueue_sync(kind, {"number": number}, queue="default") for number in range(6)]
        assert [job.result_sync(timeout=60) for job in jobs] == [0] * 6, worker.log()
        with Redis.from_url(valkey_url) as raw:
            assert raw.hget("jobpools:{default}:totals", "enqueued") == b"30", "4 of each job, and the job"
        assert worker.process.poll() is None
        assert "Traceback" not in worker.log()
    app.close()
