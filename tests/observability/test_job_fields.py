"""The fields by which a log record names the job whose code logged it."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from jobpools.observability import job_fields, logs
from jobpools.observability.job_fields import JobLogFilter, JobLogger


@dataclass
class Logged:
    log_fields: dict[str, str | int] = field(
        default_factory=lambda: {"job_id": "7", "job_name": "send", "queue": "emails", "attempt": 1}
    )


@pytest.fixture
def attempt() -> Iterator[Logged]:
    attempt = Logged()
    token = job_fields.logged_attempt.set(attempt)
    yield attempt
    job_fields.logged_attempt.reset(token)


def record(name: str = "shop.jobs", **extra: object) -> logging.LogRecord:
    return logging.getLogger("any").makeRecord(name, logging.INFO, "file.py", 1, "sent %d", (2,), None, extra=extra)


def text(found: logging.LogRecord) -> str:
    return logs.formatter("text", relayed=True).format(found)


def test_json_lines_have_the_fields_of_the_job(attempt: Logged) -> None:
    line = json.loads(logs.formatter("json").format(record()))
    assert {name: line[name] for name in job_fields.FIELDS} == attempt.log_fields


def test_text_lines_of_the_app_begin_with_the_job(attempt: Logged) -> None:
    assert text(record()) == "INFO  send 7: sent 2"
    attempt.log_fields["attempt"] = 2
    assert text(record()) == "INFO  send 7 (attempt 2): sent 2"
    assert text(record("jobpools.worker")) == "INFO  sent 2", "the worker's own lines name the job themselves"


def test_lines_outside_of_a_job_are_as_before() -> None:
    assert text(record()) == "INFO  sent 2"
    assert not json.loads(logs.formatter("json").format(record())).keys() & {*job_fields.FIELDS}


def test_the_filter_adds_attributes_and_keeps_those_of_extra(attempt: Logged) -> None:
    found = record(queue="their own", attempt="x")
    assert JobLogFilter().filter(found)
    formatter = logging.Formatter("[%(job)s] %(job_id)s %(job_name)s %(queue)s %(attempt)s %(message)s")
    assert formatter.format(found) == "[send 7] 7 send their own x sent 2"
    assert attempt.log_fields["queue"] == "emails"


def test_the_filter_adds_empty_attributes_outside_of_a_job() -> None:
    found = record()
    assert JobLogFilter().filter(found)
    assert logging.Formatter("[%(job)s%(job_id)s] %(attempt)d %(message)s").format(found) == "[] 0 sent 2"
    assert text(found) == "INFO  sent 2"


def test_a_job_logger_names_the_job_outside_of_its_context(caplog: pytest.LogCaptureFixture) -> None:
    logger = JobLogger(logging.getLogger("shop.jobs"), Logged())
    with caplog.at_level(logging.INFO):
        logger.info("sent", extra={"order": 7, "queue": "their own"})
    (found,) = caplog.records
    assert text(found) == "INFO  send 7: sent"
    assert vars(found).items() >= {"order": 7, "queue": "their own", "job_id": "7"}.items()
