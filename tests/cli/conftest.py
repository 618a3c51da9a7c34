"""The command line, in a folder of its own and on a real Valkey."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobpools.cli import main
from jobpools.runtime.loading import import_app
from jobpools.testing import run_until_idle

APP = '''
from jobpools import App, Context, Retry

app = App("store")
number = 7

@app.job(queue="emails", retry=Retry(strategy="none"))
async def send(ctx: Context, to: str, copies: int = 1) -> str:
    """Return what was sent."""
    if to == "unknown":
        raise ValueError("no such address\\nin the second line")
    return f"{copies} to {to}"
'''
POOL = """
apiVersion: jobpools.dev/v1
kind: WorkerPool
metadata: {name: mail}
spec:
  app: store:app
  queues: [emails]
  scaling: {max: 3, jobsPerWorker: 1}
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


Shell = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with an app and a pool in it."""
    (tmp_path / "store.py").write_text(APP)
    (tmp_path / "pool.yaml").write_text(POOL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in os.environ if name.startswith("JOBPOOLS_")]:
        monkeypatch.delenv(name)
    yield tmp_path
    forget(tmp_path)


def forget(folder: Path) -> None:
    """Remove the folder's modules from sys.modules, so that the next command imports them as a new process does."""
    for name, module in list(sys.modules.items()):
        if str(folder) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def jobpools(
    folder: Path, valkey_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """Run a command in this process, without the time that a new process takes to start."""
    monkeypatch.setenv("JOBPOOLS_REDIS_URL", valkey_url)

    def run(*words: str, env: Mapping[str, str] | None = None) -> Ran:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["jobpools", *words])
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                main()
        forget(folder)
        captured = capsys.readouterr()
        return Ran(int(end.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def process(folder: Path, valkey_url: str) -> Shell:
    """Run a command as a process, and wait for its end."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> Ran:
        ended = subprocess.run(
            command(*words), cwd=folder, env=os.environ | {"JOBPOOLS_REDIS_URL": valkey_url} | dict(env or {}),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run


def command(*words: str) -> list[str]:
    """Return the command line of the installed script."""
    return [str(Path(sys.executable).with_name("jobpools")), *words]


@pytest.fixture
def client(valkey_url: str) -> Iterator[Redis]:
    with Redis.from_url(valkey_url) as found:
        yield found


def dump(client: Redis) -> dict[bytes, bytes]:
    """Return all keys of Redis with their values, without keys that expire by themselves."""
    return {key: client.dump(key) or b"" for key in sorted(client.scan_iter()) if client.pttl(key) == -1}


def run_all_jobs(folder: Path) -> None:
    """Run all jobs, as a worker does."""

    async def run() -> None:
        async with import_app("store:app") as app:
            await run_until_idle(app)

    asyncio.run(run())
    forget(folder)


def rows(ran: Ran) -> list[dict[str, Any]]:
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert isinstance(found, list)
    return found


def table(ran: Ran) -> list[list[str]]:
    """Return the cells of a table, the header first."""
    assert (ran.code, ran.err) == (0, "")
    return [re.split(r" {3,}", line.rstrip()) for line in ran.out.splitlines()]


def send(jobpools: Shell, *words: str) -> str:
    ran = jobpools("enqueue", "store:app", "send", *words)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.strip()
