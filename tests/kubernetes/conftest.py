"""The manifests, and the cluster that they are applied to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from api_server import (
    CONTROL_PLANE,
    ENV_FILE,
    OURS,
    RESTRICTED,
    Kubectl,
    namespace,
    read_env,
    role_binding,
    wait_until,
)


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
