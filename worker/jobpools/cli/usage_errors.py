"""Describes a wrong command line from typer's exception classes and their attributes, not from their messages."""

import sys
from typing import Any, TypeGuard

import typer
from pydantic import ValidationError

from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.validation import explain

_exceptions: Any = sys.modules[typer.BadParameter.__module__]
"""The module of the exception classes: click's own, or the copy that newer versions of typer contain."""
UsageError: Any = _exceptions.UsageError
"""Base class of all that typer raises for a wrong command line."""
NoArgsIsHelpError: Any = getattr(_exceptions, "NoArgsIsHelpError", None)
"""Raised for `jobpools` without arguments, which prints the help; click before 8.2 prints it itself."""


class CommandLineError(Exception):
    """A wrong command line that this package detects itself."""

    def __init__(self, command_path: str, message: str) -> None:
        """Create the error. `command_path`: the command as typed, as in `jobpools jobs list`."""
        super().__init__(with_help(command_path, message))


def with_help(command_path: str, message: str) -> str:
    """Return the message with the command that prints the help."""
    return f"{message} ({command_path} --help)"


def is_bad_option_usage(error: Exception) -> TypeGuard[Any]:
    """Return whether an option lacks its value, or has one that it does not take."""
    return isinstance(error, _exceptions.BadOptionUsage)


def describe(error: Any) -> str:
    """Return a usage error as `<option or argument>: <what is wrong> (<command> --help)`."""
    path = error.ctx.command_path if error.ctx is not None else "jobpools"
    return with_help(path, _message(error))


def _message(error: Any) -> str:
    match error:
        case _exceptions.NoSuchOption() if _belongs_to_a_command(error.ctx, error.option_name):
            return f"{error.option_name}: this option belongs to a command; write it after the command"
        case _exceptions.NoSuchOption():
            return f"{error.option_name}: no such option{did_you_mean(error.option_name, _options(error.ctx))}"
        case _exceptions.BadOptionUsage():
            problem = "takes no value" if _is_flag(error.ctx, error.option_name) else "a value is missing"
            return f"{error.option_name}: {problem}"
        case _exceptions.MissingParameter() if error.param is not None:
            return f"{_name(error.param)}: is missing"
        case _exceptions.BadParameter() if error.param is not None:
            return f"{_name(error.param)}: {_problem(error)}"
        case _:
            return " ".join(error.format_message().split()).rstrip(".")


def _problem(error: Any) -> str:
    """Return what is wrong with a value. If pydantic refused the value, its error is explained."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return explain(cause.errors(include_url=False)[0]).rstrip(".")
    return str(error.message).rstrip(".")


def _name(param: Any) -> str:
    """Return the long name of an option, or the name that the help shows for an argument."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name)


def _options(ctx: Any) -> list[str]:
    """Return the options of the command that the user typed."""
    if ctx is None:
        return []
    return [name for param in ctx.command.get_params(ctx) for name in param.opts if name.startswith("--")]


def _belongs_to_a_command(ctx: Any, option: str) -> bool:
    """Return whether the user typed an option of a command before the name of the command."""
    commands = getattr(ctx.command, "commands", {}) if ctx is not None else {}
    return any(option in param.opts for command in commands.values() for param in command.params)


def _is_flag(ctx: Any, option: str) -> bool:
    if ctx is None:
        return False
    return any(option in param.opts and getattr(param, "is_flag", False) for param in ctx.command.params)
