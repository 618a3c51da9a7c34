"""Write strict JSON schemas for kubeconform from the OpenAPI document in Kubernetes' source.

Usage: extract_schemas.py SWAGGER.JSON FOLDER. Writes one file for each kind, FOLDER/<kind>-<group>-<version>.json, and
`<kind>-<version>.json` for kinds of the core group.
"""

import json
import sys
from pathlib import Path
from typing import Any

DEFINITIONS = "definitions.json"


def strict(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition with unknown fields and null refused."""
    text = json.dumps(definition).replace('"#/definitions/', f'"{DEFINITIONS}#/definitions/')
    closed: dict[str, Any] = json.loads(text)
    if "properties" in closed:
        closed["additionalProperties"] = False
    if closed.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    return closed


def main(swagger: str, folder: str) -> None:
    """Write one JSON schema for each kind of `swagger` into `folder`."""
    definitions: dict[str, dict[str, Any]] = json.loads(Path(swagger).read_text())["definitions"]
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    closed = {name: strict(definition) for name, definition in definitions.items()}
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    closed[quantity] = {"type": ["string", "number"]}
    (target / DEFINITIONS).write_text(json.dumps({"definitions": closed}))
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].split(".")[0]
            file = "-".join(part for part in (kind["kind"].lower(), group, kind["version"]) if part)
            (target / f"{file}.json").write_text(json.dumps({"$ref": f"{DEFINITIONS}#/definitions/{name}"}))


if __name__ == "__main__":
    main(*sys.argv[1:])
