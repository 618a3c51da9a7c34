"""Constants that are written in both Lua and Python have the same values."""

import re
from pathlib import Path

import pytest

from jobpools.core.jobs.job import Disposition
from jobpools.core.jobs.policies import MAX_SCHEDULED
from jobpools.store import scripts
from jobpools.store.drain_locks import DRAINING_TTL
from jobpools.store.records import ENDED_AS, RECORD_HEAD_BYTES
from jobpools.store.script_arguments import CANCELLED_TTL, LETTERS
from jobpools.store.step import CLAIM_LIMIT

LUA = Path(scripts.__file__).with_name("lua")


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("_claim", "CLAIM_LIMIT", CLAIM_LIMIT),
        ("reschedule", "MAX_SCHEDULED", MAX_SCHEDULED),
        ("_settle", "CANCELLED_TTL", CANCELLED_TTL),
        ("drain", "DRAINING_TTL", DRAINING_TTL),
        ("_recorded", "HEAD_BYTES", RECORD_HEAD_BYTES),
        ("_taken", "HEAD_BYTES", RECORD_HEAD_BYTES),
    ],
)
def test_a_limit_is_the_same_in_lua_and_python(file: str, name: str, value: int) -> None:
    found = re.search(rf"^local {name} = (\d+)", (LUA / f"{file}.lua").read_text(), re.MULTILINE)
    assert found, f"{file}.lua does not define {name}"
    assert int(found[1]) == value


def test_settle_lua_knows_every_disposition_that_a_worker_sends() -> None:
    text = (LUA / "_settle.lua").read_text()
    known = set(re.findall(r"^function settle\.(\w+)|^settle\['(\w+)'\]", text, re.MULTILINE))
    assert {name or quoted for name, quoted in known} == set(map(str, Disposition)) - {"complete"}


def test_lua_and_python_use_the_same_letters_of_priorities() -> None:
    for name in ("enqueue", "replay", "fire"):
        letters = re.search(r"local ready = \{(.*)\}", scripts.get(name).source)
        assert letters
        assert re.findall(r"(\w) =", letters[1]) == list(LETTERS.values())


def test_lua_and_python_use_the_same_letters_in_records() -> None:
    letters = re.search(r"local STATES = \{(.*)\}", (LUA / "_recorded.lua").read_text())
    assert letters
    assert dict(re.findall(r"(\w) = '(\w+)'", letters[1])) == {
        letter.decode(): state for letter, state in ENDED_AS.items()
    }
