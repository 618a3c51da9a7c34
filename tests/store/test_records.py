"""Records of ended jobs are decoded as they were encoded."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.jobs.job import JobState
from jobpools.errors import StoreDataError
from jobpools.store.json_objects import decode_json
from jobpools.store.records import completed_record, decode_result

texts = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=50)
@given(st.one_of(texts, st.integers(-(2**53), 2**53), st.none(), st.lists(texts, max_size=3)))
def test_a_result_is_decoded_as_it_was_encoded(value: Any) -> None:
    record = completed_record('shop "x"', msgspec.json.encode(value), 0.25)
    found = decode_result(b"c" + (12_500).to_bytes(6) + (1_500).to_bytes(6) + record)
    assert (found.state, found.at, found.until, found.ms) == (JobState.COMPLETED, 12.5, 14, 250)
    assert found.name == 'shop "x"'
    assert msgspec.json.decode(bytes(found.result)) == value


def test_invalid_bytes_are_reported_as_not_a_result() -> None:
    times = bytes(12)
    wrong = (b"[]", b"", b"c", b"x" + times[1:], b"c" + times, b"c" + times + b"1", b"x" + times + b"1 n 1",
             b"z" + times,
             b"c" + times + b"soon n 1", b"c" + times + b'1 "n 1', b'{"state":"completed"}')  # fmt: skip
    for raw in wrong:
        with pytest.raises(StoreDataError, match="not a result"):
            decode_result(raw)
    with pytest.raises(StoreDataError, match="not a JSON object"):
        decode_json(b"[]")
