"""An envelope is decoded as it was encoded; one of a newer version is left alone."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.jobs.retry import Retry
from jobpools.errors import StoreDataError
from jobpools.store.envelope import (
    ENVELOPE_VERSION,
    Envelope,
    NewerVersionError,
    decode_envelope,
    encode_envelope,
    enqueued_at,
)
from jobpools.store.job_ids import ID_LIMIT, new_id

texts = st.text(st.characters(codec="utf-8"), max_size=20)


seconds = st.floats(0, 4e9)


ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=ID_LIMIT)


retries = st.builds(Retry, max_attempts=st.integers(1, 99), initial=st.floats(0, 9), strategy=st.sampled_from(["none", "fixed", "exponential"]))  # noqa: E501  # fmt: skip


envelopes = st.builds(
    Envelope,
    v=st.just(ENVELOPE_VERSION),
    id=ids,
    name=texts,
    queue=texts,
    args=st.dictionaries(texts, st.one_of(texts, st.integers(), st.booleans(), st.none())).map(
        lambda args: msgspec.Raw(json.dumps(args).encode())
    ),
    priority=st.sampled_from(["high", "normal", "low"]),
    timeout=st.none() | seconds,
    retry=st.none() | retries,
    ttl=st.none() | seconds,
    max_crashes=st.none() | st.integers(1, 9),
    tags=st.lists(texts, max_size=3).map(tuple),
    enqueued=st.none() | seconds,
    meta=st.none() | st.dictionaries(texts, st.one_of(texts, st.integers(), st.lists(st.booleans())), min_size=1),
)


@settings(max_examples=50)
@given(envelopes)
def test_an_envelope_is_decoded_as_it_was_encoded(envelope: Envelope) -> None:
    found = decode_envelope(encode_envelope(envelope))
    assert json.loads(bytes(found.args)) == json.loads(bytes(envelope.args))
    found.args = envelope.args
    assert found == envelope


def test_an_envelope_omits_defaults() -> None:
    envelope = Envelope(1, "a", "send", "emails", msgspec.Raw(b'{"to":"ada"}'))
    assert encode_envelope(envelope) == b'{"v":1,"id":"a","name":"send","queue":"emails","args":{"to":"ada"}}'


def test_an_unknown_field_is_ignored() -> None:
    found = decode_envelope(b'{"v":1,"id":"a","name":"send","queue":"emails","args":{},"colour":"red"}')
    assert found.name == "send"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"v":2,"id":"a","name":"send","queue":"emails","args":{}}',
        b'{"v":2}',
        b'{"v":7,"id":["b"],"args":5}',
        b'{"v":2,"id":"a","name":"send","queue":"emails","args":{},"priority":"urgent"}',
    ],
)
def test_a_newer_version_is_reported_as_newer(raw: bytes) -> None:
    with pytest.raises(NewerVersionError, match="this jobpools reads up to 1; upgrade the workers"):
        decode_envelope(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b'{"v":1}',
        b'{"v":"1","id":"a","name":"send","queue":"emails","args":{}}',
        b'{"v":1,"id":"a","name":"send","queue":"emails","args":{},"priority":"urgent"}',
        b'{"v":1,"id":"a","name":"send","queue":"emails","args":{},"timeout":"soon"}',
        b'{"v":1,"id":"a","name":"send","queue":"emails","args":{},"retry":{"max_attempts":0}}',
        b'\xff{"v":1}',
    ],
)
def test_invalid_bytes_are_reported_as_not_an_envelope(raw: bytes) -> None:
    with pytest.raises(StoreDataError, match="not an envelope") as raised:
        decode_envelope(raw)
    assert not isinstance(raised.value, NewerVersionError)
    assert "\n" not in str(raised.value), "one line"


def test_a_value_that_is_not_json_cannot_be_encoded() -> None:
    with pytest.raises(NotImplementedError):
        encode_envelope(Envelope(1, "a", "send", "emails", msgspec.Raw(b"{}"), tags=(object(),)))  # type: ignore[arg-type]  # on purpose


def test_the_time_of_enqueueing_is_in_the_id_or_the_envelope() -> None:
    def at(job_id: str, **more: Any) -> float:
        return enqueued_at(Envelope(1, job_id, "n", "q", msgspec.Raw(b"{}"), **more))

    assert at(new_id(1000.5, bytes(10))) == 1000.5
    assert at("own", enqueued=7.0) == 7.0
    assert at("own") == 0
