"""JSON schemas for kubeconform, cut out of an API server's own OpenAPI document.

``python3 openapi_schemas.py < openapi-v2.json`` (from ``kubectl get --raw /openapi/v2``) writes
``schemas/``: one file of all definitions that our kinds reach, without their descriptions, and one small
file a kind that points into it. Unknown fields are errors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "schemas"
DEFINITIONS = "definitions.json"
PREFIX = "#/definitions/"
KINDS = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "Deployment",
        "EndpointSlice",
        "Ingress",
        "Job",
        "LimitRange",
        "Namespace",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "ServiceAccount",
        "StatefulSet",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
Schema = dict[str, Any]


def extract(document: Schema) -> dict[str, Schema]:
    """Return the files, by name, for the stable version of each of our kinds."""
    tops = dict(_tops(document["definitions"]))
    reached = _reached(document["definitions"], tops.values())
    definitions = {name: _strict(document["definitions"][name]) for name in sorted(reached)}
    files: dict[str, Schema] = {DEFINITIONS: {"definitions": definitions}}
    for file, name in sorted(tops.items()):
        files[file] = {"$ref": f"{DEFINITIONS}{PREFIX}{name}"}
    return files


def _tops(definitions: Schema) -> Iterator[tuple[str, str]]:
    for name, schema in definitions.items():
        for served in schema.get("x-kubernetes-group-version-kind", ()):
            if served["kind"] in KINDS and served["version"] == "v1":
                group = f"-{served['group'].split('.')[0]}" if served["group"] else ""
                yield f"{served['kind'].lower()}{group}-v1.json", name


def _reached(definitions: Schema, names: Any) -> set[str]:
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _references(definitions[name])
    return reached


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix(PREFIX)
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _strict(schema: Schema) -> Schema:
    """Keep what validates, and close every object that has named properties."""
    kept = {key: _kept(key, value) for key, value in schema.items() if key in VALIDATING}
    if schema.get("format") == "int-or-string":
        kept["type"] = ["string", "integer"]
    if "properties" in kept:
        kept["additionalProperties"] = False
    return kept


VALIDATING = frozenset({"$ref", "type", "properties", "required", "items", "additionalProperties", "enum", "allOf"})


def _kept(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _strict(part) for name, part in value.items()}
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _strict(value)
    return [_strict(part) for part in value] if key == "allOf" else value


def text(schema: Schema) -> str:
    """The form in which a schema is kept: one line, keys in order."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n"


def write(document: Schema) -> None:
    """Write the schemas of ``document`` to the folder beside this file."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in extract(document).items():
        (FOLDER / name).write_text(text(schema))


if __name__ == "__main__":
    write(json.load(sys.stdin))
