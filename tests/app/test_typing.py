"""What a type checker says of jobs: the handler's own signature holds at `enqueue`, and its result comes back typed."""

import re
import sys
from pathlib import Path

import pytest

from tests.support.workers import ROOT

HEAD = """
from typing import assert_type

from jobpools import App, Context, JobHandle, Retry

app = App("shop")


@app.job
async def plain(ctx: Context, to: str, copies: int = 1) -> str:
    return to


@app.job(queue="emails", timeout="2m", priority="high")
async def dressed(to: str) -> int:
    return 1


@app.job
def threaded(ctx: Context, n: int) -> list[int]:
    return [n]


async def main() -> None:
"""
RIGHT = """
    assert_type(await plain.enqueue("ada"), JobHandle[str])
    assert_type(await plain.enqueue(to="ada", copies=2), JobHandle[str])
    assert_type(await (await dressed.enqueue("ada")).result(timeout=5), int)
    assert_type(threaded.enqueue_sync(7), JobHandle[list[int]])
    assert_type(await threaded.options(delay="10m", tags=["vip"]).enqueue(n=7), JobHandle[list[int]])
    plain.options(retry=Retry(initial="1s", max_attempts=5, on=[ConnectionError, "httpx.ConnectError"]))
    await app.enqueue_many([plain.call("ada"), plain.call("grace", copies=3)])
    await app.enqueue_many([plain.call("ada"), dressed.call("grace"), threaded.call(1)])
"""
WRONG = """
    await plain.enqueue()  # E: Missing positional argument "to"
    await plain.enqueue(7)  # E: Argument 1 to "enqueue" of "Handler" has incompatible type "int"; expected "str"
    await plain.enqueue("ada", copies="two")  # E: Argument "copies" to "enqueue" of "Handler" has incompatible type
    await plain.enqueue("ada", nobody=1)  # E: Unexpected keyword argument "nobody" for "enqueue" of "Handler"
    await dressed.enqueue("ada", "grace")  # E: Too many arguments for "enqueue" of "Handler"
    threaded.enqueue_sync("seven")  # E: Argument 1 to "enqueue_sync" of "Handler" has incompatible type "str";
    plain.call(7)  # E: Argument 1 to "call" of "Handler" has incompatible type "int"; expected "str"
    await plain.options(priority="urgent").enqueue("ada")  # E: Argument "priority" to "options" of "Handler" has
    await plain.options(dely="10m").enqueue("ada")  # E: Unexpected keyword argument "dely" for "options" of "Handler"
    await plain.options(delay="10m").enqueue(7)  # E: Argument 1 to "enqueue" of "Bound" has incompatible type
    Retry(max_attemps=5)  # E: Unexpected keyword argument "max_attemps" for "Retry"
    Retry(on=[int])  # E: List item 0 has incompatible type "type[int]"; expected "str | type[BaseException]"
    App("shop", reddis="redis://")  # E: Unexpected keyword argument "reddis" for "App"
    wrong: int = await (await plain.enqueue("ada")).result()  # E: Incompatible types in assignment (expression has
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """mypy's errors, by line."""
    from mypy import api

    folder = tmp_path_factory.mktemp("typing")
    file = folder / "snippet.py"
    file.write_text(HEAD + RIGHT + WRONG)
    cache = ROOT / ".mypy_cache" / "snippets"
    flags = [
        "--strict",
        "--config-file",
        "",
        "--no-error-summary",
        "--cache-dir",
        str(cache),
        "--python-executable",
        sys.executable,
    ]
    out, broken, _ = api.run([*flags, str(file)])
    assert not broken
    found = re.findall(r"^[^\n]*snippet\.py:(\d+): error: (.*)$", out, re.MULTILINE)
    assert found, repr(out)
    return {int(line): message for line, message in found}


def test_wrong_calls_are_errors_and_right_ones_are_none(said: dict[int, str]) -> None:
    lines = (HEAD + RIGHT + WRONG).splitlines()
    expected = {number: line.partition("# E: ")[2] for number, line in enumerate(lines, 1) if "# E: " in line}
    assert said.keys() == expected.keys(), "\n".join(f"{number}: {message}" for number, message in said.items())
    for number, text in expected.items():
        assert said[number].startswith(text), lines[number - 1]


def test_the_package_says_that_it_is_typed() -> None:
    import jobpools

    assert (Path(jobpools.__file__).parent / "py.typed").exists()
