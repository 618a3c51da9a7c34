"""Records of ended jobs are decoded as they were encoded."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.jobs.job import JobState
from jobpools.errors import StoreDataError
from jobpools.store.envelope import ENVELOPE_VERSION, Envelope
from jobpools.store.json_objects import decode_json
from jobpools.store.labels import LABELS_LIMIT, encode_labels
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


@pytest.mark.parametrize("name", ["send", "", "#1", 'two "words" {'])
def test_a_cancelled_job_has_the_name_of_its_handler(name: str) -> None:
    found = decode_result(b"x" + bytes(12) + name.encode())
    assert (found.state, found.name, found.labels.tags) == (JobState.CANCELLED, name, ())


def envelope(tags: tuple[str, ...], meta: dict[str, Any] | None) -> Envelope:
    return Envelope(ENVELOPE_VERSION, "a", "send", "emails", msgspec.Raw(b"{}"), tags=tags, meta=meta)


@settings(max_examples=50)
@given(texts, st.lists(texts, max_size=3).map(tuple), st.one_of(st.none(), st.dictionaries(texts, texts, max_size=2)))
def test_tags_and_metadata_are_decoded_as_they_were_encoded(name: str, tags: tuple[str, ...], meta: Any) -> None:
    record = completed_record(name, b'"{ }"', 0.25, encode_labels(envelope(tags, meta)))
    found = decode_result(b"c" + bytes(12) + record)
    assert (found.name, found.labels.tags, found.labels.meta) == (name, tags, meta)
    assert bytes(found.result) == b'"{ }"'


@pytest.mark.parametrize(
    ("tags", "meta", "kept"),
    [
        ((), None, b""),
        (("two words",), {"a": 1}, b'{"tags":["two\\u0020words"],"meta":{"a":1}}'),
        (("vip",), {"a": "x" * LABELS_LIMIT}, b'{"tags":["vip"]}'),
        (("x" * LABELS_LIMIT,), {"a": 1}, b""),
        ((), {"a": "x" * LABELS_LIMIT}, b""),
    ],
)
def test_a_record_keeps_a_limited_size_of_tags_and_metadata(
    tags: tuple[str, ...], meta: dict[str, Any] | None, kept: bytes
) -> None:
    assert encode_labels(envelope(tags, meta)) == kept


def test_invalid_bytes_are_reported_as_not_a_result() -> None:
    times = bytes(12)
    wrong = (b"[]", b"", b"c", b"x" + times[1:], b"c" + times, b"c" + times + b"1", b"x" + times + b"\xff",
             b"z" + times,
             b"c" + times + b"soon n 1", b"c" + times + b'1 "n 1',
             b"c" + times + b'1 n{"tags": 1', b"c" + times + b'1 n{"tags":1} 1', b'{"state":"completed"}')  # fmt: skip
    for raw in wrong:
        with pytest.raises(StoreDataError, match="not a result"):
            decode_result(raw)
    with pytest.raises(StoreDataError, match="not a JSON object"):
        decode_json(b"[]")
