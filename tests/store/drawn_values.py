"""Strategies and constants of the random sequences of operations."""

from hypothesis import strategies as st

from jobpools.core.jobs.job import NotRetryable, Outcome, OutcomeKind
from jobpools.core.jobs.retry import Retry
from tests.store.model import PRIORITIES

OWN_IDS = [f"order:{number}.x" for number in range(4)] + ["a:web-1.y"]
WORKERS = ["web-1.aa", "web-1.bb", "web-10.aa"]
RESCUER = "operator.zz"
LEASE, MAX_CRASHES = 10_000, 2
POLICY = Retry(max_attempts=2, initial=1, jitter=0)
OUTCOMES = [
    Outcome(OutcomeKind.FAILED, "Error", "no"),
    Outcome(OutcomeKind.TIMED_OUT, "Error", "no"),
    Outcome(OutcomeKind.INTERRUPTED),
    Outcome(OutcomeKind.UNRUNNABLE),
    Outcome(OutcomeKind.CANCELLED),
    Outcome(OutcomeKind.SNOOZED, delay=1.5),
    Outcome(OutcomeKind.EXPIRED, message="too late"),
    Outcome(OutcomeKind.FAILED, "Discard", "no", not_retryable=NotRetryable.DISCARDED),
]

own_ids, workers = st.sampled_from(OWN_IDS), st.sampled_from(WORKERS)
letters = st.sampled_from(list(PRIORITIES))
delays = st.sampled_from([None, None, 0, 500, 5_000, 60_000])
indices = st.lists(st.integers(0, 3), max_size=3)
outcomes = st.sampled_from(OUTCOMES)
expiries = st.sampled_from([0, 0, 0, 1_000, 30_000])
"""ms after which the jobs of one call expire; 0: they do not."""
