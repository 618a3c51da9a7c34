"""Output to stdout: a closed pipe ends the program silently, and colours are only for terminals."""

import os
import sys

PIPE_CLOSED = 141
"""Exit code that a shell reports for a program that SIGPIPE ended."""


def write(text: str) -> None:
    """Write to stdout at once. Raises SystemExit if the reader has closed the pipe, as `| head -1` does."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout again when it exits: that must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(PIPE_CLOSED) from None


def print_error(text: str) -> None:
    """Write `jobpools: …` to stderr, in one line."""
    sys.stderr.write(f"jobpools: {' '.join(text.split())}\n")


def uses_colors() -> bool:
    """Return whether stdout is a terminal that wants colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
