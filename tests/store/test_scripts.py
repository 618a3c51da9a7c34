"""Scripts are called as their headers say, use keys of one slot, and are sent again where they are unknown."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.crc import key_slot

from jobpools.store import keys, ledger, scripts
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.step import settle_and_claim
from jobpools.store.sync_connection import SyncConnection
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs, enqueue_jobs_sync

ROOT = Path(__file__).parents[2]
STORE = ROOT / "worker" / "jobpools" / "store"
FILES = sorted((STORE / "lua").glob("*.lua"))
SHARED = [path for path in FILES if path.stem.startswith("_")]
FIELDS = ("KEYS", "ARGV", "RETURNS", "CHANGES")
OTHER_KEYS = {
    "workers",
    "commands",
    "running",
    "settings",
    "specs",
    "state",
    "recent",
    "code",
    "disabled",
    "changes",
    "leader",
}
"""Keys that do not belong to a queue: those of heartbeats and schedules."""


def test_every_script_file_has_a_name() -> None:
    assert sorted(scripts.NAMES) == [path.stem for path in FILES if path not in SHARED]


@pytest.mark.parametrize("name", scripts.NAMES)
def test_a_header_names_the_keys_and_arguments_that_the_script_uses(name: str) -> None:
    text = (STORE / "lua" / f"{name}.lua").read_text()
    header = text[: re.search(r"^[^-]", text, re.MULTILINE).start()]  # type: ignore[union-attr]
    assert header.startswith(f"-- {name}: ")
    for field in FIELDS:
        assert re.search(rf"^-- {field}: \S", header, re.MULTILINE), f"{name}.lua does not say {field}"
    script = scripts.get(name)
    for argument in script.arguments:
        assert re.search(rf"\b{argument}\b", text[len(header) :]), f"{name}.lua does not use {argument}"
    for key in script.keys:
        part = key.replace("_", ":")
        assert part in keys.PARTS or key in OTHER_KEYS, f"keys.py knows no {key}"
        assert re.search(rf"\b{key}\b", script.source.split("\n", 2)[2]), f"{name}.lua does not use {key}"
    assert script.takes_more or "..." not in text.splitlines()[3]


@pytest.mark.parametrize("name", scripts.NAMES)
def test_a_header_names_the_shared_functions_that_the_script_uses(name: str) -> None:
    script = scripts.get(name)
    code = re.sub(r"--.*", "", script.source)
    for shared in SHARED:
        defined = re.findall(r"^local (?:function )?(\w+)", shared.read_text(), re.MULTILINE)
        for function in defined:
            if re.search(rf"\b{function}\s*[(\[]", code):
                assert re.search(rf"local (function )?{function}\b", code), f"{name}.lua USES no {shared.stem[1:]}"


@pytest.mark.parametrize("name", scripts.NAMES)
def test_a_call_with_a_wrong_number_of_arguments_is_refused(name: str) -> None:
    script = scripts.get(name)
    fitting = len(script.arguments)
    script.check(len(script.keys), fitting)
    wrong = [(len(script.keys) + 1, fitting), (len(script.keys) - 1, fitting)]
    wrong += [] if script.takes_more else [(len(script.keys), fitting + 1)]
    wrong += [(len(script.keys), fitting - 1)] if fitting else []
    for key_count, argument_count in wrong:
        with pytest.raises(TypeError, match=f"^{name}.lua takes {len(script.keys)} keys and"):
            script.check(key_count, argument_count)
    if script.takes_more:
        script.check(len(script.keys), fitting + 100)


async def test_a_wrong_call_is_not_sent(store: Connection, sync_store: SyncConnection) -> None:
    with pytest.raises(TypeError, match=re.escape("drain.lua takes 2 keys and 1 arguments, not 2 and 2")):
        await store.call("drain", QUEUE, ["worker", "more"])
    with pytest.raises(TypeError, match=re.escape("renew.lua takes 12 keys and 2+ arguments, not 12 and 1")):
        sync_store.call("renew", QUEUE, [""])
    with pytest.raises(TypeError):
        await store.call_keys(scripts.get("drain"), [], ["worker"])


@pytest.mark.parametrize("name", scripts.NAMES)
def test_the_keys_of_a_script_are_in_one_slot(name: str) -> None:
    script = scripts.get(name)
    if not set(script.keys) & OTHER_KEYS:
        slots = {key_slot(key.encode()) for key in keys.for_script(QUEUE, script.keys)}
        assert slots == {key_slot(QUEUE.encode())}


def test_all_keys_of_a_queue_and_those_of_the_schedules_are_in_one_slot_each() -> None:
    assert len({key_slot(keys.of_queue("a", part).encode()) for part in keys.PARTS}) == 1
    assert len({key_slot(keys.schedules(part).encode()) for part in keys.SCHEDULE_PARTS}) == 1
    assert key_slot(keys.of_queue("a", "jobs").encode()) != key_slot(keys.of_queue("b", "jobs").encode())


def test_only_keys_py_spells_out_keys() -> None:
    """Only keys.py has the beginning of a key."""
    for path in sorted((ROOT / "worker").rglob("*.py")) + sorted((ROOT / "operator").rglob("*.py")):
        spelt = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        named = [value for value in spelt if isinstance(value, str) and value.startswith("jobpools:{")]
        assert not named or path.name == "keys.py", f"{path.relative_to(ROOT)}: {named}"
    for path in FILES:
        assert "jobpools:" not in path.read_text(), f"{path.name} names a key"


async def commands(store: Connection, raw: Redis, send: Send) -> list[Any]:
    """Make one call of each kind, each on a server without scripts, and return the replies."""
    seen: list[Any] = []
    raw.script_flush()
    seen.append(await enqueue_jobs(store, [send("a"), send("b")]))
    raw.script_flush()
    seen.append((await read_endpoint(store, {"default/shop": [QUEUE]})).queues)
    raw.script_flush()
    seen.append((await ledger.read(store, [QUEUE]))[QUEUE].ready)
    raw.script_flush()
    reply = await settle_and_claim(store, QUEUE, "w.1", claim=2, lease_suffix=":w.1:0000000001", lease_ms=1000)
    seen.append(reply.ids)
    return seen


async def test_scripts_that_the_server_does_not_know_are_sent_again(store: Connection, raw: Redis, job: Send) -> None:
    accepted, facts, ready, ids = await commands(store, raw, job)
    assert accepted == [True, True]
    assert [each.queued for each in facts.values()] == [2]
    assert ready == 2
    assert ids == [b"a", b"b"]


def test_scripts_are_sent_again_by_blocking_connections(sync_store: SyncConnection, raw: Redis, job: Send) -> None:
    for name in ("a", "b"):
        raw.script_flush()
        assert enqueue_jobs_sync(sync_store, [job(name)]) == [True]


async def test_reading_takes_one_round_trip(store: Connection, raw: Redis) -> None:
    pools = {"default/shop": [f"queue{number}" for number in range(50)]}
    await read_endpoint(store, pools)
    before = raw.info("commandstats")
    await read_endpoint(store, pools)
    after = raw.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 50
    assert after.get("cmdstat_script|load") == before.get("cmdstat_script|load")
