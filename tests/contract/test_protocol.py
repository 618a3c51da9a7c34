"""docs/protocol.md is true: its example enqueues, its user may do what is needed, its tables are the headers'."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest
from redis import Redis

from jobpools import App
from jobpools.core.jobs.job import JobState
from jobpools.errors import StoreAuthError
from jobpools.settings import DEFAULT_MAX_PAYLOAD
from jobpools.store import keys, scripts
from jobpools.store.enqueue import BATCH
from jobpools.store.envelope import Envelope
from jobpools.store.job_ids import ID_LIMIT
from jobpools.store.records import decode_result
from jobpools.testing import run_until_idle
from tests.contract.conftest import PROTOCOL, Endpoints, acl_line
from tests.support.servers import redis_cli

ROOT = Path(__file__).parents[2]
TEXT = PROTOCOL.read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    below = re.split(r"\n###? ", TEXT.split(f"\n## {heading}\n", 1)[1])[0]
    rows = [line for line in below.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows[1:]]


def example() -> str:
    """The shell command that enqueues."""
    found = re.search(r"```sh\n(redis-cli .*?)```", TEXT, re.DOTALL)
    assert found, "the example is there"
    return found.group(1)


def test_the_published_script_is_the_one_in_use() -> None:
    published = (ROOT / "docs" / "enqueue.lua").read_text()
    fresh = scripts.get("enqueue").source
    assert published == fresh, "docs/enqueue.lua is stale: make generate"


@pytest.mark.parametrize("kind", ["valkey", "redis", "acl"])
async def test_the_example_enqueues_and_a_worker_runs_it(endpoints: Endpoints, kind: str) -> None:
    cli = redis_cli()
    if cli is None:
        assert not os.environ.get("CI"), "redis-cli is missing, and with CI=true nothing may be left out"
        pytest.skip("no redis-cli: apt-get install redis-tools")
    endpoint = endpoints.get(kind)
    endpoint.empty()
    app = App("shop", redis=endpoint.url)

    @app.job(queue="emails")
    async def order_confirmation(to: str) -> str:
        return f"sent to {to}"

    def send() -> str:
        environment = {"REDIS_URL": endpoint.url, "PATH": f"{Path(cli).parent}:/usr/bin:/bin"}
        done = subprocess.run(["bash", "-c", example()], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: E501  # fmt: skip
        return done.stdout.strip()

    async with app:
        assert await asyncio.to_thread(send) == "1"
        assert await asyncio.to_thread(send) == "0", "the second one is known already"
        job = app.handle("order-1042", queue="emails")
        assert await job.state() is JobState.QUEUED
        await run_until_idle(app)
        assert await job.result() == "sent to ada@example.com"
        with Redis.from_url(endpoint.url) as redis:
            result = redis.hget("jobpools:{emails}:results", "order-1042")
            assert result is not None
            assert decode_result(result).state == "completed"


def test_every_script_is_in_the_table_as_its_header_says() -> None:
    rows = {row[0].strip("`"): row[1:3] for row in table("Scripts")}
    assert list(rows) == list(scripts.NAMES)
    for name, (named_keys, arguments) in rows.items():
        script = scripts.get(name)
        assert named_keys.split() == list(script.keys), name
        assert arguments.split() == [*script.arguments, *(["…"] if script.takes_more else [])], name


def test_every_key_is_in_the_table_with_its_type() -> None:
    documented = {part: row[1] for row in table("Keys") for part in re.findall(r"`([a-z:]+)`", row[0])}
    words = {"hash": "hash", "list": "list", "set": "set", "zset": "sorted set"}
    assert documented == {part: words[keys.kind(part)] for part in keys.PARTS}


def test_every_field_of_an_envelope_is_in_the_table() -> None:
    assert [row[0].strip("`") for row in table("The envelope")] == list(Envelope.__struct_fields__)


def test_every_state_is_in_the_table() -> None:
    states = {state.strip() for row in table("A job's life") for state in row[0].split(",")}
    assert states == {str(state) for state in JobState}


def test_the_limits_are_those_of_the_code() -> None:
    documented = {row[0]: row[1] for row in table("Limits")}
    assert DEFAULT_MAX_PAYLOAD == 1 << 20
    assert documented["encoded envelope"].startswith("1 MiB")
    assert documented["id"].startswith(f"1 to {ID_LIMIT} ")
    assert documented["jobs in one `enqueue`"].endswith(f"send {BATCH}")
    assert f"CLAIM_LIMIT = {documented['claimed by one `step`']}" in scripts.get("step").source


async def test_a_producer_needs_only_the_documented_rights(endpoints: Endpoints) -> None:
    endpoint = endpoints.get("valkey")
    endpoint.empty()
    needed = re.search(r"only\s+enqueues\s+needs\s+`([^`]*)`", TEXT)
    assert needed
    with endpoint.servers[0].client() as client:
        client.execute_command(
            "ACL", "SETUSER", "producer", "on", ">secret", "~jobpools:*", "resetchannels", "&jobpools:wake", "-@all",
            *needed.group(1).split(),
        )  # fmt: skip
    app = App("shop", redis=endpoint.url.replace("redis://", "redis://producer:secret@"))
    async with app:
        await app.enqueue("send", {}, queue="emails")
        await app.enqueue("send", {}, queue="emails", delay=10, id="mine")
        with pytest.raises(StoreAuthError):
            await app.handle("mine", queue="emails").cancel()


def test_no_right_is_superfluous() -> None:
    """Each command of the user's is called somewhere: by a script, or by the store."""
    sources = [path.read_text() for path in (ROOT / "worker" / "jobpools").rglob("*.py")]
    sources += [scripts.get(name).source for name in scripts.NAMES]
    spelt = {name.lower() for text in sources for name in re.findall(r"""["']([A-Z]{3,}(?: [A-Z]+)?)["']""", text)}
    spelt |= {"subscribe", "unsubscribe", "scan"}  # the client's own methods
    rights = {right[1:].replace("|", " ") for right in acl_line().split() if right.startswith("+")}
    assert rights <= spelt, rights - spelt
