"""CustomResourceDefinitions from `jobpools.core.specs`: `python -m jobpools_operator.crdgen FOLDER…` writes them.

A model's docstrings become descriptions, its limits become the structural schema, and what holds between fields becomes
CEL below. Defaults are written out, so that `kubectl get -o yaml` shows what is in force.
"""

import ast
import inspect
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from jobpools.core.objects import GROUP, NAME_LIMIT, VERSION
from jobpools.core.pools.specs import PoolSpec
from jobpools.core.schedules.specs import ScheduleSpec
from jobpools.core.schema import Model
from jobpools.core.text.durations import DURATION_PATTERN, format_duration
from jobpools.core.text.names import NAME_PATTERN

Schema = dict[str, Any]

NAME_RULES = [
    {
        "rule": f"size(self.metadata.name) <= {NAME_LIMIT}",
        "message": f"the name must be at most {NAME_LIMIT} characters",
    },
    {
        "rule": f"self.metadata.name.matches('{NAME_PATTERN}')",
        "message": "the name must be a DNS label: a-z, 0-9 and -",
    },
]
REDIS_RULES = [
    {"rule": "has(self.url) != has(self.secretKeyRef)", "message": "give exactly one of url and secretKeyRef"},
]
POOL_RULES: dict[str, list[dict[str, str]]] = {
    "": [
        {
            "rule": "!has(self.replicas) || self.scaling.mode == 'Manual'",
            "message": "replicas counts only with scaling.mode: Manual",
        },
    ],
    "scaling": [
        {
            "rule": "!has(self.min) || !has(self.max) || self.min <= self.max",
            "messageExpression": "'min (%d) is greater than max (%d)'.format([self.min, self.max])",
        },
    ],
    "job.timeout": [{"rule": "self.matches('[1-9]')", "message": "0s leaves a job no time at all"}],
    "redis": REDIS_RULES,
}
SCHEDULE_RULES: dict[str, list[dict[str, str]]] = {
    "": [{"rule": "has(self.schedule) != has(self.at)", "message": "give exactly one of schedule and at"}],
    "redis": REDIS_RULES,
}


def _field(kind: str, text: str, **more: Any) -> Schema:
    return {"type": kind, "description": text} | more


def _instant(text: str) -> Schema:
    return _field("string", text, format="date-time")


OBSERVED = _field("integer", "The spec that this status is about.", format="int64")
CONDITION: Schema = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": _field("string", "What is judged."),
        "status": _field("string", "The verdict.", enum=["True", "False", "Unknown"]),
        "reason": _field("string", "One stable word."),
        "message": _field("string", "One sentence with the figures."),
        "lastTransitionTime": _instant("When status last changed."),
        "observedGeneration": _field("integer", "The spec that the verdict is about.", format="int64"),
    },
}
CONDITIONS: Schema = {
    "type": "array",
    "description": "What is judged, and why: `kubectl describe` shows it.",
    "items": CONDITION,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}
WORKER: Schema = {
    "type": "object",
    "required": ["name", "ready"],
    "properties": {
        "name": _field("string", "The pod's name."),
        "ready": _field("boolean", "It takes jobs."),
        "busy": _field("integer", "Slots in use, by its latest report."),
        "slots": _field("integer", "How many jobs it can run at once."),
        "draining": _field("boolean", "It claims no more jobs."),
        "idleSince": _instant("Since when it has had nothing to run."),
        "problem": _field("string", "Why it cannot run."),
    },
}


POOL_STATUS: Schema = {
    "type": "object",
    "description": "What is. A figure that is not known is not there.",
    "properties": {
        "replicas": _field("integer", "Workers asked for."),
        "readyReplicas": _field("integer", "Workers that take jobs."),
        "busy": _field(
            "integer",
            "Slots in use, at most 5 s old. A slot is in use until Redis has recorded the end of its attempt.",
        ),
        "queued": _field(
            "integer", "Jobs that wait. Rewritten when the figure in steps of 1, 2, 5 and their tens changes."
        ),
        "inFlight": _field("integer", "Jobs that a worker holds."),
        "scheduled": _field("integer", "Jobs whose time has not come."),
        "dead": _field("integer", "Jobs in the dead-letter queues."),
        "oldestSeconds": _field(
            "integer", "How long the oldest queued job has been ready; rewritten in such steps as well."
        ),
        "completedPerMinute": _field("number", "Over the last minutes."),
        "failureRate": _field("number", "Failed attempts among all, over the last minutes."),
        "selector": _field("string", "The pods' label selector, for /scale."),
        "observedGeneration": OBSERVED,
        "workers": {
            "type": "array",
            "description": "At most ten examples; `jobpools workers` lists all.",
            "items": WORKER,
        },
        "conditions": CONDITIONS,
    },
}
SCHEDULE_STATUS: Schema = {
    "type": "object",
    "description": "What is. A figure that is not known is not there.",
    "properties": {
        "nextScheduleTime": _instant("When it fires next."),
        "lastScheduleTime": _instant("The latest tick that was fired."),
        "lastJob": {
            "type": "object",
            "description": "The job of the latest fire.",
            "properties": {"id": _field("string", "The job's id."), "state": _field("string", "The job's state.")},
        },
        "active": _field("integer", "Fired jobs that have not ended."),
        "fired": _field("integer", "Fires in all."),
        "missed": _field("integer", "Ticks that were given up."),
        "observedGeneration": OBSERVED,
        "conditions": CONDITIONS,
    },
}


def _column(name: str, kind: str, path: str, *, wide: bool = False) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})


READY_REASON = '.status.conditions[?(@.type=="Ready")].reason'
POOL_COLUMNS = [
    _column("Ready", "integer", ".status.readyReplicas"),
    _column("Desired", "integer", ".status.replicas"),
    _column("Busy", "integer", ".status.busy"),
    _column("Queued", "integer", ".status.queued"),
    _column("Oldest", "integer", ".status.oldestSeconds"),
    _column("Reason", "string", READY_REASON),
    _column("Min", "integer", ".spec.scaling.min", wide=True),
    _column("Max", "integer", ".spec.scaling.max", wide=True),
    _column("In-Flight", "integer", ".status.inFlight", wide=True),
    _column("Rate/Min", "number", ".status.completedPerMinute", wide=True),
    _column("Failures", "number", ".status.failureRate", wide=True),
    _column("Age", "date", ".metadata.creationTimestamp"),
]
SCHEDULE_COLUMNS = [
    _column("Schedule", "string", ".spec.schedule"),
    _column("Timezone", "string", ".spec.timeZone"),
    _column("Suspend", "boolean", ".spec.suspend"),
    _column("Next", "string", ".status.nextScheduleTime"),
    _column("Last", "date", ".status.lastScheduleTime"),
    _column("State", "string", ".status.lastJob.state"),
    _column("Age", "date", ".metadata.creationTimestamp"),
]


def structural(model: type[BaseModel], rules: dict[str, list[dict[str, str]]]) -> Schema:
    """The model's JSON schema in the form that the API server asks for: no references, one type everywhere."""
    document = model.model_json_schema(by_alias=True)
    schema = _inline(document, document.get("$defs", {}))
    for path, found in rules.items():
        place = schema
        for part in filter(None, path.split(".")):
            place = place["properties"][part]
        place["x-kubernetes-validations"] = found
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
    """What stands below each field, in one line.

    Pydantic would read it too, but wherever a model is imported: it cost a worker a tenth of its start.
    """
    found = {}
    for base in [each for each in reversed(model.__mro__) if issubclass(each, Model)]:
        (tree,) = ast.parse(inspect.getsource(base)).body
        for field, below in pairwise(tree.body):  # type: ignore[attr-defined]  # it is a class
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(field.target)] = " ".join(ast.literal_eval(below.value).split())
    return found


def _write_fields(schema: Schema, model: type[BaseModel]) -> None:
    """Each property's description and default, durations as a user would write them; a nested model's stand inside."""
    docstrings = _docstrings(model)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key not in schema["properties"]:
            continue
        told = {"description": docstrings[name]} if name in docstrings else {}
        # Twice: it stands first, and it counts before the description of the field's own type.
        target = schema["properties"][key] = told | schema["properties"][key] | told
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
        return [_yaml(schema["items"], each) for each in value]
    if schema.get("pattern") == DURATION_PATTERN:
        return format_duration(float(value))
    return value.value if hasattr(value, "value") else value


def _crd(kind: str, plural: str, names: Schema, version: Schema) -> Schema:
    singular = kind.lower()
    spec, status = version.pop("spec"), version.pop("status")
    schema = {
        "type": "object",
        "description": version.pop("description"),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        "x-kubernetes-validations": NAME_RULES,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular} | names,
            "versions": [
                {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}} | version
            ],
        },
    }


def crds() -> dict[str, Schema]:
    """Both definitions, by file name."""
    category = ["jobpools-all"]
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    pool = {
        "description": "A group of equal workers that run background jobs, and how many of them there are.",
        "spec": structural(PoolSpec, POOL_RULES),
        "status": POOL_STATUS,
        "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": POOL_COLUMNS,
    }
    schedule = {
        "description": "A job that is enqueued by the clock, once a tick.",
        "spec": structural(ScheduleSpec, SCHEDULE_RULES),
        "status": SCHEDULE_STATUS,
        "subresources": {"status": {}},
        "additionalPrinterColumns": SCHEDULE_COLUMNS,
    }
    return {
        "workerpools.yaml": _crd(
            "WorkerPool", "workerpools", {"shortNames": ["jobpools", "jobpool"], "categories": category}, pool
        ),
        "cronjobspecs.yaml": _crd(
            "CronJobSpec", "cronjobspecs", {"shortNames": ["jobcrons", "jobcron"], "categories": category}, schedule
        ),
    }


class _Plain(yaml.SafeDumper):
    """Writes a value out each time it comes up: anchors are for machines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def main(folders: list[str]) -> int:
    """Write both into each folder."""
    if not folders:
        sys.stderr.write("usage: python -m jobpools_operator.crdgen FOLDER…\n")
        return 2
    for folder in map(Path, folders):
        folder.mkdir(parents=True, exist_ok=True)
        for name, crd in crds().items():
            text = yaml.dump(crd, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
            (folder / name).write_text(
                f"# Generated from the specs in worker/jobpools/core by `make generate`. Do not edit.\n{text}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
