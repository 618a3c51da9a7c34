"""Changes of jobs on the model of a queue. Each function is named like the script that it models."""

from collections.abc import Iterable

from tests.store.model import Queue
from tests.store.model_values import ranked


def run_now(queue: Queue, ids: Iterable[str], now: int) -> int:
    moved = 0
    for letter, waiting in queue.scheduled.items():
        for job_id in [each for each in dict.fromkeys(ids) if each in waiting]:
            del waiting[job_id]
            queue.ready[letter].append(job_id)
            queue.since[job_id] = now
            moved += 1
    queue.token |= moved > 0
    return moved


def reschedule(queue: Queue, job_id: str, letter: str, due: int) -> list[int]:
    """Return how many jobs were moved, and how many do not fit."""
    waiting, ready = queue.scheduled[letter], queue.ready[letter]
    if job_id in ready and job_id not in waiting:
        if sum(map(len, queue.scheduled.values())) >= queue.limit("max_scheduled"):
            return [0, 1]
        ready.remove(job_id)
    elif job_id not in waiting:
        return [0, 0]
    queue.since.pop(job_id, None)
    waiting[job_id] = due
    queue.token |= ranked(waiting)[0] == job_id
    return [1, 0]


def delete(queue: Queue, job_id: str, ended_at: int | None) -> int:
    """Delete a record, also an expired one that was not removed yet."""
    if job_id not in queue.ended or ended_at not in (None, queue.ended[job_id][1]):
        return 0
    queue.forget(job_id)
    return 1
