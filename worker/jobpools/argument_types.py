"""The type of a handler's arguments as one object: a TypedDict made of its parameters, `**kwargs` included."""

import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, Required, cast

import typing_extensions
from pydantic import ConfigDict
from typing_extensions import TypedDict

from jobpools.context import Context
from jobpools.errors import ConfigurationError

_UNPACK = {typing.Unpack, typing_extensions.Unpack}
_QUALIFIERS = {Required, NotRequired, typing_extensions.ReadOnly}


class _Extra:
    """Annotation of a TypedDict: the type of every key that is not a field."""

    __slots__ = ("hint",)

    def __init__(self, hint: Any) -> None:
        self.hint = hint

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = handler(source)
        handler.resolve_ref_schema(schema)["extras_schema"] = handler.generate_schema(self.hint)
        return schema


def fields(label: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the types of the named arguments, and the type of all others; `hints` are resolved annotations.

    Optional arguments are NotRequired. Without `**kwargs` the second value is `None`.

    Raises:
        ConfigurationError: A parameter other than the first is a Context, or `**kwargs` repeats a parameter.
    """
    named: dict[str, Any] = {}
    rest: Any = None
    for parameter in parameters:
        hint = hints.get(parameter.name, Any)
        if Context in (hint, *typing.get_args(hint)):
            raise ConfigurationError(
                f"job {label}: {parameter.name}: the Context must be the first argument; use (ctx: Context, …)"
            )
        if parameter.kind is not parameter.VAR_KEYWORD:
            named[parameter.name] = hint if parameter.default is parameter.empty else NotRequired[hint]
        elif typing.get_origin(hint) in _UNPACK:
            more = _unpacked(hint)
            if twice := named.keys() & more.keys():
                raise ConfigurationError(f"job {label}: duplicate argument: {', '.join(sorted(twice))}; rename it")
            named |= more
        else:
            rest = hint
    return named, rest


def shape(label: str, named: Mapping[str, Any], rest: Any) -> Any:
    """Return the TypedDict for the arguments that `fields` returned."""
    make = cast("Any", TypedDict)  # the call form with computed fields is beyond mypy
    made = make(label, dict(named))
    made.__pydantic_config__ = ConfigDict(extra="forbid" if rest is None else "allow")
    return made if rest is None or rest is Any else Annotated[made, _Extra(rest)]


def plain(hint: Any) -> Any:
    """Return the type without Required and NotRequired."""
    while typing.get_origin(hint) in _QUALIFIERS:
        hint = typing.get_args(hint)[0]
    return hint


def _unpacked(hint: Any) -> dict[str, Any]:
    """Return the fields of `Unpack[SomeTypedDict]`, the optional ones as NotRequired."""
    keywords = typing.get_args(hint)[0]
    hints = typing_extensions.get_type_hints(keywords, include_extras=True)
    return {name: _qualified(each, name in keywords.__required_keys__) for name, each in hints.items()}


def _qualified(hint: Any, required: bool) -> Any:  # noqa: FBT001  # the qualifier itself
    """Return the hint, in NotRequired if it is optional; a qualifier in the hint takes precedence over `required`."""
    while (origin := typing.get_origin(hint)) in _QUALIFIERS:
        required = required if origin is typing_extensions.ReadOnly else origin is Required
        hint = typing.get_args(hint)[0]
    return hint if required else NotRequired[hint]
