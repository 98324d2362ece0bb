"""The API server of the running stack, as its administrator and as somebody else, and what tests write there."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import overlays

ENV_FILE = Path(os.environ.get("LOOMWORKS_STATE") or overlays.REPOSITORY / "build" / "dev") / "env"
CONTROL_PLANE = "system:serviceaccount:loomworks:control-plane"
PATIENCE = 60  # seconds
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
OURS = {"app.kubernetes.io/managed-by": "loomworks"}


class Refused(Exception):
    """The API server did not do what was asked; ``str`` is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl against the running cluster, as its administrator or as somebody else."""

    environment: dict[str, str]
    user: str = ""
    options: tuple[str, ...] = field(default=())

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it and return what it printed.

        :raises Refused: with its standard error when it fails
        """
        identity = [f"--as={self.user}"] if self.user else []
        done = subprocess.run(
            [overlays.kubectl(), *identity, *self.options, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refused(done.stderr or done.stdout)
        return done.stdout

    def impersonating(self, user: str) -> Kubectl:
        """The same cluster, as ``user`` with the groups of a service account."""
        return Kubectl(self.environment, user, ("--as-group=system:serviceaccounts", "--as-group=system:authenticated"))

    def get(self, *arguments: str) -> dict[str, Any]:
        """Read an object or a list."""
        return json.loads(self("get", *arguments, "--output=json"))

    def apply(self, *items: dict[str, Any], dry_run: bool = False) -> str:
        """Apply server-side, as the control plane does."""
        options = ["--server-side", "--force-conflicts", "--field-manager=test"]
        return self(
            "apply",
            *options,
            *(["--dry-run=server"] if dry_run else []),
            "-f",
            "-",
            stdin=overlays.dumped(list(items)),
        )

    def is_allowed(self, verb: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Ask the authorizer; a subresource follows a slash (``pods/log``)."""
        where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        resource, _, subresource = resource.partition("/")
        target = f"{resource}/{name}" if name else resource
        try:
            return self("auth", "can-i", verb, target, f"--subresource={subresource}", *where).strip() == "yes"
        except Refused:
            return False


def read_env() -> dict[str, str]:
    """Return what ``make up`` wrote for scripts."""
    words = (shlex.split(line) for line in ENV_FILE.read_text().splitlines())
    return dict(word.split("=", 1) for line in words for word in line if "=" in word)


def namespace(name: str, **labels: str) -> dict[str, Any]:
    """A namespace's manifest."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def role_binding(where: str, role: str = "loomworks-tenant-manager", **subject: str) -> dict[str, Any]:
    """A role binding; without more it is the one that the control plane makes for itself."""
    subject = {"kind": "ServiceAccount", "name": "control-plane", "namespace": "loomworks", **subject}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": where},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def wait_until(holds: Any, seconds: float = PATIENCE) -> None:
    """Return once ``holds()`` is true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.1)
