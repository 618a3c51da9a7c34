"""Arguments and results are converted to JSON and back, and validated by the handler's annotations."""

import functools
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from jobpools import App, ArgumentsError, ConfigurationError, Context, StoreDataError
from jobpools.signature import Signature
from jobpools.testing import run_until_idle


class Colour(StrEnum):
    RED = "red"


class Order(BaseModel):
    number: int = Field(alias="orderNumber")
    at: datetime | None = None


def signature(function: Callable[..., Any]) -> Signature:
    return Signature(function, "shop.job")


def round_trip(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    made = signature(function)
    return made.decode(made.encode(args, kwargs))


@pytest.mark.parametrize(
    "value",
    [
        3, 2.5, "ü", True, None, [1, 2], {"a": [None]}, (1, "x"), {1, 2}, Colour.RED, b"bytes", Decimal("1.10"),
        date(2027, 1, 2), datetime(2027, 1, 2, 3, 4, 5, 6, tzinfo=UTC), timedelta(seconds=1.5), Path("/tmp/x"),  # noqa: S108
        UUID(int=7), Order(orderNumber=7),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_has_its_annotated_type_after_a_round_trip(value: Any) -> None:
    async def handler(x: Any) -> None: ...

    kind = {tuple: tuple[int, str], set: set[int], type(None): None}.get(type(value), type(value))
    handler.__annotations__["x"] = kind
    arrived = round_trip(handler, value)["x"]
    assert (arrived, type(arrived)) == (value, type(value))


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_survives_a_round_trip(value: float) -> None:
    async def handler(x: float) -> None: ...

    assert round_trip(handler, value) == {"x": value}


def test_nan_survives_a_round_trip() -> None:
    async def handler(x: float) -> None: ...

    assert math.isnan(round_trip(handler, math.nan)["x"])


def test_json_uses_aliases_and_omits_the_handlers_defaults() -> None:
    async def handler(ctx: Context, order: Order, copies: int = 1) -> None: ...

    made = signature(handler)
    assert made.encode((Order(orderNumber=7),), {}) == b'{"order":{"orderNumber":7,"at":null}}'
    assert made.decode(b'{"order":{"orderNumber":7}}') == {"order": Order(orderNumber=7)}, "the handler's own default"


def test_json_holds_converted_values() -> None:
    async def handler(day: date, n: int) -> None: ...

    assert signature(handler).encode((), {"day": "2027-01-02", "n": "7"}) == b'{"day":"2027-01-02","n":7}'


def test_constraints_are_checked_on_enqueue_and_in_the_worker() -> None:
    async def handler(n: Annotated[int, Field(gt=0)]) -> None: ...

    made = signature(handler)
    with pytest.raises(ArgumentsError, match=r"^shop\.job: n: must be greater than 0$"):
        made.encode((0,), {})
    with pytest.raises(ArgumentsError, match=r"^shop\.job: n: must be greater than 0$"):
        made.decode(b'{"n":0}')


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"shop\.job: a: is missing"),
        ((1, 2, 3), {}, r"shop\.job: takes 2 positional arguments, 3 given"),
        ((1,), {"a": 2}, r"shop\.job: a: given twice; pass it by position or by name"),
        ((1,), {"c": 2}, r"shop\.job: c: no such argument; known: a, b"),
        (("x", "y"), {}, r"shop\.job: a: must be an integer; b: must be an integer"),
    ],
)
def test_the_error_of_a_wrong_call_is_one_line(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    async def handler(a: int, b: int = 0) -> None: ...

    with pytest.raises(ArgumentsError, match=f"^{message}$"):
        signature(handler).encode(args, kwargs)


def test_an_error_names_at_most_three_wrong_arguments() -> None:
    async def handler(a: int, b: int, c: int, d: int, e: int) -> None: ...

    with pytest.raises(ArgumentsError, match=r"; and 2 more$"):
        signature(handler).encode((), {})


@pytest.mark.parametrize("raw", [b"[]", b"7", b"{", b'{"a":1}{', b"\xff"])
def test_json_that_does_not_hold_the_arguments_is_an_arguments_error(raw: bytes) -> None:
    async def handler(a: int) -> None: ...

    with pytest.raises(ArgumentsError, match=r"^shop\.job: arguments: "):
        signature(handler).decode(raw)


def test_parameters_without_a_name_in_json_are_refused() -> None:
    async def rest(*args: int) -> None: ...
    async def positional(a: int, /) -> None: ...

    with pytest.raises(ConfigurationError, match=r"^job shop\.job: parameter args has no name in JSON"):
        signature(rest)
    with pytest.raises(ConfigurationError, match="parameter a has no name in JSON"):
        signature(positional)


def test_keyword_only_and_extra_keyword_arguments() -> None:
    async def handler(*, a: int, **more: Any) -> None: ...

    assert round_trip(handler, a=1, b="x") == {"a": 1, "b": "x"}
    with pytest.raises(ArgumentsError, match="takes 0 positional arguments, 1 given"):
        signature(handler).encode((1,), {})


async def _early(later: "Later") -> "Later":
    return later


async def _number() -> float: ...  # type: ignore[empty-body]


class Later(BaseModel):
    n: int


def test_an_annotation_may_name_a_class_that_is_defined_later() -> None:
    assert round_trip(_early, Later(n=1)) == {"later": Later(n=1)}
    assert signature(_early).decode_result(b'{"n":2}') == Later(n=2)


def test_annotations_that_are_undefined_or_not_json_are_configuration_errors() -> None:
    async def unknown(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # on purpose

    class Plain: ...

    async def plain(a: Plain) -> None: ...

    with pytest.raises(ConfigurationError, match="its annotations do not resolve: name 'Nowhere' is not defined"):
        signature(unknown).decoder()
    with pytest.raises(ConfigurationError, match="its arguments cannot be JSON"):
        signature(plain).decoder()


def test_results_follow_the_return_annotation_and_without_one_are_plain_json() -> None:
    async def typed() -> Order: ...  # type: ignore[empty-body]
    async def untyped(): ...  # type: ignore[no-untyped-def]  # noqa: ANN202  # the subject

    made = signature(typed)
    assert signature(_number).decode_result(signature(_number).encode_result(math.inf)) == math.inf
    with pytest.raises(TypeError, match="result: inf has no JSON"):
        signature(untyped).encode_result(math.inf)
    assert made.encode_result(Order(orderNumber=7)) == b'{"orderNumber":7,"at":null}'
    assert made.decode_result(b'{"orderNumber":7}') == Order(orderNumber=7)
    with pytest.raises(StoreDataError, match="does not match the return type of the handler"):
        made.decode_result(b'{"orderNumber":"seven"}')
    with pytest.raises(StoreDataError, match=r": shop\.job: result: must be a number"):
        signature(_number).decode_result(b'"seven"')
    assert signature(untyped).encode_result({"a": date(2027, 1, 2)}) == b'{"a":"2027-01-02"}'
    assert signature(untyped).decode_result(b'{"a":"2027-01-02"}') == {"a": "2027-01-02"}
    with pytest.raises(TypeError, match=r"the result of shop\.job is not JSON"):
        signature(untyped).encode_result(object())


def test_the_context_is_the_first_parameter_by_annotation_or_by_name() -> None:
    async def annotated(context: Context, a: int) -> None: ...
    async def named(ctx, a: int) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # the subject
    async def as_text(c: "Context", a: int) -> None: ...
    async def another(ctx: int) -> None: ...

    for function in (annotated, named, as_text):
        assert signature(function).encode((1,), {}) == b'{"a":1}'
    assert signature(another).encode((1,), {}) == b'{"ctx":1}'


class Doubler:
    """A handler with a state of its own."""

    factor = 2

    async def __call__(self, n: int) -> int:
        return self.factor * n

    def method(self, n: int) -> int:
        return self.factor * n


async def add(n: int, more: int = 0) -> int:
    return n + more


@pytest.mark.parametrize(
    ("function", "result"),
    [(Doubler(), 14), (Doubler().method, 14), (functools.partial(add, more=3), 10), (lambda n: n, 7)],
    ids=["object", "method", "partial", "lambda"],
)
async def test_any_callable_can_be_a_handler(app: App, function: Callable[..., Any], result: int) -> None:
    job = await app.job(name="work")(function).enqueue(7)
    await run_until_idle(app)
    assert await job.result() == result
