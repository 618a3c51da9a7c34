"""A history is decoded as it was encoded, and its size is bounded."""

import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.jobs.job import HISTORY_BYTES, AttemptRecord, History, OutcomeKind
from jobpools.errors import StoreDataError
from jobpools.store.history import decode_history, encode_history, read_history

texts = st.text(st.characters(codec="utf-8"), max_size=20)


seconds = st.floats(0, 4e9)


attempts = st.builds(
    AttemptRecord,
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
@given(histories)
def test_a_history_is_decoded_as_it_was_encoded(history: History) -> None:
    assert decode_history(encode_history(history)) == history


def test_a_history_holds_text_that_utf8_cannot_encode() -> None:
    # Half a character, as os.fsdecode makes them of a file name that is not UTF-8.
    odd, attempt = (
        "no file a\udcff",
        AttemptRecord(1, OutcomeKind.FAILED, 1.0, message="no file a\udcff", traceback="a\udcff"),
    )
    found = decode_history(encode_history(History(1, 0, (attempt,), note=odd)))
    assert found.note == found.entries[0].message == "no file a\\udcff"
    assert found.entries[0].traceback == "a\\udcff"


def test_a_missing_history_is_empty_and_an_invalid_one_an_error() -> None:
    assert decode_history(None) == decode_history(b"") == History()
    with pytest.raises(StoreDataError, match="not a history"):
        decode_history(b"[]")
    assert read_history(b"[]").note.startswith("not a history")


@pytest.mark.parametrize(
    "text", ["x" * 8000, "\x00" * 8000, "ü" * 8000, "\ud800" * 8000], ids=["ascii", "control", "umlauts", "surrogates"]
)
def test_a_history_is_bounded_in_bytes_however_a_job_fails(text: str) -> None:
    attempts_made = tuple(AttemptRecord(number, OutcomeKind.FAILED, 1.0, text, text, text) for number in range(20))
    encoded = encode_history(History(attempts=20, entries=attempts_made, note=text))
    assert len(encoded) <= HISTORY_BYTES
    found = decode_history(encoded)
    assert (found.attempts, found.entries[-1].attempt) == (20, 19)


def test_tracebacks_of_older_attempts_are_removed_first() -> None:
    attempts_made = tuple(AttemptRecord(number, OutcomeKind.FAILED, 1.0, "E", "m", "t" * 7000) for number in range(3))
    found = decode_history(encode_history(History(attempts=3, entries=attempts_made)))
    assert [bool(each.traceback) for each in found.entries] == [False, True, True]
