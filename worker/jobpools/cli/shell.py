"""How every command behaves in a shell: an error is one line, exit codes, a closed pipe, Ctrl-C, examples in help."""

import os
import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from jobpools.errors import JobpoolsError

FAILED, USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
"""Exit codes; the latter two are what a shell says of a program that SIGINT or SIGPIPE ended."""
_UsageError: Any = typer.BadParameter.__mro__[1]  # where it is defined differs between versions of typer

_WORDS = (
    (r" \(Possible options: ([^,)]+).*\)", r"; did you mean \1?"),
    (r"\. Did you mean '([^']+)'.*", r"; did you mean \1?"),
    (r"Value error, ", ""),
    (r"Input should be ([^,]+), unable to parse.*", r"it is not \1"),
    (r"Input should be", "it should be"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"unexpected: \1"),
)
"""typer's words and ours."""


class ListFirst(TyperGroup):
    """A group whose command is `list` where none is named: `jobpools jobs --queue emails`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Names `list` where an option, or nothing, stands in the command's place."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args.insert(0, "list")
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


def group(help: str, *lines: str) -> typer.Typer:  # noqa: A002  # typer's own word
    """Commands below one word, `list` first. `lines` are its examples."""
    return typer.Typer(
        cls=ListFirst, help=help, epilog=examples(*lines), rich_markup_mode=None, add_completion=False,
        pretty_exceptions_enable=False,
    )  # fmt: skip


def examples(*lines: str) -> str:
    """The end of a command's help: each line is what follows `jobpools`."""
    return "\n".join(("\b", "Examples:", *(f"  jobpools {line}" for line in lines)))


def put(text: str) -> None:
    """Write to stdout now. Whoever reads it may have seen enough (`| head -1`): then end without a word."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(PIPE_CLOSED) from None


def coloured() -> bool:
    """Whether stdout is a terminal that wants colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def program(path: str) -> str:
    """Return what a user types to run this, for usage lines; `path` is that of the running script."""
    return "python -m jobpools" if path.endswith("__main__.py") else "jobpools"


def run(app: typer.Typer) -> None:
    """Run the command line and exit: 0, 1 for an error, 2 for a wrong command line, 130 after Ctrl-C."""
    try:
        code = app(prog_name=program(sys.argv[0]), standalone_mode=False)
    except JobpoolsError as error:
        raise SystemExit(_said(str(error), FAILED)) from None
    except _UsageError as error:
        raise SystemExit(_misused(error)) from None
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise SystemExit(_said(f"{error.filename}: {error.strerror}", FAILED)) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _said(text: str, code: int) -> int:
    """One line, whatever is in it; returns the exit code."""
    sys.stderr.write(f"jobpools: {' '.join(text.split())}\n")
    return code


def _misused(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        put(f"{error.format_message()}\n")
        return 0
    text = " ".join(error.format_message().split()).rstrip(".")
    for theirs, ours in _WORDS:
        text = re.sub(theirs, ours, text)
    path = error.ctx.command_path if error.ctx is not None else "jobpools"
    return _said(f"{text[:1].lower()}{text[1:]} ({path} --help)", USAGE)
