"""What the real API server says to the manifests."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import openapi_schemas
import overlays
import pytest
from api_server import RESTRICTED, Kubectl, namespace

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def elsewhere(kubectl: Kubectl) -> Iterator[str]:
    """An empty namespace of the same kind as ours: immutable fields of what runs cannot get in the way."""
    name = f"dry-run-{uuid4().hex[:8]}"
    kubectl.apply(namespace(name, **RESTRICTED))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def moved(item: dict[str, Any], target: str) -> dict[str, Any]:
    """The same object in another namespace, without the port of the node that the running edge holds."""
    item = copy.deepcopy(item)
    if item["metadata"].get("namespace") == overlays.NAMESPACE:
        item["metadata"]["namespace"] = target
    for port in item.get("spec", {}).get("ports", ()):
        port.pop("nodePort", None)
    return item


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_the_server_accepts_every_object(kubectl: Kubectl, elsewhere: str, variant: str) -> None:
    items = [moved(item, elsewhere) for item in overlays.rendered(variant)]
    assert len(kubectl.apply(*items, dry_run=True).splitlines()) == len(items)


@pytest.mark.parametrize("variant", overlays.VARIANTS)
def test_the_server_admits_every_pod(kubectl: Kubectl, elsewhere: str, variant: str) -> None:
    """A Deployment is accepted whatever its pods ask for: Pod Security speaks when the pods are made."""
    for workload, pod in overlays.pods(variant).items():
        spec = {**copy.deepcopy(pod), "serviceAccountName": "default"}
        spec["volumes"] = [*spec["volumes"], *_claimed(spec)]
        item = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": workload, "namespace": elsewhere}, "spec": spec}
        assert "serverside-applied" in kubectl.apply(item, dry_run=True)


def _claimed(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """What a StatefulSet adds to its pods: a volume for each mount that none stands behind yet."""
    mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
    there = {volume["name"] for volume in spec["volumes"]}
    return [{"name": name, "emptyDir": {}} for name in sorted(mounted - there)]


def test_the_policies_are_free_of_type_errors(kubectl: Kubectl) -> None:
    """The server accepts an expression that it cannot type; it says so in the status only."""
    for policy in kubectl.get("validatingadmissionpolicies")["items"]:
        if policy["metadata"]["name"].startswith("loomworks-"):
            assert not policy["status"].get("typeChecking", {}).get("expressionWarnings"), policy["metadata"]["name"]


def test_kept_schemas_are_the_servers_own(kubectl: Kubectl) -> None:
    served = openapi_schemas.extract(json.loads(kubectl("get", "--raw", "/openapi/v2")))
    kept = {path.name: path.read_text() for path in openapi_schemas.FOLDER.iterdir()}
    assert kept == {name: openapi_schemas.text(schema) for name, schema in served.items()}
