"""The type and the message of an exception, also of one whose own code raises."""

import pytest

from jobpools.core.text.error_text import error_message, error_type, first_line


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (MuteError(), "MuteError"),
        ("one\r\ntwo", "one"),
        ("", ""),
    ],
)
def test_the_first_line(source: BaseException | str, line: str) -> None:
    assert first_line(source) == line


def test_a_message_is_one_line() -> None:
    assert error_message(ValueError("one\n  two")) == "one two"
    assert error_message(MuteError()) == "no message: its __str__ raised RuntimeError"


def test_a_group_names_its_first_error() -> None:
    group = ExceptionGroup("two failed", [ExceptionGroup("inner", [KeyError("a")]), ValueError("b")])
    assert error_message(group) == "two failed (2 sub-exceptions): KeyError: 'a'"


def test_a_type_has_its_module_unless_it_is_a_builtin() -> None:
    assert error_type(ValueError()) == "ValueError"
    assert error_type(MuteError()).endswith("test_error_text.MuteError")
