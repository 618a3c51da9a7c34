"""A cursor is opaque, belongs to one filter, and a damaged one is refused."""

import re

import pytest
from hypothesis import given, strategies as st

from jobpools.store.search_cursor import SearchCursor, decode_cursor

POSITIONS = st.one_of(
    st.none(),
    st.tuples(st.integers(0, 10**9), st.text()).map(list),
    st.dictionaries(st.text(st.characters(min_codepoint=48, max_codepoint=57)), st.lists(st.integers() | st.text())),
)


@given(examined=st.integers(0, 10**9), queue=st.text(), position=POSITIONS)
def test_a_cursor_is_read_as_it_was_written(examined: int, queue: str, position: object) -> None:
    cursor = SearchCursor("abc", 1.5, examined, queue, "dead", position)
    text = cursor.encode()
    assert re.fullmatch(r"[-_A-Za-z0-9]+", text)
    assert decode_cursor(text, "abc") == cursor
    with pytest.raises(ValueError, match="it belongs to another filter"):
        decode_cursor(text, "abd")
    for damaged in (text[:-4], text[1:], f"A{text}", "", "?"):
        with pytest.raises(ValueError, match="it is damaged"):
            decode_cursor(damaged, "abc")
