"""The manifests, and the cluster that they are applied to."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import manifests
import pytest

ENV_FILE = Path(os.environ.get("LOOMWORKS_STATE") or manifests.REPOSITORY / "build" / "dev") / "env"
CONTROL_PLANE = "system:serviceaccount:loomworks:control-plane"
PATIENCE = 60  # seconds
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
OURS = {"app.kubernetes.io/managed-by": "loomworks"}


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker when this folder is run by itself."""
    config.addinivalue_line("markers", "cluster: needs the running stack (make up) and build/dev/env")


@dataclass(frozen=True)
class Refused(Exception):
    """The API server did not do what was asked; ``str`` is what it said."""

    message: str

    def __str__(self) -> str:
        return self.message


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
            [manifests.kubectl(), *identity, *self.options, *arguments],
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
            stdin=manifests.dumped(list(items)),
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


@pytest.fixture(scope="session")
def stack() -> dict[str, str]:
    """What ``make up`` wrote for scripts."""
    if not ENV_FILE.exists():
        pytest.fail("the stack is not up: run `make up` first")
    return read_env()


@pytest.fixture(scope="session")
def kubectl(stack: dict[str, str]) -> Kubectl:
    """The cluster, as its administrator."""
    return Kubectl({**os.environ, "KUBECONFIG": stack["KUBECONFIG"]})


@pytest.fixture(scope="session")
def control_plane(kubectl: Kubectl) -> Kubectl:
    """The cluster, as the control plane's service account."""
    return kubectl.impersonating(CONTROL_PLANE)


def namespace(name: str, **labels: str) -> dict[str, Any]:
    """A namespace's manifest."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture(scope="module")
def tenant_namespace(kubectl: Kubectl, control_plane: Kubectl) -> Iterator[str]:
    """A tenant's namespace, made and bound as the control plane makes it."""
    name = f"lw-{uuid4()}"
    control_plane.apply(namespace(name, **RESTRICTED, **OURS))
    control_plane.apply(role_binding(name))
    wait_until(lambda: control_plane.is_allowed("create", "secrets", name))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def foreign_namespace(kubectl: Kubectl) -> Iterator[str]:
    """Somebody else's namespace in the same cluster."""
    name = f"foreign-{uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


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
