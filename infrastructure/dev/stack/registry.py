"""The local image registry: TLS, and for holders of the stack's client certificate only."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
from pathlib import Path

from .runtime import INSIDE
from .settings import BRIDGE_ADDRESS, REGISTRY_PORT, Settings
from .supervisor import Program
from .toolchain import Toolchain

MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
TIMEOUT = 10  # seconds


def configuration() -> str:
    """The registry's own configuration (JSON is YAML)."""
    tls = {
        "certificate": f"{INSIDE}/pki/registry.crt",
        "key": f"{INSIDE}/pki/registry.key",
        "clientcas": [f"{INSIDE}/pki/ca.crt"],
    }
    return json.dumps(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": f"{INSIDE}/registry"}, "delete": {"enabled": True}},
            "http": {"addr": f"{BRIDGE_ADDRESS}:{REGISTRY_PORT}", "tls": tls},
        },
        indent=1,
    )


def program(tools: Toolchain, uses: tuple[Path, ...]) -> Program:
    """The registry as a kept process."""
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    return Program("registry", (tools.node / "registry", "serve", f"{INSIDE}/config/registry.json"), environment, uses)


def client_certificates(settings: Settings) -> Path:
    """A folder in the layout that buildah's ``--cert-dir`` reads."""
    folder = settings.pki / "registry"
    folder.mkdir(exist_ok=True)
    for source, name in (
        ("ca.crt", "ca.crt"),
        ("registry-client.crt", "client.cert"),
        ("registry-client.key", "client.key"),
    ):
        shutil.copy2(settings.pki / source, folder / name)
    return folder


def is_ready(settings: Settings) -> bool:
    """Whether the registry answers."""
    try:
        return _status(settings, "GET", "/v2/") == 200
    except OSError:
        return False


def has(settings: Settings, reference: str) -> bool:
    """Whether the stack's own registry holds the image ``<registry>/<name>:<tag>``."""
    name, _, tag = reference.removeprefix(f"{settings.registry}/").rpartition(":")
    return _status(settings, "HEAD", f"/v2/{name}/manifests/{tag}") == 200


def _status(settings: Settings, method: str, path: str) -> int:
    context = ssl.create_default_context(cafile=str(settings.pki / "ca.crt"))
    context.load_cert_chain(settings.pki / "registry-client.crt", settings.pki / "registry-client.key")
    connection = http.client.HTTPSConnection(BRIDGE_ADDRESS, REGISTRY_PORT, context=context, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers={"Accept": MANIFEST_TYPES})
        return connection.getresponse().status
    finally:
        connection.close()
