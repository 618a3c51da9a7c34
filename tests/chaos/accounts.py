"""Account for every job of a run: compare four records that were made independently of each other.

1. The plan: what each job may end as (`tests/chaos/workload.py`).
2. The places: where each job is at the end, read from a server that was killed and has read its disk.
3. The append-only file: each settlement that the server ever applied, with the lease that it removed. A job of which a
   second end is in it was settled twice, even if the second end replaced the first one in the places.
4. The journal: each attempt that ran, noted by the handler itself with its lease. A completed job's result is the lease
   of the attempt that returned it: it must be the lease that the server removed, and the journal must have the attempt.

The totals of the queue must agree with the ids: a settlement that was counted twice is found even without its id.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobpools.core.jobs.job import JobState
from jobpools.store.history import decode_history
from jobpools.store.ledger import Ledger
from jobpools.store.records import decode_result
from tests.chaos.append_only import Record
from tests.chaos.notes import BEGUN, DONE, Note
from tests.chaos.places import FINAL
from tests.chaos.workload import FAIL_AS_PLANNED, Plan


@dataclass(frozen=True, slots=True)
class Evidence:
    """The records of a run."""

    plans: Sequence[Plan]
    places: Mapping[str, Sequence[str]]
    results: Mapping[bytes, bytes]
    """By job: its record in the hash `results`."""
    record: Record
    histories: Mapping[bytes, bytes]
    """By job: its history, also after its end."""
    remains: Sequence[str]
    """What is left of ended jobs and should be gone, as `places.remains` returns it."""
    journal: Sequence[Note]
    totals: Ledger


@dataclass(slots=True)
class Account:
    """What became of the jobs."""

    jobs: int
    counts: Counter[str] = field(default_factory=Counter[str])
    """Jobs by the state in which they ended."""
    lost: dict[str, str] = field(default_factory=dict[str, str])
    """Jobs that did not end, and where they are."""
    settled_twice: dict[str, str] = field(default_factory=dict[str, str])
    """Jobs with two ends, and which."""
    wrong: list[str] = field(default_factory=list[str])
    """Whatever else contradicts the promises or another record."""
    attempts: int = 0
    """Attempts that began."""
    run_again: int = 0
    """Jobs whose handler returned more than once: they run at least once."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.settled_twice or self.wrong)

    def summary(self, kills: int, seconds: float) -> str:
        """Return the last line of a run."""
        ends = ", ".join(f"{self.counts[state]} {state}" for state in FINAL)
        twice = f"{len(self.settled_twice)} settled twice"
        return f"chaos: {self.jobs} jobs: {ends}, {len(self.lost)} lost, {twice}; {kills} kills; {seconds:.0f} s"


def account(evidence: Evidence) -> Account:
    """Compare the records."""
    found = Account(len(evidence.plans))
    for plan in evidence.plans:
        _check_place(plan, evidence.places.get(plan.id, ()), found)
    _check_ends(evidence, found)
    _check_attempts(evidence, found)
    _check_charges(evidence, found)
    _check_totals(evidence.totals, found)
    if not found.lost:
        found.wrong += [f"left in Redis: {each}" for each in evidence.remains]
    return found


def _check_place(plan: Plan, places: Sequence[str], found: Account) -> None:
    ends = [place for place in places if place in FINAL]
    if not ends:
        found.lost[plan.id] = f"{', '.join(places) or 'nowhere: the server does not know it'} ({plan.handler})"
        return
    found.counts[ends[0]] += 1
    if len(ends) > 1:
        found.settled_twice[plan.id] = f"it is {' and '.join(ends)}"
    elif len(places) > 1:
        found.wrong.append(f"{plan.id}: in {len(places)} places: {', '.join(places)}")
    if JobState(ends[0]) not in plan.ends:
        allowed = " or ".join(sorted(plan.ends))
        found.wrong.append(f"{plan.id}: {ends[0]}, planned as {allowed} ({plan.handler}, fails {plan.failures} times)")


def _check_ends(evidence: Evidence, found: Account) -> None:
    record = evidence.record
    for job_id, ends in record.ends.items():
        if len(ends) > 1:
            both = ", then ".join(f"{end.kind} ({end.lease or 'no lease'})" for end in ends)
            found.settled_twice[job_id] = f"append-only file: {both}"
        elif ends and ends[0].kind not in evidence.places.get(job_id, ()):
            found.wrong.append(f"{job_id}: {ends[0].kind} in the append-only file, not in the keys")
    found.wrong += [f"{job_id}: leased twice at the same time" for job_id in record.leased_twice]
    found.wrong += [f"{job_id}: enqueued {count} times" for job_id, count in record.enqueued.items() if count > 1]


def _check_attempts(evidence: Evidence, found: Account) -> None:
    begun = {note.lease for note in evidence.journal if note.what == BEGUN}
    done = Counter(note.id for note in evidence.journal if note.what == DONE)
    done_leases = {note.lease for note in evidence.journal if note.what == DONE}
    found.attempts = sum(note.what == BEGUN for note in evidence.journal)
    found.run_again = sum(count > 1 for count in done.values())
    former = evidence.record.former
    for raw_id, raw in evidence.results.items():
        result, job_id = decode_result(raw), raw_id.decode()
        if result.state != JobState.COMPLETED:
            continue
        returned = json.loads(bytes(result.result))
        settled = [end.lease for end in evidence.record.ends.get(job_id, ()) if end.kind == "completed"]
        if returned not in done_leases or not begun & set(_chain(returned, former)):
            found.wrong.append(f"{job_id}: completed by {returned}, of which the journal has no attempt")
        if not any(returned in _chain(lease, former) for lease in settled):
            found.wrong.append(
                f"{job_id}: the result is of {returned}, the settlement of {', '.join(settled) or 'none'}"
            )


def _check_charges(evidence: Evidence, found: Account) -> None:
    """Check that each failed attempt was charged once, and that each dead job has the reason that was planned."""
    for plan in evidence.plans:
        place, history = evidence.places.get(plan.id), decode_history(evidence.histories.get(plan.id.encode()))
        if place == ["dead"] and history.reason is not plan.reason:
            found.wrong.append(f"{plan.id}: dead with the reason {history.reason}, not {plan.reason}")
        charged = history.snoozes if plan.handler == "snoozing" else history.attempts
        if plan.handler in FAIL_AS_PLANNED and place in (["completed"], ["dead"]) and charged != plan.failures:
            found.wrong.append(f"{plan.id}: {charged} failed attempts charged, {plan.failures} planned")


def _chain(lease: str, former: Mapping[str, str]) -> list[str]:
    """Return a lease and those that it replaced: a worker may continue its own attempt under a new lease."""
    found = [lease]
    while (before := former.get(found[-1])) is not None and before not in found:
        found.append(before)
    return found


def _check_totals(totals: Ledger, found: Account) -> None:
    for state in FINAL:
        counted = getattr(totals, state)
        if counted != found.counts[state]:
            found.wrong.append(f"totals: {counted} {state} counted, {found.counts[state]} jobs are {state}")
    if totals.enqueued != found.jobs:
        found.wrong.append(f"totals: {totals.enqueued} enqueued, {found.jobs} planned")
