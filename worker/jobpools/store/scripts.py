"""The Lua scripts, called by name. A script's header is its contract: this module reads KEYS, ARGV and USES from it.

The named keys and arguments become local variables of the script; `...` in ARGV is the part without names. `USES` puts
shared functions (the files whose names begin with an underscore) before the script.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NAMES = (
    "enqueue",
    "step",
    "renew",
    "extend",
    "rescue",
    "drain",
    "cancel",
    "replay",
    "purge",
    "facts",
    "heartbeat",
    "states",
    "adopt",
    "fire",
    "record",
    "wait",
)

_FOLDER = Path(__file__).with_name("lua")
"""Not by importlib.resources: that imports modules at its first use, which a fork of another thread may cut short."""


@dataclass(frozen=True, slots=True)
class Script:
    """One atomic step."""

    name: str
    source: str
    """What the server runs: the file with its header's names as variables."""
    sha: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...]
    rest: bool
    """More arguments may follow the named ones."""

    def check(self, keys: int, arguments: int) -> None:
        """Raises TypeError when a call does not fit the header."""
        fits = arguments >= len(self.arguments) if self.rest else arguments == len(self.arguments)
        if keys != len(self.keys) or not fits:
            raise TypeError(
                f"{self.name}.lua takes {len(self.keys)} keys and {len(self.arguments)}{'+' if self.rest else ''} "
                f"arguments, not {keys} and {arguments}"
            )


def _file(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text()


def _header(text: str, field: str) -> list[str]:
    found = re.search(rf"^-- {field}: (.*)$", text, re.MULTILINE)
    return found.group(1).split() if found else []


def _locals(names: tuple[str, ...], table: str) -> str:
    if not names:
        return ""
    return f"local {', '.join(names)} = {', '.join(f'{table}[{i}]' for i in range(1, len(names) + 1))}\n"


@cache
def get(name: str) -> Script:
    """The script of this name, read once."""
    text = _file(name)
    keys, arguments = tuple(_header(text, "KEYS")), _header(text, "ARGV")
    rest = "..." in arguments
    named = tuple(argument for argument in arguments if argument != "...")
    parts = [_file(f"_{part}") for part in _header(text, "USES")]
    source = _locals(keys, "KEYS") + _locals(named, "ARGV") + "\n".join([*parts, text])
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, sha, keys, named, rest)
