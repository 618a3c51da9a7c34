"""A log output keeps its destination, and never raises."""

import io
import logging
import os
from collections.abc import Iterator
from typing import TextIO

import pytest

from jobpools.observability.log_output import LogOutput, LogOutputHandler


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end to read, and a stream on the end to write."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


def test_a_line_arrives_after_the_stream_was_closed(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    output = LogOutput(stream)
    stream.close()
    output.write("still here")
    assert os.read(reading, 100) == b"still here\n"
    output.close()


def test_a_stream_without_a_descriptor_is_written_to() -> None:
    stream = io.StringIO()
    LogOutput(stream).write("a line")
    assert stream.getvalue() == "a line\n"
    stream.close()
    LogOutput(stream).write("no error")


def test_a_full_pipe_without_a_reader_drops_the_line(pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobpools.observability.log_output.FULL_PIPE_TIMEOUT", 0.0)
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    output = LogOutput(stream)
    output.write("x" * 1_000_000)
    output.close()
    assert 0 < len(os.read(reading, 1_000_000)) < 1_000_000


def test_a_record_that_cannot_be_formatted_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    with os.fdopen(os.dup(2), "w") as stream:
        output = LogOutput(stream)
    handler = LogOutputHandler(output, logging.Formatter("%(message)s"))
    handler.emit(logging.LogRecord("jobpools.worker", logging.INFO, "", 1, "%d jobs", ("no number",), None))
    output.close()
    assert capfd.readouterr().err == "jobpools.worker  %d jobs (formatting its arguments failed: TypeError)\n"
