"""Write the CustomResourceDefinitions: `python -m jobpools_operator.crdgen FOLDER…`.

The specs come from the models of `jobpools.core`. Rules between fields are the CEL expressions below.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from jobpools.core.objects import GROUP, NAME_LIMIT, VERSION
from jobpools.core.pools.specs import PoolSpec
from jobpools.core.schedules.specs import ScheduleSpec
from jobpools.core.text.names import NAME_PATTERN
from jobpools_operator.crd_schema import Schema, structural
from jobpools_operator.crd_status import POOL_COLUMNS, POOL_STATUS, SCHEDULE_COLUMNS, SCHEDULE_STATUS

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
    {"rule": "has(self.url) != has(self.secretKeyRef)", "message": "set exactly one of url and secretKeyRef"},
]
POOL_RULES: dict[str, list[dict[str, str]]] = {
    "": [
        {
            "rule": "!has(self.replicas) || self.scaling.mode == 'Manual'",
            "message": "replicas is used only with scaling.mode: Manual; remove it or set that mode",
        },
    ],
    "scaling": [
        {
            "rule": "!has(self.min) || !has(self.max) || self.min <= self.max",
            "messageExpression": (
                "'min (%d) is greater than max (%d); lower min or raise max'.format([self.min, self.max])"
            ),
        },
    ],
    "job.timeout": [{"rule": "self.matches('[1-9]')", "message": "must be more than 0s"}],
    "redis": REDIS_RULES,
}
SCHEDULE_RULES: dict[str, list[dict[str, str]]] = {
    "": [{"rule": "has(self.schedule) != has(self.at)", "message": "set exactly one of schedule and at"}],
    "job.expires": [{"rule": "self.matches('[1-9]')", "message": "must be more than 0s"}],
    "redis": REDIS_RULES,
}


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
    """Return both definitions by file name."""
    category = ["jobpools-all"]
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    pool = {
        "description": "A group of identical workers that run background jobs, and the rules for scaling them.",
        "spec": structural(PoolSpec, POOL_RULES),
        "status": POOL_STATUS,
        "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": POOL_COLUMNS,
    }
    schedule: Schema = {
        "description": "A job that is enqueued at given times, once for each tick.",
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
    """A YAML writer without anchors: it repeats equal values."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def main(folders: list[str]) -> int:
    """Write both definitions into each folder."""
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
