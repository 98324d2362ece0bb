"""Kubeconfig files, and ``kubectl`` with the right one."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

from . import shell, toolchain
from .settings import BRIDGE_ADDRESS, Settings

API_PORT = 6443
API_URL = f"https://{BRIDGE_ADDRESS}:{API_PORT}"


def config(pki: Path, name: str) -> str:
    """A kubeconfig, as JSON, for the holder of certificate ``name``; nothing in it names a path."""
    cluster = {"server": API_URL, "certificate-authority-data": _encoded(pki / "ca.crt")}
    user = {
        "client-certificate-data": _encoded(pki / f"{name}.crt"),
        "client-key-data": _encoded(pki / f"{name}.key"),
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "loomworks", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "loomworks", "context": {"cluster": "loomworks", "user": name}}],
            "current-context": "loomworks",
        },
        indent=1,
    )


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write_config(path: Path, pki: Path, name: str) -> None:
    """Write the kubeconfig of ``name`` to ``path``, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_text(config(pki, name))


def run(settings: Settings, *arguments: str | Path, input_text: str | None = None, check: bool = True) -> str:
    """Run kubectl against the stack's cluster and return what it printed."""
    command = [program(settings), "--kubeconfig", settings.kubeconfig, *arguments]
    return shell.run(command, input_text=input_text, check=check)


def program(settings: Settings) -> Path:
    """The kubectl that fits: with an existing cluster the machine's own, else the one built here."""
    own = shutil.which("kubectl") if settings.external_kubeconfig else None
    return Path(own) if own else toolchain.ensure(settings).kubectl


def apply(settings: Settings, *manifests: dict, manager: str = "stack") -> None:
    """Apply manifests server-side; ``manager`` owns the fields they name, and removes those it no longer names."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    options = ["--server-side", "--force-conflicts", f"--field-manager={manager}"]
    run(settings, "apply", *options, "-f", "-", input_text=text)
