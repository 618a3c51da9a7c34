"""Commands and groups of commands, with examples in their help and with errors that suggest the right word."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from jobpools.cli.usage_errors import CommandLineError, is_bad_option_usage
from jobpools.core.text.did_you_mean import did_you_mean


class Command(TyperCommand):
    """A command that reports surplus arguments with its own error class."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. Raises CommandLineError for surplus ones."""
        ctx.allow_extra_args = True  # typer would raise an error class that other mistakes share
        try:
            remaining: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            if is_bad_option_usage(error) and error.ctx is None:
                error.ctx = ctx  # the parser does not set it
            raise
        if ctx.args:
            surplus = "unexpected argument" if len(ctx.args) == 1 else "unexpected arguments"
            raise CommandLineError(ctx.command_path, f"{' '.join(ctx.args)}: {surplus}")
        return remaining


class Group(TyperGroup):
    """A group that suggests the right command for an unknown one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names. Raises CommandLineError if it does not exist."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise CommandLineError(ctx.command_path, f"{name}: no such command{did_you_mean(name, self.commands)}")
        return super().resolve_command(ctx, args)


class ListByDefault(Group):
    """A group that runs `list` when no command is named: `jobpools jobs --queue emails`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert `list` unless the first argument is a command or --help."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args.insert(0, "list")
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


def list_group(help: str, *lines: str) -> typer.Typer:  # noqa: A002  # typer's own name for it
    """Return an empty group that runs `list` by default; `lines` are its examples."""
    return typer.Typer(
        cls=ListByDefault, help=help, epilog=examples(*lines), rich_markup_mode=None, add_completion=False,
        pretty_exceptions_enable=False,
    )  # fmt: skip


def examples(*lines: str) -> str:
    """Return the examples at the end of a command's help; each line is what follows `jobpools`."""
    return "\n".join(("\b", "Examples:", *(f"  jobpools {line}" for line in lines)))
