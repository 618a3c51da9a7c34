"""Runs the command line: an error becomes one line on stderr, and every end has its exit code."""

import sys
from typing import Any

import typer

from jobpools.cli.terminal import print_error, write
from jobpools.cli.usage_errors import CommandLineError, NoArgsIsHelpError, UsageError, describe
from jobpools.errors import JobpoolsError, SettingsError

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes; 130 is what a shell reports for a program that SIGINT ended."""


def program_name(path: str) -> str:
    """Return what the user types to run this program, for usage lines; `path` is that of the running script."""
    return "python -m jobpools" if path.endswith("__main__.py") else "jobpools"


def run(app: typer.Typer) -> None:
    """Run the command line and exit with 0, 1 (error), 2 (wrong command line) or 130 (Ctrl-C)."""
    try:
        code = app(prog_name=program_name(sys.argv[0]), standalone_mode=False)
    except (JobpoolsError, OSError, CommandLineError, UsageError) as error:
        raise SystemExit(_report(error)) from None
    except UnicodeEncodeError:
        wrong = next((each for each in sys.argv[1:] if not is_utf8(each)), None)
        if wrong is None:
            raise
        print_error(f"{wrong!r}: the argument is not UTF-8; write it in UTF-8")
        raise SystemExit(USAGE) from None
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(INTERRUPTED) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def is_utf8(argument: str) -> bool:
    """Return whether an argument of the command line is text; Python turns bytes that are not into half surrogates."""
    return not any("\ud800" <= each <= "\udfff" for each in argument)


def _report(error: Exception) -> int:
    """Print the error and return the exit code. Raises an OSError that is not about a file: it is a bug."""
    if NoArgsIsHelpError is not None and isinstance(error, NoArgsIsHelpError):
        shown: Any = error  # its class is click's or typer's own, by the version
        write(f"{shown.format_message()}\n")
        return 0
    if isinstance(error, OSError):
        if error.filename is None:
            raise error
        print_error(f"{error.filename}: {error.strerror}")
        return FAILED
    if isinstance(error, UsageError):
        print_error(describe(error))
        return USAGE
    for problem in error.problems if isinstance(error, SettingsError) else [str(error)]:
        print_error(problem)
    return USAGE if isinstance(error, CommandLineError) else FAILED
