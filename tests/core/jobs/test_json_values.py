"""Values that JSON cannot hold: the part that is wrong, and what to use instead."""

import math
from typing import Any

import pytest

from jobpools.core.jobs.json_values import MAX_DEPTH, JsonValueError, decode, encode, find_problem


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [None, 1, 1.5, "text", [1, "a"], {"a": {"b": [True]}}, nested(100)])
def test_a_plain_value_is_read_back_equal(value: Any) -> None:
    assert decode(encode(value)) == value
    assert find_problem(value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"data": b"\xff"}, "data: bytes that are not UTF-8 text; send them as base64 text"),
        ({"items": [0, math.nan]}, "items.1: nan has no JSON and would be read back as 'NaN'"),
        ({"text": "\ud800"}, "text: text with half of a surrogate pair; clean it"),
        ({"keys": {1: "a", "1": "b"}}, "keys: two of its keys are the same text in JSON; use text keys"),
        (nested(MAX_DEPTH + 2), "nested more than 199 levels deep, or contains itself; flatten it"),
    ],
)
def test_the_wrong_part_is_named(value: Any, message: str) -> None:
    with pytest.raises(JsonValueError) as caught:
        encode(value)
    assert message in str(caught.value)


def test_a_path_begins_with_the_name_of_the_value() -> None:
    with pytest.raises(JsonValueError, match=r"^result\.a: "):
        encode({"a": b"\xff"}, ("result",))
