"""A pydantic model of `jobpools.core` as the structural schema of a CRD.

Docstrings become descriptions and limits become the schema. Defaults are written out, so that `kubectl get -o yaml`
shows the values in force.
"""

import ast
import inspect
from itertools import pairwise
from typing import Any, cast, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from jobpools.core.schema import Model
from jobpools.core.text.durations import DURATION_PATTERN, format_duration

Schema = dict[str, Any]


def structural(model: type[BaseModel], rules: dict[str, list[dict[str, str]]]) -> Schema:
    """Return the model's schema as the API server requires it: without references, and with one type for each field."""
    document = model.model_json_schema(by_alias=True)
    schema = _inline(document, document.get("$defs", {}))
    for path, found in rules.items():
        target = schema
        for part in filter(None, path.split(".")):
            target = target["properties"][part]
        target["x-kubernetes-validations"] = found
    _write_fields(schema, model)
    return schema


def _inline(node: Schema, defs: dict[str, Schema]) -> Schema:
    node = {
        key: value for key, value in node.items() if key not in ("$defs", "title", "additionalProperties", "default")
    }
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if "$ref" in node:
        target = defs[node.pop("$ref").rpartition("/")[2]]
        return _inline(target, defs) | {key: value for key, value in node.items() if key == "description"}
    if "anyOf" in node:
        (only,) = [choice for choice in node.pop("anyOf") if choice.get("type") != "null"]
        return _inline(only, defs) | node
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "properties" in node:
        node["properties"] = {name: _inline(value, defs) for name, value in node["properties"].items()}
    elif node.get("type") == "object":
        node["x-kubernetes-preserve-unknown-fields"] = True
    if "items" in node:
        node["items"] = _inline(node["items"], defs)
    return node


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field, in one line.

    Pydantic can read them as well, but at each import of a model: that cost a worker a tenth of its start time.
    """
    found: dict[str, str] = {}
    for base in [each for each in reversed(model.__mro__) if issubclass(each, Model)]:
        (tree,) = ast.parse(inspect.getsource(base)).body
        for field, below in pairwise(cast("ast.ClassDef", tree).body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(field.target)] = " ".join(ast.literal_eval(below.value).split())
    return found


def _write_fields(schema: Schema, model: type[BaseModel]) -> None:
    """Write the description and default of each field, also in nested models; durations as a user writes them."""
    docstrings = _docstrings(model)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key not in schema["properties"]:
            continue
        described = {"description": docstrings[name]} if name in docstrings else {}
        # Merged twice: to come first, and to replace the description of the field's own type.
        target = schema["properties"][key] = described | schema["properties"][key] | described
        for part in (field.annotation, *get_args(field.annotation)):  # X; X | None; tuple[X, ...]
            if isinstance(part, type) and issubclass(part, Model):
                _write_fields(target.get("items", target), part)
        default = field.get_default(call_default_factory=True, validated_data={})
        if default is not None and default is not PydanticUndefined:
            target["default"] = _yaml(target, default)
            if isinstance(target["default"], (str, int, float)):
                target["description"] += f" Default: {_shown(target['default'])}."  # `kubectl explain` shows no default


def _shown(default: str | float) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _yaml(schema: Schema, value: Any) -> Any:
    if isinstance(value, Model):
        dumped = value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {key: _yaml(schema["properties"][key], found) for key, found in dumped.items()}
    if isinstance(value, tuple):
        return [_yaml(schema["items"], each) for each in cast("tuple[object, ...]", value)]
    if schema.get("pattern") == DURATION_PATTERN:
        return format_duration(float(value))
    return value.value if hasattr(value, "value") else value
