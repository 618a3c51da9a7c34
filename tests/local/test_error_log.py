"""Errors that the control loop logs are shown as one line each."""

import io
import logging
import re
from pathlib import Path
from typing import cast

import pytest

from jobpools.control import queues
from jobpools.errors import SpecError
from jobpools.local import up
from jobpools.local.error_log import ErrorLogHandler
from jobpools.local.options import Options
from jobpools.local.text_view import TextView


def test_an_exception_is_one_line_that_names_its_place() -> None:
    stream = io.StringIO()
    logger = logging.Logger("jobpools.control")  # noqa: LOG001  # not shared with other tests
    logger.addHandler(ErrorLogHandler(TextView(stream).notify))
    logger.warning("below ERROR: the reporter shows it")
    try:
        cast("dict[str, str]", {})["emails"]
    except KeyError:
        logger.exception("default/emails: the pass failed")
    (line,) = stream.getvalue().splitlines()
    assert re.search(r"  default/emails: the pass failed: KeyError: 'emails' \(.*test_error_log.py:\d+\)$", line)


def test_a_dropped_dead_letter_is_shown_although_no_worker_runs() -> None:
    stream = io.StringIO()
    logger = logging.Logger(queues.log.name)  # noqa: LOG001  # not shared with other tests
    logger.addHandler(ErrorLogHandler(TextView(stream).notify))
    logger.warning("queue emails: 1 dead letter dropped")
    assert stream.getvalue().endswith("  queue emails: 1 dead letter dropped\n")


def test_the_handler_is_removed_after_the_run_even_if_it_cannot_begin(tmp_path: Path) -> None:
    log = logging.getLogger("jobpools")
    before = list(log.handlers)
    with pytest.raises(SpecError, match="no such file or folder"):
        up.run(Options((tmp_path / "none.yaml",)), TextView(io.StringIO()))
    assert log.handlers == before
