"""Put the product on the cluster: its secrets, its manifests with this build's images, its rollouts."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

from . import dev, kubectl, secrets, target
from .settings import CONTROL_NAMESPACE, Settings

OVERLAY = Path("infrastructure/kubernetes/overlays/dev")
ROLLOUTS = ("statefulset/postgres", "deployment/edge", "deployment/control-plane")


def apply_secrets(settings: Settings) -> None:
    """Have the namespace with the secrets that the manifests name."""
    made = {
        "postgres-credentials": secrets.ensure(settings, "postgres-credentials"),
        "control-plane-operator": secrets.ensure(settings, "control-plane-operator"),
        "pgbackrest-s3": target.backup_account(settings),
        "filestore-s3": target.files_account(settings),
        "imports-s3": target.imports_account(settings),
        "postgres-tls": _server_certificate(settings),
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CONTROL_NAMESPACE}}
    manifests = [_secret(name, values) for name, values in made.items()]
    kubectl.apply(settings, namespace, *manifests, manager="stack-secrets")


def _server_certificate(settings: Settings) -> dict[str, str]:
    files = {"tls.crt": "postgres.crt", "tls.key": "postgres.key", "ca.crt": "ca.crt"}
    return {key: (settings.pki / name).read_text() for key, name in files.items()}


def _secret(name: str, values: Mapping[str, str]) -> dict:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": CONTROL_NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def apply(settings: Settings, images: Mapping[str, str]) -> None:
    """Apply the overlay with these images; what the manifests do not say is left as it is."""
    apply_secrets(settings)
    dev.step_back(settings)
    folder = settings.state / "kustomize"
    folder.mkdir(parents=True, exist_ok=True)
    overlay = os.path.relpath(settings.repository / OVERLAY, folder.resolve())
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization(settings, images, overlay), indent=1))
    kubectl.run(
        settings,
        *("apply", "--server-side", "--force-conflicts", "--field-manager=stack", "--kustomize", folder),
    )


def kustomization(settings: Settings, images: Mapping[str, str], overlay: str) -> dict:
    """The overlay with this build's images and this target's addresses on top."""
    maps = target.configuration(settings)
    maps["loomworks-config"] = {
        "LOOMWORKS_DOMAIN": settings.domain,
        "LOOMWORKS_PUBLIC_URL": target.address(settings),
        "LOOMWORKS_ODOO_IMAGE": images["loomworks-odoo"],
        "LOOMWORKS_POSTGRES_IMAGE": images["loomworks-postgres"],
        **maps.get("loomworks-config", {}),
    }
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [overlay],
        "images": [_image(name, reference) for name, reference in images.items()],
        "configMapGenerator": [_merged_map(name, values) for name, values in maps.items()],
    }


def _merged_map(name: str, values: Mapping[str, str]) -> dict:
    literals = [f"{key}={value}" for key, value in values.items()]
    return {"name": name, "namespace": CONTROL_NAMESPACE, "behavior": "merge", "literals": literals}


def _image(name: str, reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {"name": name, "newName": repository, "newTag": tag}
