"""Convert a handler's arguments and result to JSON and back, as its annotations say."""

import asyncio
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreConfig, PydanticSerializationError, SchemaSerializer

from jobpools import argument_types
from jobpools.context import Context
from jobpools.core.jobs import json_values
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.error_text import error_message, error_type, first_line
from jobpools.core.text.validation import requirement
from jobpools.errors import ArgumentsError, ConfigurationError, StoreDataError

_PROBLEMS_SHOWN = 3
"""Maximum number of invalid arguments that an error message lists."""
USER_CODE_ERRORS = (Exception, SystemExit, GeneratorExit, asyncio.CancelledError)
"""Exceptions that are caught from users' code. KeyboardInterrupt and the exception of a stop signal are not."""


def code_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that has the annotations: a partial's function, an object's `__call__`, else the argument."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def takes_context(function: Callable[..., Any]) -> bool:
    """Return whether the first parameter is annotated with Context, or is named `ctx` without annotation."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None:
        return False
    if first.annotation is inspect.Parameter.empty:
        return first.name == "ctx"
    if isinstance(first.annotation, str):  # not `in`: an annotation may be of a class whose __eq__ raises
        return first.annotation in ("Context", "jobpools.Context")
    return first.annotation is Context


class Signature:
    """A handler's signature: converts a call's arguments, and the handler's result, to JSON and back.

    Raises:
        ConfigurationError: The arguments cannot be a JSON object.
    """

    __slots__ = (
        "_adapter",
        "_extra_type",
        "_fields",
        "_function",
        "_hints",
        "_is_lossy",
        "_is_result_lossy",
        "_label",
        "_names",
        "_parameters",
        "_result",
        "_result_json",
        "_to_json",
        "_validate",
    )

    def __init__(self, function: Callable[..., Any], label: str) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        self._parameters = parameters[takes_context(function) :]
        self._function = function
        self._label = label
        for parameter in self._parameters:
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise ConfigurationError(
                    f"job {label}: parameter {parameter.name} has no name in JSON; write it without `*` and `/`"
                )
        self._names = tuple(p.name for p in self._parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        self._fields: dict[str, Any] = {}
        """Types of the named arguments, by name; empty until the annotations are resolved."""
        self._extra_type: Any = None
        """Type of the values of `**kwargs`; None: the handler has no `**kwargs`."""
        self._hints: dict[str, Any] | None = None
        self._is_lossy = self._is_result_lossy = False
        self._adapter: TypeAdapter[Any] | None = None
        self._to_json: SchemaSerializer | None = None
        self._result: TypeAdapter[Any] | None = None
        self._result_json: SchemaSerializer | None = None
        self._validate: Callable[[bytes], Any] | None = None

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Return the JSON object of a call.

        Raises:
            ArgumentsError: One line that names the invalid arguments, whatever a validator or serializer raised.
            ConfigurationError: The handler's annotations cannot be built.
        """
        adapter = self._adapter or self._build()
        if args:
            kwargs = self._named(args, kwargs)
        checked: Any = kwargs
        try:
            checked = adapter.validator.validate_python(kwargs)
            raw = self._to_json.to_json(  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]  # _build has made it
                checked, by_alias=True, round_trip=True, warnings=False
            )
            # Read it back as the worker does. This finds what warnings="error" finds (a model whose field was set to
            # another type later), in 0.4 µs instead of 2.
            back = adapter.validator.validate_json(raw)
            if self._is_lossy:
                json_values.check(checked, back)
        except USER_CODE_ERRORS as error:  # a validator, a serializer or a default factory may raise anything
            raise ArgumentsError(f"{self._label}: {self._describe_refused_call(error, kwargs, checked)}") from error
        return raw

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Return the keyword arguments of a JSON object.

        Raises:
            ArgumentsError: The arguments do not fit the annotations; no retry can succeed. An exception of a validator
                other than ValueError and AssertionError, such as a KeyError, is raised unchanged.
        """
        validate = self._validate
        if validate is None:
            self._validate = validate = (self._adapter or self._build()).validator.validate_json
        try:
            return cast("dict[str, Any]", validate(raw))
        except ValidationError as error:
            raise ArgumentsError(f"{self._label}: {self._describe_problems(error)}") from error

    def decoder(self) -> Callable[[bytes], dict[str, Any]]:
        """Return `decode`, with both validators built now. Raises ConfigurationError."""
        self._build()
        self._build_result()
        return self.decode

    def encode_result(self, value: Any) -> bytes:
        """Return a result as JSON that `decode_result` reads.

        Raises:
            TypeError: It cannot be JSON, or cannot be read back. An exception of a serializer is raised unchanged.
        """
        adapter = self._result or self._build_result()
        try:
            if adapter is None:
                return json_values.encode(value, json_values.RESULT)
            raw = self._result_json.to_json(value, by_alias=True, round_trip=True, warnings=False)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]  # _build_result has made it
        except (PydanticSerializationError, json_values.JsonValueError) as error:
            why = json_values.find_problem(value, root=json_values.RESULT)
            if adapter is not None and not why and (cause := _raised_by_serializer(adapter, value)):
                raise cause from error
            why = why or json_values.json_problem(error)
            raise TypeError(f"the result of {self._label} is not JSON: {why}") from error
        try:
            back = adapter.validator.validate_json(raw)
            if self._is_result_lossy:
                json_values.check(value, back, json_values.RESULT)
        except (ValidationError, json_values.JsonValueError) as error:
            why = json_values.find_problem(value, root=json_values.RESULT) or self._describe(error, "result")
            raise TypeError(f"the result of {self._label} cannot be read back as its return type: {why}") from error
        return raw

    def decode_result(self, raw: bytes) -> Any:
        """Convert a result to the handler's return type. Raises StoreDataError, whatever a validator raises."""
        adapter = self._result or self._build_result()
        try:
            return json_values.decode(raw) if adapter is None else adapter.validator.validate_json(raw)
        except USER_CODE_ERRORS as error:  # a validator may raise anything
            raise StoreDataError(
                f"the result does not match the return type of the handler: {self._label}: "
                f"{self._describe(error, 'result')}"
            ) from error

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if len(args) > len(self._names):
            raise ArgumentsError(f"{self._label}: takes {len(self._names)} positional arguments, {len(args)} given")
        named = dict(zip(self._names, args, strict=False))
        if twice := named.keys() & kwargs.keys():
            raise ArgumentsError(
                f"{self._label}: {', '.join(sorted(twice))}: given twice; pass it by position or by name"
            )
        return named | kwargs

    def _describe_refused_call(self, error: BaseException, given: dict[str, Any], checked: Any) -> str:
        """Return what is wrong with the arguments of a call, with the name of one if it can be determined."""
        if isinstance(error, ValidationError):
            return json_values.find_problem(checked) or self._describe_problems(error)
        if isinstance(error, json_values.JsonValueError):
            return str(error)
        if isinstance(error, PydanticSerializationError):
            why = json_values.find_problem(checked) or json_values.json_problem(error)
        else:
            why = _type_and_message(error)
        name = self._invalid_argument(given)
        return f"{name}: {why}" if name and not why.startswith((f"{name}:", f"{name}.")) else why

    def _invalid_argument(self, given: dict[str, Any]) -> str | None:
        """Return the name of the first argument that fails when it is converted alone."""
        for name, value in given.items():
            try:
                adapter: TypeAdapter[Any] = TypeAdapter(
                    argument_types.without_qualifiers(self._fields.get(name, self._extra_type))
                )
                raw = _serializer(adapter).to_json(adapter.validator.validate_python(value), warnings=False)
                adapter.validator.validate_json(raw)
            except USER_CODE_ERRORS:  # only the name is needed, not the error
                return name
        return None

    def _describe(self, error: BaseException, whole: str) -> str:
        """Return what is wrong with a value; `whole` names the value where an error has no place inside it."""
        if isinstance(error, ValidationError):
            return self._describe_problems(error, whole)
        return str(error) if isinstance(error, json_values.JsonValueError) else _type_and_message(error)

    def _describe_problems(self, error: ValidationError, whole: str = "arguments") -> str:
        """Return the first problems that pydantic found, each with its place."""
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or whole}: {self._describe_problem(problem)}"
            for problem in error.errors(include_url=False)
        ]
        more = f"; and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else ""
        return f"{'; '.join(problems[:_PROBLEMS_SHOWN])}{more}"

    def _describe_problem(self, problem: Any) -> str:
        location = problem["loc"]
        if problem["type"] == "missing":
            return "is missing"
        if problem["type"] == "extra_forbidden" and len(location) == 1:
            return f"no such argument{did_you_mean(str(location[0]), self._fields)}"
        return requirement(problem)

    def _resolved(self) -> dict[str, Any]:
        # Resolved at first use, not by the decorator: a forward reference may name a class that is defined later.
        if self._hints is None:
            try:
                self._hints = typing.get_type_hints(code_of(self._function), include_extras=True)
            except USER_CODE_ERRORS as error:  # an annotation is code
                raise ConfigurationError(
                    f"job {self._label}: its annotations do not resolve: {error_message(error)}"
                ) from error
        return self._hints

    def _build(self) -> TypeAdapter[Any]:
        try:
            self._fields, self._extra_type = argument_types.fields(self._label, self._parameters, self._resolved())
            self._adapter = TypeAdapter(argument_types.typed_dict(self._label, self._fields, self._extra_type))
            self._to_json = _serializer(self._adapter)
            self._is_lossy = json_values.is_lossy(self._adapter.core_schema)
        except ConfigurationError:
            raise
        except USER_CODE_ERRORS as error:  # __get_pydantic_core_schema__ of a user's class may raise anything
            raise ConfigurationError(
                f"job {self._label}: its arguments cannot be JSON: {_why_not_built(error)}"
            ) from error
        return self._adapter

    def _build_result(self) -> TypeAdapter[Any] | None:
        hint = self._resolved().get("return", Any)
        if hint is Any:
            return None
        try:
            self._result = TypeAdapter(hint)
            self._result_json = _serializer(self._result)
            self._is_result_lossy = json_values.is_lossy(self._result.core_schema)
        except USER_CODE_ERRORS as error:  # a user's type may raise anything
            raise ConfigurationError(
                f"job {self._label}: its result cannot be JSON: {_why_not_built(error)}"
            ) from error
        return self._result


def _serializer(adapter: TypeAdapter[Any]) -> SchemaSerializer:
    """Return a serializer that writes infinity and nan, which JSON does not have, as strings; validators read these."""
    return SchemaSerializer(adapter.core_schema, CoreConfig(ser_json_inf_nan="strings"))


def _raised_by_serializer(adapter: TypeAdapter[Any], value: Any) -> Exception | None:
    """Return the exception that a user's serializer raised. Only pydantic's `to_python` keeps it, as a cause."""
    try:
        adapter.serializer.to_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)
    except USER_CODE_ERRORS as error:  # its cause is the exception that the function returns
        return error.__cause__ if isinstance(error.__cause__, Exception) else None
    return None


def _why_not_built(error: BaseException) -> str:
    """Return why pydantic could not build a type: the message, and the type if it is not an error of pydantic."""
    own = type(error).__module__.startswith("pydantic")
    return first_line(error) if own else _type_and_message(error)


def _type_and_message(error: BaseException) -> str:
    return f"{error_type(error)}: {error_message(error)}"
