"""The language of the glossary: retired words do not come back, and docstrings say what a thing does or is."""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.architecture import language

BASELINE = Path(__file__).with_name("language_baseline.json")


def test_retired_words_and_vague_docstrings_do_not_come_back() -> None:
    """`language_baseline.json` allows a number of violations for each rule, which may only become smaller."""
    allowed = json.loads(BASELINE.read_text())
    places = language.places()
    counts = Counter(place.rule for place in places)
    too_many = {rule for rule, count in counts.items() if count > allowed.get(rule, 0)}
    report = "\n".join(str(place) for place in places if place.rule in too_many)
    assert not too_many, (
        f"see docs/glossary.md; allowed { {rule: allowed.get(rule, 0) for rule in too_many} }:\n{report}"
    )


@pytest.mark.parametrize(
    ("prose", "rule"),
    [
        ("Whoever enqueues waits.", "whoever"),
        ("'urgent' is none: write high", "is none"),
        ("'0' is no number", "is no"),
        ("it sits\nout its lease", "sits out"),
        ("There is no worker; it is no longer ready; where there is none", None),
        ("The second value is None.", None),
        ("The `lane` of BullMQ", None),
        ("a planet's lanes", "lanes"),
        ("airplane", None),
    ],
)
def test_a_retired_word_in_prose_is_found(prose: str, rule: str | None) -> None:
    found = [place.rule for place in language.in_prose("x.md", prose, language.retired())]
    assert found == ([rule] if rule else [])


def test_a_retired_word_in_a_name_is_found() -> None:
    code = "class LaneView:\n    def tail_of(self, roster):\n        self.heir = airplane = heartbeat = 1\n"
    found = language.in_python("worker/x.py", ast.parse(code), language.retired())
    assert [place.rule for place in found if "name" in place.rule] == [
        "name: lane", "name: tail", "name: roster", "name: heir",
    ]  # fmt: skip


@pytest.mark.parametrize("summary", ["Return the delay.", "Process the batch.", "Feed the loop.", "Wait for the end."])
def test_an_imperative_is_recognised(summary: str) -> None:
    assert language.is_imperative(summary)


@pytest.mark.parametrize(
    "summary", ["The delay.", "Returns the delay.", "What is left.", "`x` as bytes.", "Waiting.", "Seconds to wait."]
)
def test_another_sentence_is_not_taken_for_an_imperative(summary: str) -> None:
    assert not language.is_imperative(summary)
