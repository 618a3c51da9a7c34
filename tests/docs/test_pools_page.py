"""`docs/pools.md` describes every field of a WorkerPool, with its default, and every field of its status."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobpools.core.pools.specs import PoolSpec
from jobpools.core.text.durations import format_duration
from jobpools_operator.crd_status import POOL_STATUS
from tests.docs.tables import names, rows as rows_of, section

PAGE = Path(__file__).parents[2] / "docs" / "pools.md"
OTHER_FORMS = {"job.retry.onErrors": "all", "template": "`{}`"}
"""Defaults that the page describes in another form."""


def models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation such as `tuple[ScalingPolicy, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the path of each field that holds a value, as in `scaling.schedules[].cron`."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        path = prefix + (field.alias or name)
        inner = models(field.annotation)
        if not inner:
            yield path, field
        for each in inner:
            yield from fields(each, f"{path}{'[]' if 'tuple' in str(field.annotation) else ''}.")


def default(path: str, field: FieldInfo) -> str:
    """Return a default as the page writes it."""
    if path in OTHER_FORMS:
        return OTHER_FORMS[path]
    value = field.default
    if field.is_required():
        return "required"
    if value is None:
        return "none"
    if any("parse_duration" in repr(each) or "_duration" in repr(each) for each in field.metadata):
        return format_duration(value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.value if isinstance(value, Enum) else value}`" if isinstance(value, str) else str(value)


def test_every_field_is_described_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([\w.\[\]]+)` \| (.+?) \| \S.* \|$", PAGE.read_text(), re.MULTILINE))
    expected = {path: default(path, field) for path, field in fields(PoolSpec)}
    assert rows.keys() >= expected.keys(), f"missing in docs/pools.md: {sorted(expected.keys() - rows.keys())}"
    assert {path: rows[path] for path in expected} == expected


def test_the_page_describes_no_other_field() -> None:
    spec = PAGE.read_text().partition("## Status")[0]
    rows = {path for path, _ in re.findall(r"^\| `([\w.\[\]]+)` \| (.+?) \| \S.* \|$", spec, re.MULTILINE)}
    assert rows == {path for path, _ in fields(PoolSpec)}


def test_every_field_of_the_status_is_described() -> None:
    listed = [name for cells in rows_of(section("pools.md", "Status")) for name in names(cells[0])]
    assert sorted(listed) == sorted(POOL_STATUS["properties"])
