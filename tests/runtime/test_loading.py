"""An app whose import goes wrong, in whatever way: one line that names the app and the place, and exit code 1."""
# ruff: noqa: E501  # one case a line: a table is read from top to bottom

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobpools import App, AppImportError
from jobpools.runtime import loading
from tests.support.workers import COMMAND, WorkerProcess

HEAD = "from jobpools import App\napp = App('shop')\n@app.job\ndef work(): ...\n"
HERE = r" \(\S*/shop\.py:5\)"

BROKEN: dict[str, tuple[str, str]] = {
    "an error": ("raise ValueError('no\\nregion')", r"ValueError: no region" + HERE),
    "an error of a library": ("import json; json.loads('{')", r"json\.decoder\.JSONDecodeError: .*" + HERE),
    "an error of ours": ("app.job(work)", r"jobpools\.errors\.ConfigurationError: .*" + HERE),
    "a mute error": (
        "class E(Exception):\n    def __str__(self): raise OSError\nraise E",
        r"shop\.E: .*\(\S*/shop\.py:7\)",
    ),
    "sys.exit": ("import sys; sys.exit()", r"it ended the program \(SystemExit: (0|None)\)" + HERE),
    "sys.exit with a code": ("import sys; sys.exit(0)", r"it ended the program \(SystemExit: 0\)" + HERE),
    "sys.exit with words": (
        "import sys; sys.exit('usage: shop\\nDAY')",
        r"it ended the program \(SystemExit: usage: shop DAY\)" + HERE,
    ),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", r"KeyboardInterrupt: ?" + HERE),
    "GeneratorExit": ("raise GeneratorExit", r"GeneratorExit: ?" + HERE),
    "CancelledError": (
        "import asyncio; raise asyncio.CancelledError",
        r"asyncio\.exceptions\.CancelledError: ?" + HERE,
    ),
    "a class of its own": (
        "class Out(BaseException): ...\nraise Out('of here')",
        r"shop\.Out: of here \(\S*/shop\.py:6\)",
    ),
    "a syntax error": ("def :", r"SyntaxError: invalid syntax \(\S*/shop\.py, line 5\)"),
    "an indentation": ("if True:\nx = 1", r"IndentationError: expected an indented block .* \(\S*/shop\.py, line 6\)"),
    "a circle": (
        "import circle",
        r"ImportError: cannot import name 'missing' from partially initialized module 'shop' .*\(\S*/circle\.py:1\)",
    ),
    "a module that is not there": (
        "import nosuchmodule",
        r"ModuleNotFoundError: No module named 'nosuchmodule'" + HERE,
    ),
    "recursion": ("def f(): f()\nf()", r"RecursionError: .*\(\S*/shop\.py:5\)"),
    "a warning with -W error": ("import warnings; warnings.warn('old')", r"UserWarning: old" + HERE),
    "bytes that are no text": ("x = '\udcff'", r"SyntaxError: \(unicode error\) 'utf-8' codec can't decode .*"),
    "an attribute that raises": (
        "del app\ndef __getattr__(name): raise ZeroDivisionError(name)",
        r"ZeroDivisionError: app \(\S*/shop\.py:6\)",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "circle.py").write_text("from shop import missing")
    return tmp_path


def run(folder: Path, body: str, *flags: str, words: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    (folder / "shop.py").write_text(HEAD + body, errors="surrogateescape")
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "JOBPOOLS_REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(
        [sys.executable, *flags, *(words or (*COMMAND[1:], "shop:app", "--redis", "redis://127.0.0.1:1/0"))],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("body", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_import_is_one_line_with_the_place(folder: Path, body: str, says: str) -> None:
    flags = ("-W", "error") if "warnings" in body else ()
    ended = run(folder, body, *flags)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(rf"jobpools: shop:app: importing it failed: {says}\n", ended.stderr), ended.stderr


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("import os; os._exit(3)", 3, r"importing it failed: it ended the process by os\._exit\(3\)"),
        ("import os; os.abort()", -signal.SIGABRT, "the worker was killed by SIGABRT while it started"),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV, "the worker was killed by SIGSEGV while it started"),
    ],
)
def test_an_import_that_ends_the_process_is_one_line_with_the_place(
    folder: Path, body: str, code: int, says: str
) -> None:
    ended = run(folder, body)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert re.fullmatch(rf".*shop:app: {says}{HERE}\n", ended.stderr), ended.stderr


@pytest.mark.parametrize("body", ["import sys; sys.exit(3)", "raise KeyError('region')"])
def test_enqueue_reports_a_broken_import_in_the_same_line(folder: Path, body: str) -> None:
    ended = run(folder, body, words=("-m", "jobpools", "enqueue", "shop:app", "work", "a=1"))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(rf"jobpools: shop:app: importing it failed: .*{HERE}\n", ended.stderr), ended.stderr


def test_argparse_in_the_app_does_not_see_the_workers_arguments(folder: Path) -> None:
    parser = "import argparse; parser = argparse.ArgumentParser()"
    fine = run(folder, f"{parser}; parser.add_argument('--day'); parser.parse_args(); raise OSError('came this far')")
    assert re.search(r"OSError: came this far \(\S*/shop\.py:5\)\n$", fine.stderr), fine.stderr
    wanting = run(folder, f"{parser}; parser.add_argument('day'); parser.parse_args()")
    assert wanting.returncode == 1
    last = wanting.stderr.splitlines()[-1]
    assert re.fullmatch(rf"jobpools: shop:app: importing it failed: it ended the program \(SystemExit: 2\){HERE}", last)


def test_sys_argv_is_restored_after_the_import(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "argued.py").write_text(f"{HEAD}import sys\nseen = list(sys.argv)\nsys.argv.append('mine')\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "argv", ["jobpools", "worker", "argued:app"])
    assert isinstance(loading.import_app("argued:app"), App)
    assert sys.modules["argued"].seen == ["jobpools"]
    assert sys.argv == ["jobpools", "worker", "argued:app"]


def test_a_child_that_the_import_forks_does_not_become_a_second_worker(folder: Path) -> None:
    for end in ("", "sys.exit(0)", "raise OSError('of the child')"):
        body = f"import os, sys\nif os.fork() == 0:\n    {end or 'pass'}\nelse:\n    os.wait(); raise KeyError('of the parent')"
        ended = run(folder, body)
        assert ended.returncode == 1
        assert ended.stderr.count("jobpools: ") == 1, ended.stderr
        assert re.search(r"^jobpools: shop:app: .*KeyError: 'of the parent'", ended.stderr, re.MULTILINE)


def working(folder: Path, url: str, body: str, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    (folder / "shop.py").write_text(HEAD + body)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return WorkerProcess(folder, "a", url, "shop:app")


def test_a_warning_during_the_import_is_one_line_and_the_worker_starts(
    folder: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "import warnings; warnings.warn('this is\\nold'); print('hello')\nimport threading; threading.Thread(target=print, args=('there',)).start()"
    worker = working(folder, valkey_url, body, monkeypatch)
    try:
        worker.wait_ready().send(signal.SIGTERM)
        assert worker.wait() == 0
    finally:
        worker.kill()
    assert worker.log_count("this is old") == 1, worker.log()
    (line,) = [line for line in worker.log().splitlines() if "this is old" in line]
    assert re.fullmatch(r"\S+ WARNING jobpools\.worker  shop:app: UserWarning: this is old" + HERE, line)
    assert worker.log_count("hello") == worker.log_count("there") == 1


def test_a_slow_import_is_logged_with_its_current_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "slowly.py").write_text(f"{HEAD}import loaded, sys\nwhile not loaded.go: pass\n")
    (folder / "loaded.py").write_text("go = False")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(loading, "SLOW_AFTER", 0.2)
    said = loading.log.warning

    def warned(message: str, *args: object) -> None:
        said(message, *args)
        sys.modules["loaded"].go = True  # type: ignore[attr-defined]  # of the test

    monkeypatch.setattr(loading.log, "warning", warned)
    loading.import_app("slowly:app")
    (record,) = caplog.records
    assert re.fullmatch(
        r"slowly:app: importing it has taken 0 s so far; no job runs before it ends \(\S*/slowly\.py:6\)",
        record.getMessage(),
    )


def test_ctrl_c_during_an_import_by_enqueue_is_raised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "interrupted.py").write_text("raise KeyboardInterrupt")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(KeyboardInterrupt):
        loading.import_app("interrupted:app")
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with pytest.raises(AppImportError, match=r"KeyboardInterrupt.*interrupted\.py:1"):
            loading.import_app("interrupted:app")
    finally:
        signal.signal(signal.SIGINT, before)


SERVICES: dict[str, tuple[str, str]] = {
    "exits": ("sys.exit(3)", r"SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", r"KeyboardInterrupt: ?"),
    "cancels": ("raise asyncio.CancelledError('mine')", r"asyncio\.exceptions\.CancelledError: mine"),
    "leaves the generator": ("raise GeneratorExit", r"GeneratorExit: ?"),
    "a class of its own": ("raise Out('of here')", r"shop\.Out: of here"),
    "yields nothing": ("return", r"RuntimeError: generator didn't yield"),
}


@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.parametrize(("body", "says"), SERVICES.values(), ids=SERVICES)
def test_a_service_that_raises_an_exit_is_reported_in_one_line(
    folder: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch, kind: str, body: str, says: str
) -> None:
    code = (
        f"import asyncio, sys\nclass Out(BaseException): ...\n@app.service\n{kind} database():\n    {body}\n    yield\n"
    )
    worker = working(folder, valkey_url, code, monkeypatch)
    try:
        assert worker.wait() == 1
    finally:
        worker.kill()
    line = rf"jobpools: service database does not open: {says}( \(\S*/shop\.py:9\))?; the worker does not start without it\n"
    assert re.fullmatch(line, worker.log()), worker.log()
