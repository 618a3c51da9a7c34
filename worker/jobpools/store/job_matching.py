"""Whether a job matches a filter, from what was read about it."""

import json
from collections.abc import Callable, Iterator

from jobpools.core.jobs.job_filter import JobFilter, is_within
from jobpools.store.job_ids import id_time
from jobpools.store.job_view import JobView


def may_match(chosen: JobFilter, job_id: str) -> bool:
    """Return whether a job with this id can match; False only if the time in its id is outside the filter's bounds."""
    if not _bounds_creation(chosen):
        return True
    created = id_time(job_id)
    return created is None or is_within(created, chosen.created_after, chosen.created_before)


def matcher(chosen: JobFilter) -> Callable[[JobView], bool]:
    """Return a function that tells whether a job matches; the times of `chosen` are absolute."""
    needles, bounds = _spellings(chosen.text), _bounds_creation(chosen)

    def matches(view: JobView) -> bool:
        return (
            (not chosen.states or view.state in chosen.states)
            and chosen.name in (None, view.name)
            and chosen.reason in (None, view.history.reason)
            and set(chosen.tags) <= set(view.tags)
            and (not bounds or is_within(_created(view), chosen.created_after, chosen.created_before))
            and is_within(view.ended_at, chosen.ended_after, chosen.ended_before)
            and (chosen.worker is None or any(_is_worker(chosen.worker, each) for each in _workers(view)))
            and (not needles or any(needle in text for text in _texts(view) for needle in needles))
        )

    return matches


def _bounds_creation(chosen: JobFilter) -> bool:
    return chosen.created_after is not None or chosen.created_before is not None


def _created(view: JobView) -> float:
    """Return when a job was enqueued: the time in its id, so that `may_match` and this agree, else what is known."""
    return id_time(view.id) or view.enqueued_at


def _spellings(text: str) -> tuple[str, ...]:
    """Return how a text may be spelt in JSON, in lower case."""
    if not text:
        return ()
    spelt = (text, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1])
    return tuple(dict.fromkeys(each.lower() for each in spelt))


def _texts(view: JobView) -> Iterator[str]:
    yield view.args.decode(errors="replace").lower()
    yield view.history.note.lower()
    for each in view.history.entries:
        yield f"{each.error}: {each.message}".lower()


def _workers(view: JobView) -> Iterator[str]:
    yield view.worker
    for each in view.history.entries:
        yield each.worker


def _is_worker(wanted: str, worker: str) -> bool:
    """Return whether a worker has this id, or is on this host: the id of a worker is `host.suffix`."""
    return worker == wanted or worker.rpartition(".")[0] == wanted
