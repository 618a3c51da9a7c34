"""A number with its noun."""

import pytest

from jobpools.core.text.plurals import count_of


@pytest.mark.parametrize(("number", "text"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs")])
def test_the_noun_follows_the_number(number: int, text: str) -> None:
    assert count_of(number, "job") == text


def test_a_plural_of_its_own() -> None:
    assert [count_of(number, "crash", "crashes") for number in (1, 3)] == ["1 crash", "3 crashes"]
