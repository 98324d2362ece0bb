"""Where the stack lives and what it is called: every path, address, port and version in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]

BRIDGE = "loomworks0"
BRIDGE_ADDRESS = "10.231.0.1"
POD_CIDR = "10.231.0.0/16"
SERVICE_CIDR = "10.232.0.0/16"
DNS_ADDRESS = "10.232.0.10"

CLUSTER_DOMAIN = "cluster.local"
STORAGE_CLASS = "loomworks-dev"
CONTROL_NAMESPACE = "loomworks"
ROUTES_NAMESPACE = "loomworks-routes"

REGISTRY_PORT = 5000
S3_PORT = 8333
EMBEDDED_DOMAIN = "loomworks.localhost"  # and whatever is below it: this machine, by RFC 6761
EDGE_NODE_PORT = 30080


@dataclass(frozen=True)
class Settings:
    """One stack: where its state and its cache are and how it is reached.

    ``state`` holds what ``make reset`` removes; ``cache`` holds what was built, keyed by
    version, and may be shared by several checkouts.
    """

    repository: Path
    state: Path
    cache: Path
    domain: str
    edge_port: int
    test_database_port: int
    external_kubeconfig: Path | None
    registry: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the settings from ``LOOMWORKS_*`` variables and ``KUBECONFIG``, with their defaults."""
        env = os.environ
        home_cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        state = Path(env.get("LOOMWORKS_STATE") or REPOSITORY / "build" / "dev").resolve()
        external = env.get("KUBECONFIG")
        if external and Path(external).resolve() == state / "kubeconfig":
            external = None  # somebody sourced build/dev/env: still our own cluster
        return cls(
            repository=REPOSITORY,
            state=state,
            cache=Path(env.get("LOOMWORKS_CACHE") or home_cache / "loomworks").resolve(),
            domain=env.get("LOOMWORKS_DOMAIN") or EMBEDDED_DOMAIN,
            edge_port=int(env.get("LOOMWORKS_EDGE_PORT") or 8080),
            test_database_port=int(env.get("LOOMWORKS_TEST_DATABASE_PORT") or 54317),
            external_kubeconfig=Path(external) if external else None,
            registry=env.get("LOOMWORKS_REGISTRY") or f"{BRIDGE_ADDRESS}:{REGISTRY_PORT}",
        )

    @cached_property
    def logs(self) -> Path:
        """The folder of every log the stack writes."""
        return self.state / "logs"

    @cached_property
    def run(self) -> Path:
        """Sockets and process ids; emptied whenever the stack is down."""
        return self.state / "run"

    @cached_property
    def pki(self) -> Path:
        """The stack's own certificate authority and everything it signed."""
        return self.state / "pki"

    @cached_property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig: the external cluster's, or our own."""
        return self.external_kubeconfig or self.state / "kubeconfig"

    @cached_property
    def env_file(self) -> Path:
        """Shell exports for scripts (``. build/dev/env``)."""
        return self.state / "env"
