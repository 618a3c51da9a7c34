"""Log lines of handlers name their job: coroutines, threads, the app's own handlers, and the worker's own lines."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from jobpools import App
from tests.support.waiting import eventually
from tests.support.workers import running_workers

APP = """
import asyncio, contextvars, logging, os, sys, threading
from jobpools import App, Context, Retry

log = logging.getLogger(__name__)
app = App("logged")
if os.environ.get("OWN_HANDLER"):
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("OWN [%(job)s|%(queue)s] %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)

@app.job
async def coroutine() -> None:
    log.info("in a coroutine", extra={"queue": "mine"})
    await asyncio.create_task(child())
    await asyncio.to_thread(log.info, "in a thread of it")
    thread = threading.Thread(target=contextvars.copy_context().run, args=(log.info, "in a thread with its context"))
    thread.start()
    thread.join()

async def child() -> None:
    log.info("in a task of it")

@app.job
def function(ctx: Context) -> None:
    log.info("in a function")
    ctx.logger.info("by its logger")

@app.job(retry=Retry(strategy="none"))
async def broken() -> None:
    raise ValueError("as asked")
"""
LINES = [
    "in a coroutine",
    "in a task of it",
    "in a thread of it",
    "in a thread with its context",
    "in a function",
    "by its logger",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "logged.py").write_text(APP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


async def log_of_a_worker(folder: Path, url: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    """Return the log of a worker that ran one job of each handler, and the ids of the jobs."""
    ids: dict[str, str] = {}
    async with App("sender", redis=url) as sender:
        with running_workers(folder, url, "logged:app", "a", **environment) as (a,):
            for name in ("coroutine", "function", "broken"):
                ids[name] = (await sender.enqueue(name, queue="default")).id
            eventually("all is logged", lambda: all(map(a.log_count, [*LINES, "as asked"])), detail=a.log)
            a.send(signal.SIGTERM)
            assert a.wait() == 0
    return a.log().splitlines(), ids


async def test_json_lines_of_handlers_have_the_fields_of_their_job(folder: Path, valkey_url: str) -> None:
    lines, ids = await log_of_a_worker(folder, valkey_url, LOG="json")
    found: dict[str, Any] = {line["message"]: line for line in map(json.loads, lines)}
    for text in LINES:
        name = "function" if text in ("in a function", "by its logger") else "coroutine"
        expected = {"job_id": ids[name], "job_name": name, "queue": "default", "attempt": 1, "logger": "logged"}
        assert found[text].items() >= expected.items()
    (failure,) = [line for message, line in found.items() if "as asked" in message]
    assert (failure["logger"], failure["job_id"], failure["job_name"]) == ("jobpools.worker", ids["broken"], "broken")
    (start,) = [line for message, line in found.items() if " slots, queues " in message]
    assert "job_id" not in start


async def test_text_lines_of_handlers_begin_with_their_job(folder: Path, valkey_url: str) -> None:
    lines, ids = await log_of_a_worker(folder, valkey_url)
    assert any(line.endswith(f"INFO    logged  coroutine {ids['coroutine']}: in a task of it") for line in lines), lines
    assert any(line.endswith(f"INFO    logged  function {ids['function']}: by its logger") for line in lines), lines


async def test_handlers_of_the_apps_own_logging_get_the_attributes(
    folder: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_HANDLER", "1")
    lines, ids = await log_of_a_worker(folder, valkey_url)
    assert f"OWN [coroutine {ids['coroutine']}|mine] in a coroutine" in lines
    assert f"OWN [coroutine {ids['coroutine']}|default] in a thread of it" in lines
    assert f"OWN [function {ids['function']}|default] by its logger" in lines
