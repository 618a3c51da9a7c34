"""Model of a queue in plain Python, with which the scripts are compared key by key.

Times are ms. Each method changes the model as the script of its name changes Redis, and returns the same.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from jobpools.core.jobs.job import DeadReason, Disposition, History, OutcomeKind, Settlement
from jobpools.store.enqueue import Receipt
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.script_arguments import CANCELLED_TTL
from tests.store.model_values import StepResult, ranked, replayed, uncharged

PRIORITIES = {"h": "high", "n": "normal", "l": "low"}
ENDED = ("completed", "cancelled")


class Queue:
    """Expected contents of one queue."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        """Id → letter of the priority."""
        self.ready: dict[str, list[str]] = {letter: [] for letter in PRIORITIES}
        self.scheduled: dict[str, dict[str, int]] = {letter: {} for letter in PRIORITIES}
        self.leases: dict[str, int] = {}
        self.dead: dict[str, int] = {}
        self.ended: dict[str, tuple[str, int, int]] = {}
        """Id → (state, time of the end, ms for which the record is kept)."""
        self.lists: dict[str, list[str]] = {}
        """By class of TTLs: ids in the order in which they ended."""
        self.bounds: dict[str, int] = {}
        """By class: time before which no record of its list expires."""
        self.histories: set[str] = set()
        self.past: dict[str, History] = {}
        """Id → history."""
        self.since: dict[str, int] = {}
        self.draining: set[str] = set()
        self.cancelling: set[str] = set()
        self.totals: Counter[str] = Counter()
        self.token = False
        self.policy: dict[str, str] = {}
        """As the hash holds it."""

    def retained(self, job_id: str, now: int) -> str:
        """Return the state in which the job ended; empty: it has not, or its record has expired."""
        state, at, ttl = self.ended.get(job_id, ("", 0, 0))
        return state if at + ttl > now else ""

    def known(self, now: int) -> set[str]:
        """Return the ids that cannot be enqueued."""
        return set(self.jobs) | {job_id for job_id in self.ended if self.retained(job_id, now)}

    def where(self, job_id: str, now: int) -> str:
        """Return the state of a job; empty: unknown."""
        places = [
            *["queued" for ids in self.ready.values() if job_id in ids],
            *["scheduled" for due in self.scheduled.values() if job_id in due],
            *["running" for lease_id in self.leases if split_lease_id(lease_id)[0] == job_id],
            *["dead" for _ in {job_id} & self.dead.keys()],
            *[state for state in [self.retained(job_id, now)] if state],
        ]
        assert len(places) == (1 if job_id in self.known(now) else 0), f"{job_id} is in {places}"
        return places[0] if places else ""

    @property
    def left(self) -> int:
        return sum(len(ids) for ids in self.ready.values())

    def lease_ids(self, belongs: Callable[[str], bool]) -> list[str]:
        """Return the leases of workers for which `belongs` is true, soonest expiry first."""
        return [lease_id for lease_id in ranked(self.leases) if belongs(split_lease_id(lease_id)[1])]

    def limit(self, name: str) -> float:
        """Return how many jobs there may be."""
        return int(self.policy.get(name, "10000")) or math.inf

    def enqueue(self, jobs: Iterable[tuple[str, str, int | None]], now: int, *, own: bool) -> list[int]:
        """Of (id, letter, due)."""
        overflow, pushed, sooner = self.policy.get("overflow", "Block"), 0, False
        room = self.limit("max_depth") - self.left
        receipts: list[int] = []
        for job_id, letter, due in jobs:
            receipts.append(self._receipt(job_id, due, now, room, overflow))
            if receipts[-1] <= 0:
                continue
            if job_id in self.ended:
                self.forget(job_id)
            self.jobs[job_id] = letter
            self.totals["enqueued"] += 1
            if due is not None:
                self.scheduled[letter][job_id] = due
                sooner |= ranked(self.scheduled[letter])[0] == job_id
                continue
            room -= 1
            if receipts[-1] == Receipt.DROPPED:
                self._drop(job_id, now)
                continue
            self.ready[letter].append(job_id)
            pushed += 1
            if own:
                self.since[job_id] = now
        if overflow == "DropOldest" and room < 0:
            self._drop_oldest(min(-int(room), 2 * pushed), now)
        self.token |= (pushed > 0 or sooner) and "paused" not in self.policy
        return receipts

    def _receipt(self, job_id: str, due: int | None, now: int, room: float, overflow: str) -> Receipt:
        if job_id in self.known(now):
            return Receipt.KNOWN
        if due is not None:
            full = sum(map(len, self.scheduled.values())) >= self.limit("max_scheduled")
            return Receipt.SCHEDULE_FULL if full else Receipt.ACCEPTED
        if room > 0 or overflow == "DropOldest":
            return Receipt.ACCEPTED
        return Receipt.FULL if overflow == "Block" else Receipt.DROPPED

    def _drop_oldest(self, number: int, now: int) -> None:
        for job_id in [each for letter in "lnh" for each in self.ready[letter]][:number]:
            self.ready[self.jobs[job_id]].remove(job_id)
            self.since.pop(job_id, None)
            self._drop(job_id, now)

    def _drop(self, job_id: str, now: int) -> None:
        self.dead[job_id] = now
        self.histories.add(job_id)
        self.past[job_id] = History()
        self.totals["dead"] += 1
        self.totals["overflowed"] += 1

    def set_policy(self, fields: dict[str, str]) -> None:
        self.policy = {name: value for name, value in (self.policy | fields).items() if value}
        self.token |= self.left > 0 and "paused" not in self.policy

    def step(  # noqa: PLR0913  # the arguments of step.lua
        self,
        worker: str,
        now: int,
        *,
        completed: Iterable[tuple[str, int]] = (),
        settled: Iterable[tuple[str, Settlement]] = (),
        claim: int,
        lease_suffix: str,
        lease: int,
        order: str,
        keep: int,
    ) -> StepResult:
        """Settle and claim; `completed`: (lease_id, ttl)."""
        answer = StepResult()
        for lease_id, ttl in completed:
            self._complete(answer, lease_id, now, ttl if keep else 0)
        for lease_id, settlement in settled:
            self._settle(answer, lease_id, now, settlement)
        self.trim(now, keep)
        self.promote(now)
        answer.draining = worker in self.draining
        if not answer.draining and "paused" not in self.policy:
            for letter, most in re.findall(r"([hnl])(\d*)", order):
                room = min(claim - len(answer.ids), int(most or claim))
                answer.ids += self.ready[letter][:room]
                del self.ready[letter][:room]
        for job_id in answer.ids:
            self.since.pop(job_id, None)
            self.leases[job_id + lease_suffix] = now + lease
        answer.left = self.left
        self.token |= self.left > 0 and "paused" not in self.policy
        due = [at for each in self.scheduled.values() for at in each.values()]
        if not answer.left and due:
            answer.next_due = max(0, min(due) - now)
        return answer

    def _complete(self, answer: StepResult, lease_id: str, now: int, ttl: int) -> None:
        if not self._held(lease_id):
            answer.stale.append(lease_id)
            return
        job_id = split_lease_id(lease_id)[0]
        self.totals["completed"] += 1
        self.cancelling.discard(job_id)
        if ttl:
            self._end(job_id, "completed", now, ttl)
        else:
            self.forget(job_id)

    def _settle(self, answer: StepResult, lease_id: str, now: int, settlement: Settlement) -> None:
        if not self._held(lease_id):
            answer.stale.append(lease_id)
            return
        job_id = split_lease_id(lease_id)[0]
        letter, how = self.jobs[job_id], settlement.disposition
        due = None if settlement.delay is None else now + int(settlement.delay * 1000)
        if how is not Disposition.CANCEL:
            (self.histories.add if settlement.history != History() else self.histories.discard)(job_id)
            self.past[job_id] = settlement.history
        if how in (Disposition.RETRY, Disposition.DEAD) and settlement.history.reason is not DeadReason.EXPIRED:
            crashed = settlement.history.entries[-1].outcome is OutcomeKind.CRASHED
            self.totals["crashed" if crashed else "failed"] += 1
        if how in (Disposition.RETRY, Disposition.RETURN) and job_id in self.cancelling:
            how = Disposition.CANCEL
        self.cancelling.discard(job_id)
        match how:
            case Disposition.CANCEL:
                self.totals["cancelled"] += 1
                self._end(job_id, "cancelled", now, CANCELLED_TTL)
            case Disposition.DEAD:
                self.totals["dead"] += 1
                self.dead[job_id] = now
            case Disposition.RETURN if due is None:
                self.ready[letter].insert(0, job_id)
                self.since[job_id] = now
            case _:
                self.scheduled[letter][job_id] = now if due is None else due

    def _held(self, lease_id: str) -> bool:
        """Remove a lease that exists or is reclaimed; return whether there was one."""
        if not self.reclaim(lease_id, 0):
            return self.leases.pop(lease_id, None) is not None
        del self.leases[lease_id]
        return True

    def reclaims(self, lease_id: str) -> bool:
        """Return whether the job's latest attempt is a crash under this lease, and no attempt has started since."""
        job_id, worker = split_lease_id(lease_id)
        attempts = self.past[job_id].entries if job_id in self.histories else ()
        if not attempts or attempts[-1].outcome is not OutcomeKind.CRASHED:
            return False
        lease = f"{job_id}:{worker}:{attempts[-1].fence}"
        return lease_id == lease and self.where(job_id, 0) in ("dead", "scheduled", "queued")

    def reclaim(self, lease_id: str, until: int) -> bool:
        if not self.reclaims(lease_id):
            return False
        job_id = split_lease_id(lease_id)[0]
        letter = self.jobs[job_id]
        if job_id in self.ready[letter]:
            self.ready[letter].remove(job_id)
        self.scheduled[letter].pop(job_id, None)
        self.dead.pop(job_id, None)
        self.since.pop(job_id, None)
        self.leases[lease_id] = until
        self.past[job_id] = uncharged(self.past[job_id])
        if self.past[job_id] == History():
            self.histories.discard(job_id)
        return True

    def _end(self, job_id: str, state: str, now: int, ttl: int) -> None:
        del self.jobs[job_id]
        self.ended[job_id] = state, now, ttl
        kind = str(ttl.bit_length())
        self.lists.setdefault(kind, []).append(job_id)
        self.bounds.setdefault(kind, now + ttl)

    def forget(self, job_id: str) -> None:
        """Remove everything about a job that has ended or is deleted."""
        self.jobs.pop(job_id, None)
        self.histories.discard(job_id)
        if job_id in self.ended:
            kind = str(self.ended.pop(job_id)[2].bit_length())
            self.lists[kind].remove(job_id)

    def _expiry(self, job_id: str) -> int:
        _, at, ttl = self.ended[job_id]
        return at + ttl

    def trim(self, now: int, keep: int) -> None:
        changed = {kind for kind, bound in self.bounds.items() if bound <= now}
        for kind in changed:
            while self.lists[kind] and self._expiry(self.lists[kind][0]) <= now:
                self.forget(self.lists[kind][0])
        oldest = sorted(
            (
                (self.ended[job_id][1], kind, index)
                for kind in self.lists
                for index, job_id in enumerate(self.lists[kind])
            ),
        )
        excess = oldest[: max(0, len(self.ended) - keep)]
        for job_id in [self.lists[kind][index] for _, kind, index in excess]:
            self.forget(job_id)
        for kind in changed | {kind for _, kind, _ in excess}:
            if self.lists[kind]:
                self.bounds[kind] = self._expiry(self.lists[kind][0])
            else:
                del self.bounds[kind]

    def promote(self, now: int) -> int:
        moved = 0
        for letter, waiting in self.scheduled.items():
            for job_id in [job_id for job_id in ranked(waiting) if waiting[job_id] <= now]:
                self.since[job_id] = waiting.pop(job_id)
                self.ready[letter].append(job_id)
                moved += 1
        return moved

    def rescue(
        self, lease_suffix: str, lease: int, now: int, holders: tuple[str, ...] = (), *, keep: int
    ) -> tuple[list[str], int]:
        """Return the lease_ids that were taken over, and how many jobs were promoted."""
        if holders:
            taken = self.lease_ids(lambda worker: worker.rpartition(".")[0] in holders)
        else:
            taken = [lease_id for lease_id in ranked(self.leases) if self.leases[lease_id] <= now]
        for lease_id in taken:
            del self.leases[lease_id]
            self.leases[split_lease_id(lease_id)[0] + lease_suffix] = now + lease
        self.trim(now, keep)
        moved = self.promote(now)
        self.token |= moved > 0 and self.left > 0
        return taken, moved

    def renew(self, lease_ids: Iterable[str], until: int) -> list[str]:
        """Return the lease_ids that are lost."""
        gone = []
        for lease_id in lease_ids:
            if lease_id in self.leases or (self.renews(lease_id) and self.reclaim(lease_id, until)):
                self.leases[lease_id] = until
            else:
                gone.append(lease_id)
        return gone

    def renews(self, lease_id: str) -> bool:
        """Return whether renewing may reclaim this lease: a draining worker's may not."""
        return split_lease_id(lease_id)[1] not in self.draining

    def drain(self, worker: str) -> bool:
        if self.lease_ids(lambda each: each == worker):
            return False
        self.draining.add(worker)
        return True

    def cancel(self, job_id: str, now: int) -> str | None:
        state = self.where(job_id, now)
        if state == "running":
            self.cancelling.add(job_id)
        elif state in ("queued", "scheduled"):
            letter = self.jobs[job_id]
            if state == "queued":
                self.ready[letter].remove(job_id)
            else:
                del self.scheduled[letter][job_id]
            self.since.pop(job_id, None)
            self._end(job_id, "cancelled", now, CANCELLED_TTL)
            self.totals["cancelled"] += 1
            return "cancelled"
        return state or None

    def replay(self, ids: Iterable[str], now: int) -> int:
        moved = 0
        for job_id in ids:
            if self.dead.pop(job_id, None) is not None:
                self.ready[self.jobs[job_id]].append(job_id)
                self.histories.add(job_id)
                self.past[job_id] = replayed(self.past[job_id])
                self.since[job_id] = now
                moved += 1
        self.token |= moved > 0
        return moved

    def purge(self, ids: Iterable[str]) -> int:
        gone = [job_id for job_id in ids if self.dead.pop(job_id, None) is not None]
        for job_id in gone:
            self.forget(job_id)
        self.totals["purged"] += len(gone)
        self.totals += Counter()  # remove counts of zero
        return len(gone)

    def keys(self) -> dict[str, Any]:
        """Return the expected contents by part, without empty parts."""
        lists = {f"ready:{name}": self.ready[letter] for letter, name in PRIORITIES.items()}
        later = {f"scheduled:{name}": self.scheduled[letter] for letter, name in PRIORITIES.items()}
        parts: dict[str, Any] = {
            **lists,
            **later,
            "jobs": set(self.jobs),
            "history": self.histories,
            "results": {job_id: state for job_id, (state, _, _) in self.ended.items()},
            "done": self.bounds,
            **{f"done:{kind}": ids for kind, ids in self.lists.items()},
            "leases": self.leases,
            "dead": self.dead,
            "since": self.since,
            "wake": ["1"] if self.token else [],
            "draining": self.draining,
            "cancelling": self.cancelling,
            "totals": dict(self.totals),
            "policy": self.policy,
        }
        return {part: held for part, held in parts.items() if held}
