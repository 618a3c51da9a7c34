"""What goes to Redis comes back the same; what a newer version wrote is left alone."""

import json
import time
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.jobs.job import HISTORY_BYTES, Attempt, History, JobState, OutcomeKind
from jobpools.core.jobs.retry import Retry
from jobpools.errors import StoreDataError
from jobpools.store import draws
from jobpools.store.envelope import (
    ENVELOPE_VERSION,
    Envelope,
    NewerVersionError,
    decode_envelope,
    encode_envelope,
    enqueued_at,
)
from jobpools.store.history import decode_history, encode_history, read_history
from jobpools.store.job_ids import ID_LIMIT, check_id, id_time, new_id
from jobpools.store.json_objects import decode_json
from jobpools.store.lease_ids import claim_suffix, split_lease_id
from jobpools.store.records import completed_record, decode_result

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
)
attempts = st.builds(
    Attempt,
    attempt=st.integers(1, 99),
    outcome=st.sampled_from(OutcomeKind),
    at=seconds,
    error=texts,
    message=texts,
    traceback=texts,
    delay=st.none() | seconds,
    worker=texts,
)
histories = st.builds(
    History,
    attempts=st.integers(0, 99),
    crashes=st.integers(0, 9),
    entries=st.lists(attempts, max_size=3).map(tuple),
    note=texts,
)


@settings(max_examples=50)
@given(envelopes)
def test_an_envelope_comes_back(envelope: Envelope) -> None:
    found = decode_envelope(encode_envelope(envelope))
    assert json.loads(bytes(found.args)) == json.loads(bytes(envelope.args))
    found.args = envelope.args
    assert found == envelope


@settings(max_examples=50)
@given(histories)
def test_a_history_comes_back(history: History) -> None:
    assert decode_history(encode_history(history)) == history


def test_a_history_holds_whatever_an_error_said() -> None:
    # Half a character, as os.fsdecode makes them of a file name that is not UTF-8.
    odd, attempt = (
        "no file a\udcff",
        Attempt(1, OutcomeKind.FAILED, 1.0, message="no file a\udcff", traceback="a\udcff"),
    )
    found = decode_history(encode_history(History(1, 0, (attempt,), note=odd)))
    assert found.note == found.entries[0].message == "no file a\\udcff"
    assert found.entries[0].traceback == "a\\udcff"


def test_no_history_is_an_empty_one() -> None:
    assert decode_history(None) == decode_history(b"") == History()
    with pytest.raises(StoreDataError, match="not a history"):
        decode_history(b"[]")
    assert read_history(b"[]").note.startswith("not a history")


def test_a_small_envelope_says_only_what_is_not_usual() -> None:
    envelope = Envelope(1, "a", "send", "emails", msgspec.Raw(b'{"to":"ada"}'))
    assert encode_envelope(envelope) == b'{"v":1,"id":"a","name":"send","queue":"emails","args":{"to":"ada"}}'


def test_what_a_later_version_one_might_add_is_ignored() -> None:
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
def test_a_newer_version_is_said_to_be_one(raw: bytes) -> None:
    with pytest.raises(NewerVersionError, match="this jobpools reads up to 1: upgrade the workers"):
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
def test_what_is_no_envelope_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(StoreDataError, match="not an envelope") as raised:
        decode_envelope(raw)
    assert not isinstance(raised.value, NewerVersionError)
    assert "\n" not in str(raised.value), "one line"


def test_an_argument_of_no_json_has_no_place() -> None:
    with pytest.raises(NotImplementedError):
        encode_envelope(Envelope(1, "a", "send", "emails", msgspec.Raw(b"{}"), tags=(object(),)))  # type: ignore[arg-type]  # on purpose


# Ids


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


def test_ids_of_later_jobs_sort_behind() -> None:
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
def test_what_cannot_be_an_id(own: str) -> None:
    with pytest.raises(ValueError, match="cannot be an id: 1 to 200 printable ASCII"):
        check_id(own)


@settings(max_examples=100)
@given(ids, st.integers(0, 10**10 - 1))
def test_a_lease_says_whose_it_is(job_id: str, number: int) -> None:
    assert check_id(job_id) == job_id
    lease_suffix = claim_suffix("web-1.aa", number)
    assert split_lease_id(job_id + lease_suffix) == (job_id, "web-1.aa")
    assert len(lease_suffix) == len(claim_suffix("web-1.aa", 0)), "step.lua cuts it off by its length"


def test_when_it_was_enqueued() -> None:
    def at(job_id: str, **more: Any) -> float:
        return enqueued_at(Envelope(1, job_id, "n", "q", msgspec.Raw(b"{}"), **more))

    assert at(new_id(1000.5, bytes(10))) == 1000.5
    assert at("own", enqueued=7.0) == 7.0
    assert at("own") == 0


@pytest.mark.parametrize(
    "text", ["x" * 8000, "\x00" * 8000, "ü" * 8000, "\ud800" * 8000], ids=["ascii", "control", "umlauts", "surrogates"]
)
def test_a_history_is_bounded_in_bytes_however_a_job_fails(text: str) -> None:
    attempts_made = tuple(Attempt(number, OutcomeKind.FAILED, 1.0, text, text, text) for number in range(20))
    encoded = encode_history(History(attempts=20, entries=attempts_made, note=text))
    assert len(encoded) <= HISTORY_BYTES
    found = decode_history(encoded)
    assert (found.attempts, found.entries[-1].attempt) == (20, 19)


def test_tracebacks_of_older_attempts_go_first() -> None:
    attempts_made = tuple(Attempt(number, OutcomeKind.FAILED, 1.0, "E", "m", "t" * 7000) for number in range(3))
    found = decode_history(encode_history(History(attempts=3, entries=attempts_made)))
    assert [bool(each.traceback) for each in found.entries] == [False, True, True]


# Results


@settings(max_examples=50)
@given(st.one_of(texts, st.integers(-(2**53), 2**53), st.none(), st.lists(texts, max_size=3)))
def test_a_result_comes_back(value: Any) -> None:
    record = completed_record('shop "x"', msgspec.json.encode(value), 0.25)
    found = decode_result(b"c" + (12_500).to_bytes(6) + (1_500).to_bytes(6) + record)
    assert (found.state, found.at, found.until, found.ms) == (JobState.COMPLETED, 12.5, 14, 250)
    assert found.name == 'shop "x"'
    assert msgspec.json.decode(bytes(found.result)) == value


def test_what_is_no_result_is_said_to_be_none() -> None:
    times = bytes(12)
    wrong = (b"[]", b"", b"c", b"x" + times[1:], b"c" + times, b"c" + times + b"1", b"x" + times + b"1 n 1",
             b"z" + times,
             b"c" + times + b"soon n 1", b"c" + times + b'1 "n 1', b'{"state":"completed"}')  # fmt: skip
    for raw in wrong:
        with pytest.raises(StoreDataError, match="not a result"):
            decode_result(raw)
    with pytest.raises(StoreDataError, match="not a JSON object"):
        decode_json(b"[]")
