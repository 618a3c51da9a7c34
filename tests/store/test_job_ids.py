"""Job ids: UUIDv7 by default, and what callers may choose."""

import time
import uuid

import pytest
from hypothesis import given, settings, strategies as st

from jobpools.store import draws
from jobpools.store.job_ids import ID_LIMIT, check_id, id_time, new_id


@settings(max_examples=100)
@given(st.integers(0, 2**47), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_version_7_and_contains_its_time(ms: int, random: bytes) -> None:
    made = new_id(ms / 1000, random)
    found = uuid.UUID(made)
    assert str(found) == made
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    seconds = id_time(made)
    assert seconds is not None
    assert abs(seconds * 1000 - ms) <= 1.001  # a time in seconds as a float is inexact


def test_ids_sort_by_time() -> None:
    made = [new_id(at / 1000, bytes([255 - at % 256] * 10)) for at in range(1_790_000_000_000, 1_790_000_000_500)]
    assert made == sorted(made)
    assert abs((id_time(draws.fresh_id()) or 0) - time.time()) < 5


@pytest.mark.parametrize(
    "own",
    [
        "a",
        "order-1042",
        "",
        "x" * 36,
        "1_790000-0000-7000-8000-000000000000",
        "+1790000-0000-7000-8000-000000000000",
        "a4ad17a8-35fe-458d-9f86-7fe5c77c716c",
        "zzzzzzzz-c3d4-7000-8000-000000000000",
    ],
)
def test_other_ids_contain_no_time(own: str) -> None:
    assert id_time(own) is None


@pytest.mark.parametrize("own", ["", "two words", "tab\t", "ümlaut", "x" * (ID_LIMIT + 1), "line\n"])
def test_an_invalid_id_is_refused(own: str) -> None:
    with pytest.raises(ValueError, match="cannot be an id; use 1 to 200 printable ASCII"):
        check_id(own)
