"""The overlays as they are applied: rendered by kubectl's kustomize, once each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from stack import toolchain
from stack.settings import REPOSITORY, Settings

KUBERNETES = REPOSITORY / "infrastructure" / "kubernetes"
CLOUDS = ("gp3", "pd-ssd", "managed-premium")
VARIANTS = ("dev", *CLOUDS)
NAMESPACE = "loomworks"
WORKLOADS = frozenset({"Deployment", "StatefulSet"})

Manifest = dict[str, Any]


@cache
def kubectl() -> str:
    """The client: the one of the running stack, or the one that is built for it."""
    return os.environ.get("LOOMWORKS_KUBECTL") or str(toolchain.ensure(Settings.from_environment()).kubectl)


@cache
def kubeconform() -> str:
    """The validator of manifests."""
    return str(toolchain.ensure(Settings.from_environment()).node / "kubeconform")


@cache
def text(variant: str) -> str:
    """Render ``dev``, or ``production`` with the storage of a cloud."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "kubernetes"
        shutil.copytree(KUBERNETES, root)
        overlay = root / "overlays" / ("dev" if variant == "dev" else "production")
        if variant != "dev":
            _choose_cloud(overlay / "kustomization.yaml", variant)
        return subprocess.run([kubectl(), "kustomize", overlay], capture_output=True, text=True, check=True).stdout


def _choose_cloud(kustomization: Path, cloud: str) -> None:
    content = kustomization.read_text()
    assert "../../components/gp3" in content, "the overlay names one cloud, to be changed by its user"
    kustomization.write_text(content.replace("../../components/gp3", f"../../components/{cloud}"))


@cache
def rendered(variant: str) -> list[Manifest]:
    """The objects of a variant."""
    return list(yaml.safe_load_all(text(variant)))


def find(variant: str, kind: str, name: str, namespace: str | None = NAMESPACE) -> Manifest:
    """The one object of that kind and name; a generated name counts without its digest."""
    found = [
        item
        for item in rendered(variant)
        if item["kind"] == kind
        and (item["metadata"]["name"] == name or _without_digest(item) == name)
        and item["metadata"].get("namespace") in {namespace, None}
    ]
    assert len(found) == 1, f"{len(found)} {kind} named {name}"
    return found[0]


def _without_digest(item: Manifest) -> str:
    return item["metadata"]["name"].rpartition("-")[0] if item["kind"] == "ConfigMap" else ""


def pods(variant: str) -> dict[str, Manifest]:
    """The pod specification of every workload, by the workload's name."""
    workloads = (item for item in rendered(variant) if item["kind"] in WORKLOADS)
    return {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in workloads}


def containers(variant: str) -> list[tuple[str, Manifest]]:
    """Every container, init containers included, with the name of its workload."""
    return [
        (name, container)
        for name, pod in pods(variant).items()
        for container in [*pod.get("initContainers", ()), *pod["containers"]]
    ]


def dumped(items: list[Manifest]) -> str:
    """Manifests as one document that kubectl reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
