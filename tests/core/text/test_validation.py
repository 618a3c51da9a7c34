"""Messages of validation errors: each type of error that a spec or a setting can have."""

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from jobpools.core.text.names import NAME_PATTERN
from jobpools.core.text.validation import SHOWN, explain, requirement


def _refuse(_value: Any) -> Any:
    raise ValueError("is beyond the calendar\nand this line is not shown")


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    integer: int = 1
    number: float = Field(default=1.0, gt=0, lt=10)
    limited: int = Field(default=1, ge=1, le=3)
    name: str = Field(default="a", pattern=NAME_PATTERN)
    digits: str = Field(default="1", pattern="^[0-9]+$")
    text: str = Field(default="abc", min_length=2, max_length=4)
    flag: bool = False
    items: list[int] = Field(default=[1], min_length=1, max_length=2)
    table: dict[str, int] = {}
    mode: Literal["text", "json"] = "text"
    at: AwareDatetime | None = None
    own: Annotated[int, AfterValidator(_refuse)] = 1


def problem(**given: Any) -> Any:
    """Return the first error of a value."""
    with pytest.raises(ValidationError) as caught:
        Model(**given)
    return caught.value.errors(include_url=False)[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"integer": "five"}, 'must be an integer, got "five"'),
        ({"integer": 1.5}, "must be an integer, got 1.5"),
        ({"integer": None}, "must be an integer, got null"),
        ({"number": "x"}, 'must be a number, got "x"'),
        ({"number": 0}, "must be greater than 0, got 0"),
        ({"number": 10}, "must be less than 10, got 10"),
        ({"limited": 0}, "must be at least 1, got 0"),
        ({"limited": 4}, "must be at most 3, got 4"),
        ({"name": "A"}, 'must be lower-case letters, digits and - between them, as in emails-2, got "A"'),
        ({"digits": "a"}, 'must be text that matches ^[0-9]+$, got "a"'),
        ({"text": "a"}, 'must be at least 2 characters long, got "a"'),
        ({"text": "abcde"}, 'must be at most 4 characters long, got "abcde"'),
        ({"text": 5}, "must be text, got 5"),
        ({"flag": "perhaps"}, 'must be true or false, got "perhaps"'),
        ({"items": 5}, "must be a list, got 5"),
        ({"items": []}, "must have 1 or more items, got []"),
        ({"items": [1, 2, 3]}, "must have 2 or fewer items, got [1, 2, 3]"),
        ({"table": [1]}, "must be a mapping, got [1]"),
        ({"mode": "yaml"}, "must be 'text' or 'json', got \"yaml\""),
        ({"at": datetime(2027, 1, 1)}, 'must be a time with its offset, as in 2027-01-01T00:00:00Z, got "2027-'),  # noqa: DTZ001  # the mistake
        ({"own": 2}, "is beyond the calendar"),
        ({"other": 2}, "unknown key"),
    ],
)
def test_each_error_says_what_is_expected_and_what_was_given(given: dict[str, Any], message: str) -> None:
    assert explain(problem(**given)).startswith(message)


def test_a_missing_value() -> None:
    assert explain({"type": "missing", "input": {}, "msg": "Field required"}) == "is missing"


def test_a_long_value_is_cut() -> None:
    assert explain(problem(integer="x" * 1000)).endswith(f'"{"x" * (SHOWN - 1)}…')


def test_the_requirement_leaves_the_value_out() -> None:
    assert requirement(problem(integer="secret")) == "must be an integer"


def test_an_error_of_another_type_keeps_its_first_line() -> None:
    unknown: dict[str, Any] = {"type": "shop_error", "input": 1, "msg": "no such product\nsee the catalogue", "ctx": {}}
    assert requirement(unknown) == "no such product"
