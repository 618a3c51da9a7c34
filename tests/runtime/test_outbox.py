"""Settlements stay in the outbox until a step that carried them was answered."""

from jobpools.core.jobs.job import Disposition, History, Priority, Settlement
from jobpools.runtime.outbox import BATCH_LIMIT, Outbox

DEAD = Settlement(Disposition.DEAD, history=History())


def test_a_batch_stays_until_it_is_acknowledged() -> None:
    outbox = Outbox()
    assert not outbox
    outbox.complete("a", "job", b"null", 0.1, 60)
    outbox.add("b", Priority.NORMAL, DEAD)
    assert outbox
    batch = outbox.batch()
    assert list(batch.leases()) == ["a", "b"]
    assert list(outbox.batch().leases()) == ["a", "b"], "sent again after a step without a reply"
    outbox.complete("c", "job", b"null", 0.1, 60)  # while the step is on its way
    outbox.acknowledge(batch)
    assert list(outbox.batch().leases()) == ["c"]


def test_results_are_grouped_by_the_time_they_are_kept() -> None:
    outbox = Outbox()
    for lease, ttl in (("a", 60.0), ("b", 0.0), ("c", 60.0)):
        outbox.complete(lease, "job", b"null", 0.1, ttl)
    assert {keep: group.lease_ids for keep, group in outbox.batch().completed.items()} == {60_000: ["a", "c"], 0: ["b"]}


def test_an_outbox_contains_the_settlements_that_are_not_acknowledged() -> None:
    outbox = Outbox()
    outbox.add("a", Priority.NORMAL, DEAD)
    assert "a" in outbox
    assert "b" not in outbox
    outbox.acknowledge(outbox.batch())
    assert "a" not in outbox


def test_a_batch_holds_at_most_the_limit() -> None:
    outbox = Outbox()
    for number in range(BATCH_LIMIT + 1):
        outbox.add(str(number), Priority.NORMAL, DEAD)
    outbox.acknowledge(outbox.batch())
    assert list(outbox.batch().leases()) == [str(BATCH_LIMIT)]
