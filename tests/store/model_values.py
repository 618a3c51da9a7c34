"""Values of the model of a queue, and what follows from them."""

from dataclasses import dataclass, field, replace

from jobpools.core.jobs.job import TRANSITIONS, History, JobState


def reachable(state: JobState) -> set[JobState]:
    """Return the states in which a job may be after some transitions: one step may settle, promote and claim."""
    found: set[JobState] = set()
    while new := {after for before in (state, *found) for after in TRANSITIONS[before]} - found:
        found |= new
    return found


REACHABLE = {state: reachable(state) for state in JobState}


@dataclass(slots=True)
class StepResult:
    """Expected reply of a step."""

    ids: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    draining: bool = False
    left: int = 0
    next_due: int = -1


def ranked(scores: dict[str, int]) -> list[str]:
    """Return the elements in the order of a sorted set: by score, then by name."""
    return sorted(scores, key=lambda lease_id: (scores[lease_id], lease_id))


def uncharged(history: History) -> History:
    """Return the history without its latest attempt, a crash."""
    crashes = max(0, history.crashes - 1)
    return replace(history, crashes=crashes, entries=history.entries[:-1], note="", reason=None)


def replayed(history: History) -> History:
    """Return the history of a job after its replay."""
    return History(entries=history.entries, snoozes=history.snoozes, replays=history.replays + 1)
