"""A lease id names its job and its worker."""

from hypothesis import given, settings, strategies as st

from jobpools.store.job_ids import ID_LIMIT, check_id
from jobpools.store.lease_ids import lease_suffix_of, split_lease_id

ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=ID_LIMIT)


@settings(max_examples=100)
@given(ids, st.integers(0, 10**10 - 1))
def test_a_lease_id_has_the_job_and_the_worker(job_id: str, number: int) -> None:
    assert check_id(job_id) == job_id
    lease_suffix = lease_suffix_of("web-1.aa", number)
    assert split_lease_id(job_id + lease_suffix) == (job_id, "web-1.aa")
    assert len(lease_suffix) == len(lease_suffix_of("web-1.aa", 0)), "step.lua cuts it off by its length"
