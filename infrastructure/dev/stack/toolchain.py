"""The programs of the stack, built from pinned Go modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from . import cache, shell
from .errors import StackError
from .settings import Settings

MODULES = Path(__file__).resolve().parents[1] / "go"

KUBERNETES_VERSION = "v1.36.3"
KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
    "kube-proxy",
)
NODE_PACKAGES = (
    "github.com/containerd/containerd/v2/cmd/containerd",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    "github.com/containerd/containerd/v2/cmd/ctr",
    "github.com/containernetworking/plugins/plugins/ipam/host-local",
    "github.com/containernetworking/plugins/plugins/main/loopback",
    "github.com/containernetworking/plugins/plugins/main/ptp",
    "github.com/distribution/distribution/v3/cmd/registry",
    "github.com/yannh/kubeconform/cmd/kubeconform",
    "./coredns",
    "./forward",
)
FLAGS_VERSION = "2"  # to be raised when the way of building changes what is built
ETCD_PACKAGE = "go.etcd.io/etcd/server/v3"
RUNC_PACKAGE = "github.com/opencontainers/runc"

Build = Callable[[Path, Path, Path], None]


@dataclass(frozen=True)
class Toolchain:
    """Where the built programs are: one folder for Kubernetes, one for the node."""

    kubernetes: Path
    node: Path

    @property
    def kubectl(self) -> Path:
        """The client that fits the cluster."""
        return self.kubernetes / "kubectl"


@lru_cache
def ensure(settings: Settings) -> Toolchain:
    """Build what is not in the cache: about eight minutes on two cores the first time."""
    return Toolchain(
        kubernetes=_built(settings, "kubernetes", _build_kubernetes),
        node=_built(settings, "node", _build_node),
    )


def is_built(settings: Settings) -> bool:
    """Whether everything is in the cache."""
    names = ("kubernetes", "node")
    return all(cache.is_built(settings.cache, f"toolchain-{name}", _key(name)) for name in names)


def _built(settings: Settings, name: str, build: Build) -> Path:
    log = settings.logs / f"build-{name}.log"
    folder = cache.built(
        settings.cache,
        f"toolchain-{name}",
        _key(name),
        lambda target: build(MODULES / name, target / "bin", log),
    )
    return folder / "bin"


@lru_cache
def _key(name: str) -> str:
    try:
        go = shell.run(["go", "env", "GOVERSION"], cwd=MODULES / name).strip()
    except FileNotFoundError as error:
        raise StackError("the stack's programs are built with Go, which is not installed") from error
    return cache.digest([MODULES / name, go, FLAGS_VERSION, KUBERNETES_VERSION, *KUBERNETES_PROGRAMS, *NODE_PACKAGES])


def _build_kubernetes(module: Path, target: Path, log: Path) -> None:
    packages = [f"k8s.io/kubernetes/cmd/{program}" for program in KUBERNETES_PROGRAMS]
    _go_build(module, f"{target}/", packages, log, tags="providerless", link=_version_flags())


def _version_flags() -> str:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor}
    flags = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items()]
    return " ".join([*flags, f"-X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}"])


def _build_node(module: Path, target: Path, log: Path) -> None:
    _go_build(module, f"{target}/", NODE_PACKAGES, log)
    _go_build(module, target / "etcd", [ETCD_PACKAGE], log)
    _go_build(module, target / "runc", [RUNC_PACKAGE], log, tags="seccomp", cgo=True)


def _go_build(
    module: Path,
    output: Path | str,
    packages: Sequence[str],
    log: Path,
    *,
    tags: str = "",
    link: str = "",
    cgo: bool = False,
) -> None:
    """Build ``packages``; whatever was compiled before a kill comes from Go's own cache next time."""
    command = ["go", "build", "-trimpath", "-tags", tags, "-ldflags", f"-s -w {link}".strip(), "-o", output]
    environment = {"CGO_ENABLED": "1" if cgo else "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    shell.run(["nice", *command, *packages], log=log, env=environment, cwd=module)
