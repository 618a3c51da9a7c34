"""What becomes of a job whose lease was taken over: a crash up to the limit, and no charge if it cannot be read."""

from typing import Any

import pytest

from jobpools.core.jobs.job import Disposition, History
from jobpools.rescue import decide, vanished
from jobpools.store.envelope import encode_envelope
from jobpools.store.rescue import TakenLease
from tests.store.conftest import Send


@pytest.mark.parametrize(
    ("crashes", "own", "ends"),
    [(0, None, Disposition.RETRY), (1, None, Disposition.DEAD), (1, 3, Disposition.RETRY), (0, 1, Disposition.DEAD)],
)
def test_crashes_are_retried_up_to_the_limit(crashes: int, own: int | None, ends: Disposition, job: Send) -> None:
    envelope = job("a", "high").envelope
    envelope.max_crashes = own
    taken = TakenLease(
        "a", "a:me.1:1", "web-1.a", "a:web-1.a:1", encode_envelope(envelope), History(attempts=2, crashes=crashes)
    )
    settled = decide(taken, vanished(taken), lambda _: 2, 1000.0, 0.5).settled
    assert settled.lease_id == "a:me.1:1"
    assert settled.priority == "high"
    assert settled.settlement.disposition is ends
    assert (settled.settlement.history.crashes, settled.settlement.history.attempts) == (crashes + 1, 2)


def test_an_unreadable_job_is_handed_back_without_a_crash() -> None:
    for raw in (b"?", b'{"v":9}', b'{"v":1,"id":"a","name":"n","queue":"q","args":{},"priority":"urgent"}'):
        taken: Any = TakenLease("a", "a:me.1:1", "web-1.a", "a:web-1.a:1", raw, History())
        settlement = decide(taken, vanished(taken), lambda _: 1, 1000.0, 0.0).settled.settlement
        assert (settlement.disposition, settlement.delay) == (Disposition.RETURN, 30.0)
        assert settlement.history.crashes == 0
        assert settlement.history.note
