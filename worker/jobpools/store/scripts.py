"""The Lua scripts, called by name. A script's header is its contract: this module reads KEYS, ARGV and USES from it.

The named keys and arguments become local variables of the script; `...` in ARGV stands for arguments without names.
Files whose names begin with an underscore hold shared functions. `USES` puts them before the script. A line
`-- INCLUDE: NAMES` is replaced by them: in a branch that few calls take, it saves the other calls about 0.3 µs for each
function. The header of a shared file says what it needs: local variables, functions of other files, and keys.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jobpools.store import keys

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
    "run_now",
    "reschedule",
    "delete",
    "facts",
    "heartbeat",
    "command",
    "states",
    "adopt",
    "fire",
    "record",
    "remember",
    "schedule",
    "unschedule",
    "lead",
    "wait",
    "policy",
    "measure",
)

_FOLDER = Path(__file__).with_name("lua")
"""The scripts' folder. importlib.resources is not used: its first use imports modules, and a fork in another thread may
interrupt that."""


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script, which the server runs atomically."""

    name: str
    source: str
    """What the server runs: the file with its header's names as variables."""
    sha: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...]
    takes_more: bool
    """Whether more arguments may follow the named ones."""

    def command(self, key_names: Sequence[str], arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Return the command that calls the script, which the server must know. Raises TypeError as `check` does."""
        self.check(len(key_names), len(arguments))
        return ("EVALSHA", self.sha, len(key_names), *key_names, *arguments)

    def with_source(self, command: Sequence[Any]) -> tuple[Any, ...]:
        """Return the same call for a server that does not know the script yet, and knows it from then on."""
        return ("EVAL", self.source, *command[2:])

    def check(self, key_count: int, argument_count: int) -> None:
        """Raise TypeError when a call does not match the header."""
        wanted = len(self.arguments)
        matches = argument_count >= wanted if self.takes_more else argument_count == wanted
        if key_count != len(self.keys) or not matches:
            raise TypeError(
                f"{self.name}.lua takes {len(self.keys)} keys and {wanted}{'+' if self.takes_more else ''} "
                f"arguments, not {key_count} and {argument_count}"
            )


def queue_command(name: str, queue: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return the command that calls a script on one queue's keys. Raises TypeError where the header differs."""
    script = get(name)
    return script.command(keys.for_script(queue, script.keys), arguments)


def _file(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text()


def _header(text: str, field: str) -> list[str]:
    found = re.search(rf"^-- {field}: (.*)$", text, re.MULTILINE)
    return found.group(1).split() if found else []


def _locals(names: tuple[str, ...], table: str) -> str:
    if not names:
        return ""
    return f"local {', '.join(names)} = {', '.join(f'{table}[{i}]' for i in range(1, len(names) + 1))}\n"


def _shared(names: Sequence[str]) -> str:
    """Return the text of shared files, with what their INCLUDE lines name."""
    return "\n".join(_with_included(_file(f"_{name}")) for name in names)


def _with_included(text: str) -> str:
    return re.sub(r"^ *-- INCLUDE: (.*)$", lambda line: _shared(line.group(1).split()), text, flags=re.MULTILINE)


@cache
def get(name: str) -> Script:
    """Return the script of this name, read once."""
    text = _file(name)
    key_names, arguments = tuple(_header(text, "KEYS")), _header(text, "ARGV")
    named = tuple(argument for argument in arguments if argument != "...")
    shared = _shared(_header(text, "USES"))
    source = _locals(key_names, "KEYS") + _locals(named, "ARGV") + shared + "\n" + _with_included(text)
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, sha, key_names, named, takes_more="..." in arguments)
