"""Values that JSON cannot hold are refused with their place and a remedy. Accepted values can be read back."""

import asyncio
import dataclasses
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import UUID

import pytest
from pydantic import Base64Bytes, BaseModel, Field, field_serializer, field_validator

from jobpools import App, ArgumentsError, ConfigurationError, JobDeadError, StoreDataError
from jobpools.options import Options
from jobpools.signature import Signature
from jobpools.testing import run_until_idle


class Photo(BaseModel):
    name: str = "x"
    data: bytes = b""


class Measure(BaseModel):
    value: float | None = None


@dataclasses.dataclass
class Point:
    x: float


class Size(Enum):
    LARGE = "large"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def containing_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


async def anything(x: Any) -> Any: ...
async def untyped(x): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # the subject


BAD: dict[str, tuple[Any, str]] = {
    "bytes": (b"\xff\x00", r"x: bytes that are not UTF-8 text; .*base64.*reference.*"),
    "bytes deep inside": ({"photos": [{"data": b"\xff"}]}, r"x\.photos\.0\.data: bytes that are not UTF-8 .*base64.*"),
    "bytes of a model": (Photo(name="a", data=b"\xff"), r"x\.data: bytes that are not UTF-8 text; .*"),
    "bytearray": (bytearray(b"\xff"), r"x: bytes that are not UTF-8 text; .*"),
    "half a surrogate pair": ("a\ud800", r"x: text with half of a surrogate pair; .*"),
    "half a surrogate pair in a key": ({"a\ud800": 1}, r"x: a key is text with half of a surrogate pair; .*"),
    "a long integer": ({"n": 10**5000}, r"x\.n: an integer of more than 4300 digits; send it as hexadecimal text, .*"),
    "a long negative integer": (-(10**5000), r"x: an integer of more than 4300 digits; .*"),
    "nesting": (nested(250), r"x\.0\.0\.…\.0\.0\.0: nested more than 199 levels deep, .*"),
    "nesting just beyond the reader's limit": (
        nested(201),
        r"x\.0\.0\.…\.0\.0\.0: nested more than 199 levels deep, .*",
    ),
    "nesting beyond the writer's limit": (nested(5000), r"x\.0\.0\.…\.0\.0\.0: nested more than 199 levels deep, .*"),
    "a value that contains itself": (
        containing_itself(),
        r"x\.0\.0\.…\.0\.0\.0: nested more than 199 levels deep, or contains itself; .*",
    ),
    "long names are cut": (
        {"a" * 5000: {"b" * 5000: math.nan}},
        r"x\.a{59}…\.b{59}…: nan has no JSON and would be read back as 'NaN'; .*",
    ),
    "not a number": (math.nan, r"x: nan has no JSON and would be read back as 'NaN'; annotate the value as float, .*"),
    "infinity in a list": ([1.0, -math.inf], r"x\.1: -inf has no JSON and would be read back as '-Infinity'; .*"),
    "not a number in a tuple": ((1, (math.nan,)), r"x\.1\.0: nan has no JSON .*"),
    "not a number of a dataclass": (Point(math.nan), r"x\.x: nan has no JSON .*"),
    "not a number of a model": (
        Measure(value=math.nan),
        r"x\.value: nan has no JSON and would be read back as None; .*",
    ),
    "keys that collide": ({1: "a", "1": "b"}, r"x: two of its keys are the same text in JSON; use text keys"),
    "keys that collide deep inside": ([{"a": {True: 1, "true": 2}}], r"x\.0\.a: two of its keys are the same .*"),
    "an object": (object(), r"x: Unable to serialize unknown type: <class 'object'>"),
}


@pytest.mark.parametrize("function", [anything, untyped])
@pytest.mark.parametrize(("value", "says"), BAD.values(), ids=BAD)
def test_an_argument_that_cannot_be_read_back_is_refused_with_its_place(function: Any, value: Any, says: str) -> None:
    with pytest.raises(ArgumentsError, match=f"^shop: {says}$"):
        Signature(function, "shop").encode((value,), {})


@pytest.mark.parametrize("function", [anything, untyped])
@pytest.mark.parametrize(("value", "says"), BAD.values(), ids=BAD)
def test_a_result_that_cannot_be_read_back_is_refused_with_its_place(function: Any, value: Any, says: str) -> None:
    place = says.replace("x", "result", 1) if not says.startswith("x: Unable") else "Unable to serialize .*"
    with pytest.raises(TypeError, match=f"^the result of shop is not JSON: {place}$"):
        Signature(function, "shop").encode_result(value)


@pytest.mark.parametrize(("value", "says"), BAD.values(), ids=BAD)
def test_an_argument_of_a_job_by_name_is_refused_with_its_place(app: App, value: Any, says: str) -> None:
    with pytest.raises(ArgumentsError, match=f"^other: the arguments are not JSON: {says.removeprefix('x: Una')}$"
                       if not says.startswith("x: Una") else "Unable to serialize unknown type"):  # fmt: skip
        app.client.call_json("other", {"x": value}, Options(queue="emails"))


def test_values_at_the_limits_are_accepted() -> None:
    made = Signature(anything, "shop")
    for value in (nested(199), 10**4300 - 1, -(10**4300) + 1, 2**64, -0.0, "\x00", {"a": [True, None]}):
        assert made.decode(made.encode((value,), {}))["x"] == value
        assert made.decode_result(made.encode_result(value)) == value


PLAIN_JSON: dict[str, tuple[Any, Any]] = {
    "tuple": ((1, "a"), [1, "a"]),
    "set": ({7}, [7]),
    "frozenset": (frozenset({7}), [7]),
    "decimal": (Decimal("1.10"), "1.10"),
    "date": (date(2027, 1, 2), "2027-01-02"),
    "datetime": (datetime(2027, 1, 2, 3, tzinfo=UTC), "2027-01-02T03:00:00Z"),
    "uuid": (UUID(int=7), str(UUID(int=7))),
    "enum": (Size.LARGE, "large"),
    "dataclass": (Point(1.5), {"x": 1.5}),
    "model": (Photo(name="a", data=b"b"), {"name": "a", "data": "b"}),
    "text as bytes": (b"abc", "abc"),
    "keys that are numbers": ({1: {2.5: "a"}}, {"1": {"2.5": "a"}}),
    "decimal not a number": (Decimal("NaN"), "NaN"),
}


@pytest.mark.parametrize("function", [anything, untyped])
@pytest.mark.parametrize(("value", "back"), PLAIN_JSON.values(), ids=PLAIN_JSON)
def test_values_without_an_annotation_are_read_back_as_plain_json(function: Any, value: Any, back: Any) -> None:
    """The table in docs/values.md."""
    made = Signature(function, "shop")
    for arrived in (made.decode(made.encode((value,), {}))["x"], made.decode_result(made.encode_result(value))):
        assert (arrived, type(arrived)) == (back, type(back))


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (float | str, math.nan, "x: nan has no JSON and would be read back as 'NaN'; .*"),
        (dict[str, float | None] | None, {"a": math.inf}, None),
        (float, math.nan, None),
        (list[float], [math.inf, -math.inf], None),
        (dict[int, str], {1: "a"}, None),
        (dict[str | int, int], {1: 1, "1": 2}, "x: two of its keys are the same text in JSON; .*"),
        (dict[tuple[int, int], int], {(1, 2): 3}, r"x\.1,2\.\[key\]: must be a list"),
        (int, 10**5000, "x: an integer of more than 4300 digits; .*"),
        (bytes, b"\xff", "x: bytes that are not UTF-8 text; .*"),
        (str, "\ud800", "x: .*"),
        (Photo, Photo(data=b"\xff"), r"x\.data: bytes that are not UTF-8 text; .*"),
        (Measure, Measure(value=math.nan), r"x\.value: nan has no JSON and would be read back as None; .*"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (str(value) if not isinstance(value, int) else "integer"),
)
def test_annotated_values_are_read_back_or_refused(kind: Any, value: Any, says: str | None) -> None:
    async def handler(x: Any) -> Any: ...

    handler.__annotations__ |= {"x": kind, "return": kind}
    made = Signature(handler, "shop")
    if says is None:
        assert repr(made.decode(made.encode((value,), {}))["x"]) == repr(value)
        assert repr(made.decode_result(made.encode_result(value))) == repr(value)
        return
    with pytest.raises(ArgumentsError, match=f"^shop: {says}$"):
        made.encode((value,), {})
    with pytest.raises(TypeError, match=r"^the result of shop (is not JSON|cannot be read back as its return type): "):
        made.encode_result(value)


def test_any_bytes_travel_as_base64() -> None:
    """The message about bytes recommends this."""

    async def handler(photo: Base64Bytes) -> Base64Bytes: ...  # type: ignore[empty-body]

    made = Signature(handler, "shop")
    assert made.decode(made.encode((b"/wA=",), {})) == {"photo": b"\xff\x00"}
    assert made.decode_result(made.encode_result(b"\xff\x00")) == b"\xff\x00"


@pytest.mark.parametrize("value", [7, None, {"number": "seven"}])
def test_a_result_that_does_not_match_its_annotation_is_refused(value: Any) -> None:
    async def handler() -> str: ...  # type: ignore[empty-body]

    with pytest.raises(TypeError, match=r"^the result of shop cannot be read back as its return type: .*: must be"):
        Signature(handler, "shop").encode_result(value)


async def test_a_refused_result_makes_the_job_dead_after_one_attempt(app: App) -> None:
    @app.job
    async def deep() -> Any:
        return nested(230)

    @app.job
    async def digits():  # type: ignore[no-untyped-def]  # noqa: ANN202  # the subject
        return {"n": 10**5000}

    @app.job
    async def number() -> Any:
        return [math.nan]

    @app.job
    async def wrong() -> int:
        return "seven"  # type: ignore[return-value]  # the subject

    sent = [await job.enqueue() for job in (deep, digits, number, wrong)]
    worker = await run_until_idle(app)
    assert worker.metrics.failed == 4, "one attempt each: another one would return the same result"
    for job, says in zip(sent, ("nested more", "4300 digits", "nan has no JSON", "must be an integer"), strict=True):
        with pytest.raises(JobDeadError, match=f"TypeError: the result of .*{says}"):
            await job.result(timeout=5)


class Raises(BaseModel):
    """A model whose validator and serializer raise the exception that `kind` names."""

    kind: str

    @field_validator("kind")
    @classmethod
    def checked(cls, kind: str) -> str:
        if kind in ERRORS:
            raise ERRORS[kind]
        return kind

    @field_serializer("kind")
    def written(self, kind: str) -> str:
        if kind.removeprefix("late ") in ERRORS:
            raise ERRORS[kind.removeprefix("late ")]
        return kind


class Mute(Exception):  # noqa: N818  # a name as users give it
    def __str__(self) -> str:
        raise RuntimeError("cannot be described")


ERRORS: dict[str, BaseException] = {
    "key": KeyError("REGION"), "recursion": RecursionError("too deep"), "mute": Mute(), "zero": ZeroDivisionError("x"),
    "stop": StopIteration(1), "lines": LookupError("one\ntwo"), "async": StopAsyncIteration(),
    "exit": SystemExit(3), "generator": GeneratorExit(), "cancelled": asyncio.CancelledError(),
}  # fmt: skip


@pytest.mark.parametrize("kind", [*ERRORS, *(f"late {kind}" for kind in ERRORS)])
def test_any_exception_of_a_validator_or_serializer_is_an_arguments_error_on_enqueue(kind: str) -> None:
    async def handler(a: int, thing: Raises) -> None: ...

    with pytest.raises(ArgumentsError, match=r"^shop: thing: .*[A-Z]\w+") as caught:
        Signature(handler, "shop").encode((1, {"kind": kind}), {})
    assert "\n" not in str(caught.value)
    assert type(ERRORS[kind.removeprefix("late ")]).__name__ in str(caught.value)


class Region(BaseModel):
    name: str = Field(default_factory=lambda: ERRORS["no"])  # type: ignore[assignment]  # raises KeyError


def test_a_default_factory_that_raises_is_named() -> None:
    async def handler(region: Region) -> None: ...

    with pytest.raises(ArgumentsError, match=r"^shop: region: KeyError: 'no'$"):
        Signature(handler, "shop").encode(({},), {})


@pytest.mark.parametrize("kind", ERRORS)
def test_in_the_worker_only_a_validation_error_is_an_arguments_error(kind: str) -> None:
    async def handler(thing: Raises) -> Raises: ...  # type: ignore[empty-body]

    made = Signature(handler, "shop")
    raw = b'{"thing":{"kind":"%b"}}' % kind.encode()
    with pytest.raises(type(ERRORS[kind])):
        made.decode(raw)
    with pytest.raises(ArgumentsError):
        made.decode(b'{"thing":{"kind":7}}')
    with pytest.raises(StoreDataError, match=rf"shop: \S*{type(ERRORS[kind]).__name__}: ") as caught:
        made.decode_result(raw[9:-1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["key", "zero", "lines"])
def test_an_exception_of_a_result_serializer_is_raised_unchanged(kind: str) -> None:
    async def handler() -> Raises: ...  # type: ignore[empty-body]

    with pytest.raises(type(ERRORS[kind])):
        Signature(handler, "shop").encode_result(Raises.model_construct(kind=f"late {kind}"))


class Unbuildable:
    """A type whose schema cannot be built."""

    error: Exception = ZeroDivisionError("no schema\ntoday")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise cls.error


class Leaving:
    """A type whose schema raises SystemExit."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise SystemExit(3)


class Frame:
    """A type that pydantic does not know."""


Tree = list["Tree"]  # type: ignore[misc]  # an alias of itself


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Unbuildable, "ZeroDivisionError: no schema today"),
        (list[Unbuildable], "ZeroDivisionError: no schema today"),
        (Leaving, "SystemExit: 3"),
        (Frame, ".*Frame.*"),
        ("Missing", "its annotations do not resolve: name 'Missing' is not defined"),
        ("1 +", "its annotations do not resolve: .*"),
        ("1 / 0", "its annotations do not resolve: .*"),
        (Tree, ".*"),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["x", "return"])
def test_a_type_that_cannot_be_built_is_refused_when_the_worker_starts(annotation: Any, says: str, place: str) -> None:
    async def handler(x: int) -> int: ...  # type: ignore[empty-body]

    handler.__annotations__[place] = annotation
    made = Signature(handler, "shop")  # not when it is decorated: an annotation may name a class that is defined later
    with pytest.raises(
        ConfigurationError, match=f"^job shop: (its (arguments|result) cannot be JSON: )?{says}$"
    ) as caught:
        made.decoder()
    assert "\n" not in str(caught.value)


class Sizes(TypedDict, total=False):
    width: int
    unit: str


class Needed(TypedDict):
    width: int
    unit: NotRequired[str]


def keywords(function: Callable[..., Any], **given: Any) -> dict[str, Any]:
    made = Signature(function, "shop")
    return made.decode(made.encode((), given))


def test_extra_keyword_arguments_are_checked_by_their_type() -> None:
    async def handler(a: int, **more: int) -> None: ...
    async def dated(**more: date) -> None: ...

    assert keywords(handler, a=1, b="2") == {"a": 1, "b": 2}
    assert keywords(dated, day=date(2027, 1, 2)) == {"day": date(2027, 1, 2)}
    with pytest.raises(ArgumentsError, match=r"^shop: b: must be an integer$"):
        keywords(handler, a=1, b="x")
    with pytest.raises(ArgumentsError, match=r"^shop: b: must be an integer$"):
        Signature(handler, "shop").decode(b'{"a":1,"b":"x"}')
    with pytest.raises(ArgumentsError, match=r"^shop: photo: bytes that are not UTF-8 text; .*$"):
        keywords(anything_more, photo=b"\xff")


async def anything_more(**more: Any) -> None: ...


def test_unpacked_typed_dicts_accept_only_their_fields() -> None:
    async def handler(a: int, **more: Unpack[Sizes]) -> None: ...
    async def needed(**more: Unpack[Needed]) -> None: ...

    assert keywords(handler, a=1) == {"a": 1}
    assert keywords(handler, a=1, width="3", unit="cm") == {"a": 1, "width": 3, "unit": "cm"}
    with pytest.raises(ArgumentsError, match=r"^shop: width: must be an integer$"):
        keywords(handler, a=1, width="wide")
    with pytest.raises(ArgumentsError, match=r"^shop: widht: no such argument; did you mean width\?$"):
        keywords(handler, a=1, widht=3)
    with pytest.raises(ArgumentsError, match=r"^shop: width: is missing$"):
        keywords(needed, unit="cm")
    assert keywords(needed, width=3) == {"width": 3}
