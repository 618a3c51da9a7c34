"""The companion command of `jobpools up --with`."""

import pytest

from jobpools.errors import ConfigurationError
from jobpools.local.companion import display_name, parse_command_line


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("python -m shop.day", "shop.day"),
        ("python3.13 -u -m shop.day --fast", "shop.day"),
        ("/usr/bin/python tools/send.py 3", "send.py"),
        ("python -c 'print(1)'", "python"),
        ("sh -c 'a; b'", "sh"),
    ],
)
def test_the_display_name_of_a_command(text: str, name: str) -> None:
    assert display_name(parse_command_line(text)) == name


@pytest.mark.parametrize("text", ["", "  ", "sh -c 'a"])
def test_an_empty_or_unfinished_command_line_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--with"):
        parse_command_line(text)
