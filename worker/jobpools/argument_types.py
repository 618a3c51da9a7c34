"""Build the type of a handler's arguments: one TypedDict of its parameters, `**kwargs` included."""

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
    """Annotation that gives a TypedDict a type for all keys that are not fields."""

    __slots__ = ("hint",)

    def __init__(self, hint: Any) -> None:
        self.hint = hint

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = handler(source)
        handler.resolve_ref_schema(schema)["extras_schema"] = handler.generate_schema(self.hint)
        return schema


def fields(label: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the types of the named arguments, and the type of all other arguments.

    Optional arguments are NotRequired. Without `**kwargs` the second is `None`.

    Args:
        label: Name of the handler, for errors.
        parameters: The handler's parameters, without its Context.
        hints: The resolved annotations.

    Raises:
        ConfigurationError: A parameter other than the first is a Context, or `**kwargs` repeats a parameter.
    """
    named: dict[str, Any] = {}
    extra: Any = None
    for parameter in parameters:
        hint = hints.get(parameter.name, Any)
        if Context in (hint, *typing.get_args(hint)):
            raise ConfigurationError(
                f"job {label}: {parameter.name}: the Context must be the first argument; use (ctx: Context, …)"
            )
        if parameter.kind is not parameter.VAR_KEYWORD:
            named[parameter.name] = hint if parameter.default is parameter.empty else NotRequired[hint]
        elif typing.get_origin(hint) in _UNPACK:
            unpacked = _typed_dict_fields(hint)
            if repeated := named.keys() & unpacked.keys():
                raise ConfigurationError(f"job {label}: duplicate argument: {', '.join(sorted(repeated))}; rename it")
            named |= unpacked
        else:
            extra = hint
    return named, extra


def typed_dict(label: str, named: Mapping[str, Any], extra: Any) -> Any:
    """Return the TypedDict for the arguments that `fields` returned."""
    make = cast("Any", TypedDict)  # the call form with computed fields is beyond mypy
    typed = make(label, dict(named))
    typed.__pydantic_config__ = ConfigDict(extra="forbid" if extra is None else "allow")
    return typed if extra is None or extra is Any else Annotated[typed, _Extra(extra)]


def without_qualifiers(hint: Any) -> Any:
    """Return the type without Required and NotRequired."""
    while typing.get_origin(hint) in _QUALIFIERS:
        hint = typing.get_args(hint)[0]
    return hint


def _typed_dict_fields(hint: Any) -> dict[str, Any]:
    """Return the fields of `Unpack[SomeTypedDict]`, the optional ones as NotRequired."""
    keywords = typing.get_args(hint)[0]
    hints = typing_extensions.get_type_hints(keywords, include_extras=True)
    return {name: _as_field(each, name in keywords.__required_keys__) for name, each in hints.items()}


def _as_field(hint: Any, required: bool) -> Any:  # noqa: FBT001  # the qualifier itself
    """Return the hint, as NotRequired if it is optional. A qualifier in the hint overrides `required`."""
    while (origin := typing.get_origin(hint)) in _QUALIFIERS:
        required = required if origin is typing_extensions.ReadOnly else origin is Required
        hint = typing.get_args(hint)[0]
    return hint if required else NotRequired[hint]
