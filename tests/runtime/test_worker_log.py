"""An app's changes to `logging`, at import or from a handler, do not lose or duplicate the worker's lines."""

import logging
import re
import signal
from pathlib import Path

import pytest

from jobpools import App
from jobpools.runtime import worker_log
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess, running_workers

SILENCERS = '''
import io, logging, logging.config, os, sys

class Broken(logging.Handler):
    def emit(self, record):
        raise RuntimeError("this handler is broken")
    def handle(self, record):
        raise RuntimeError("this handler is broken")

class Intercept(logging.Handler):
    """As in loguru's documentation."""
    def emit(self, record):
        pass

class Odd(logging.LogRecord):
    def __init__(self, *args, **kwargs):
        raise RuntimeError("this record factory is broken")

def refuse(record):
    raise RuntimeError("this filter is broken")

def every():
    return [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)] + [logging.root]

def dict_config():
    logging.config.dictConfig({"version": 1, "handlers": {"null": {"class": "logging.NullHandler"}},
                               "root": {"handlers": ["null"], "level": "CRITICAL"}})

def dict_config_by_name():
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True, "loggers": {
        "jobpools": {"handlers": [], "level": "CRITICAL", "propagate": False},
        "jobpools.worker": {"handlers": [], "level": "CRITICAL", "propagate": False}}})

def dict_config_console():
    logging.config.dictConfig({"version": 1, "handlers": {"console": {"class": "logging.StreamHandler"}},
                               "loggers": {"jobpools": {"handlers": ["console"], "level": "INFO"}},
                               "root": {"handlers": ["console"], "level": "INFO"}})

def file_config():
    logging.config.fileConfig(io.StringIO("[loggers]\\nkeys=root\\n[handlers]\\nkeys=\\n[formatters]\\nkeys=\\n"
                                          "[logger_root]\\nlevel=CRITICAL\\nhandlers=\\n"))

def basic_config():
    logging.basicConfig(force=True, level=logging.CRITICAL, stream=io.StringIO())

def intercept():
    logging.basicConfig(handlers=[Intercept()], level=0, force=True)
    for logger in every():
        logger.handlers = []
        logger.propagate = True
    logging.root.handlers = [Intercept()]

def root_level():
    logging.root.setLevel(logging.CRITICAL)

def levels():
    for logger in every():
        if isinstance(logger, logging.Logger):
            logger.setLevel(logging.CRITICAL)

def disable():
    logging.disable(logging.CRITICAL)

def flags():
    for logger in every():
        logger.disabled, logger.propagate = True, False

def no_handlers():
    for logger in every():
        for handler in list(logger.handlers):
            logger.removeHandler(handler)

def broken_handler():
    logging.raiseExceptions = True
    for logger in every():
        logger.addHandler(Broken())

def broken_filter():
    for logger in every():
        logger.addFilter(refuse)
        for handler in logger.handlers:
            handler.addFilter(refuse)

def record_factory():
    logging.setLogRecordFactory(Odd)

def shutdown():
    logging.shutdown()

def stderr():
    sys.stderr = io.StringIO()

def closed_stderr():
    sys.stderr.close()
    sys.stderr = None

def descriptor():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

ALL = [dict_config, dict_config_by_name, dict_config_console, file_config, basic_config, intercept, root_level, levels,
       disable, flags, no_handlers, broken_handler, broken_filter, record_factory, shutdown, stderr, closed_stderr,
       descriptor]
'''
APP = """
import os
import silencers
from jobpools import App, Retry

app = App("loud")

@app.job(retry=Retry(strategy="none"))
async def fail(what: str) -> None:
    raise ValueError(f"as asked: {what}")

@app.job
async def silence(how: str) -> None:
    getattr(silencers, how)()

for each in os.environ.get("SILENCE", "").split():
    getattr(silencers, each)()
"""
NAMES = re.findall(r"^def (?!refuse|every)(\w+)", SILENCERS, re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "silencers.py").write_text(SILENCERS)
    (tmp_path / "loud.py").write_text(APP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


async def check_logged(sender: App, worker: WorkerProcess, what: str) -> None:
    """Check that the worker logs a job that fails in one line."""
    await sender.enqueue("fail", {"what": what}, queue="default")
    says = f"ValueError: as asked: {what})"
    eventually(f"{what} is logged", lambda: worker.log_count(says) > 0, detail=worker.log)
    assert worker.log_count(says) == 1, worker.log()


@pytest.mark.parametrize("how", NAMES)
async def test_an_app_cannot_silence_the_worker_at_import(
    valkey_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("SILENCE", how)
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(folder, valkey_url, "loud:app", "a") as (a,):
            await check_logged(sender, a, how)
            a.send(signal.SIGTERM)
            assert a.wait() == 0
    for line in (" slots, queues default, jobs fail, silence", "draining;", ": stopped; 0 completed, 1 failed"):
        assert a.log_count(line) == 1, a.log()


async def test_a_handler_cannot_silence_the_worker(valkey_url: str, folder: Path) -> None:
    """All changes are made in one process, one after the other."""
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(folder, valkey_url, "loud:app", "a") as (a,):
            for how in NAMES:
                await (await sender.enqueue("silence", {"how": how}, queue="default")).result(timeout=30)
                await check_logged(sender, a, how)
            a.send(signal.SIGTERM)
            assert a.wait() == 0
    assert a.log_count(f": stopped; {len(NAMES)} completed, {len(NAMES)} failed") == 1


async def test_an_import_error_is_reported_even_if_the_app_closed_stderr(
    valkey_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILENCE", "closed_stderr disable descriptor nosuch")
    worker = WorkerProcess(folder, "a", valkey_url, "loud:app")
    assert worker.wait() == 1
    assert re.fullmatch(
        r"jobpools: loud:app: importing it failed: AttributeError: .*nosuch.* \(.*loud\.py:\d+\)\n", worker.log()
    )


OWN = """
import logging
from jobpools import App
app = App("own")
log = logging.getLogger("own")
{configuration}

@app.job
async def speak() -> None:
    log.warning("of the app")
    log.info("of no weight")
"""


@pytest.mark.parametrize(
    ("configuration", "warning", "info"),
    [
        (
            "",
            r"^\d\d:\d\d:\d\d WARNING own  speak \S+: of the app$",
            r"^\d\d:\d\d:\d\d INFO    own  speak \S+: of no weight$",
        ),
        ("logging.basicConfig(format='mine %(message)s', level='INFO')", "^mine of the app$", "^mine of no weight$"),
        ("logging.getLogger().setLevel(logging.ERROR)", None, None),
        ("log.addHandler(logging.StreamHandler())", "^of the app$", None),
    ],
    ids=["nothing", "basicConfig", "a level", "its own logger"],
)
async def test_the_apps_own_lines_are_written_once_where_the_app_sends_them(
    valkey_url: str, folder: Path, configuration: str, warning: str | None, info: str | None
) -> None:
    (folder / "own.py").write_text(OWN.format(configuration=configuration))
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(folder, valkey_url, "own:app", "a") as (a,):
            await (await sender.enqueue("speak", queue="default")).result(timeout=30)
            a.send(signal.SIGTERM)
            assert a.wait() == 0
    for pattern, text in ((warning, "of the app"), (info, "of no weight")):
        assert a.log_count(text) == (pattern is not None), a.log()
        assert pattern is None or re.search(pattern, a.log(), re.MULTILINE), a.log()
    assert a.log_count(" slots, queues ") == 1


def test_handlers_added_by_name_get_the_lines_and_the_loggers_are_restored(capfd: pytest.CaptureFixture[str]) -> None:
    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    lines: list[str] = []
    log, kept = logging.getLogger("jobpools.worker"), Kept()
    log.addHandler(kept)
    try:
        with worker_log.isolated("json"):
            log.warning("one %s", "two")
            log.debug("not shown")
            log.setLevel(logging.DEBUG)
            log.debug("shown %d", "no number")
    finally:
        log.removeHandler(kept)
        log.setLevel(logging.NOTSET)
    assert type(log) is logging.Logger
    assert lines[0] == "one two"
    written = capfd.readouterr().err.splitlines()
    assert len(written) == 2
    assert '"message": "one two"' in written[0]
    assert "shown %d (formatting its arguments failed: TypeError)" in written[1]
