"""The hint after a mistyped word."""

from jobpools.core.text.did_you_mean import KNOWN_SHOWN, did_you_mean


def test_the_closest_word_is_named() -> None:
    assert did_you_mean("emial", ["email", "report"]) == "; did you mean email?"
    assert did_you_mean("EMAIL", ["Email", "report"]) == "; did you mean Email?"


def test_without_a_close_word_the_known_ones_are_listed() -> None:
    assert did_you_mean("x", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("x", []) == ""
    many = [f"word{number:02}" for number in range(20)]
    assert did_you_mean("x", many).count("word") == KNOWN_SHOWN
