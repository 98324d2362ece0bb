"""The single-node cluster: its configuration written, its processes started in order, its DNS in place."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path

from . import (
    base_images,
    cluster_config,
    cluster_objects,
    kubectl,
    network,
    pki,
    registry,
    runtime,
    s3,
    supervisor,
    test_database,
)
from .pki import NODE_NAME
from .settings import BRIDGE_ADDRESS, EDGE_NODE_PORT, Settings
from .supervisor import Program
from .toolchain import Toolchain

KUBECONFIGS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "provisioner")
SERVERS = ("registry", "s3", "s3-forward", "edge-forward", "test-database", "etcd")
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = ("containerd", "kubelet", "kube-proxy")
PROVISIONER_READY = "provisioner.ready"
FOLDERS = ("kubelet", "pod-logs", "volumes", "registry", "s3", "containerd-temp", "run")


def write_configuration(settings: Settings, tools: Toolchain) -> None:
    """Write every file that the processes read; files that do not change are left alone."""
    pki.ensure(settings)
    for name in FOLDERS:
        (settings.state / name).mkdir(parents=True, exist_ok=True)
    pause = base_images.references(settings, tools)["pause"]
    config = settings.state / "config"
    files = {
        "containerd.toml": cluster_config.containerd(tools, pause),
        f"registries/{settings.registry}/hosts.toml": cluster_config.registry_hosts(settings.registry),
        "cni/10-loomworks.conflist": network.cni_configuration(),
        "kubelet.json": cluster_config.kubelet(),
        "kube-proxy.json": cluster_config.kube_proxy(),
        "resolv.conf": network.resolver_configuration(),
        "registry.json": registry.configuration(),
        "s3.json": s3.identities(settings),
    }
    files |= {f"{name}.kubeconfig": kubectl.config(settings.pki, name) for name in KUBECONFIGS}
    for name, text in files.items():
        _write(config / name, text)
    _write(settings.kubeconfig, kubectl.config(settings.pki, "admin"))


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def programs(settings: Settings, tools: Toolchain, venv: Path) -> list[Program]:
    """Every process of the stack."""
    config = settings.state / "config"
    authority = settings.pki / "ca.crt"

    def uses(*names: str) -> tuple[Path, ...]:
        return (authority, *(config / name for name in names))

    files = {
        "*": (authority,),
        "kube-apiserver": (settings.pki / "kube-apiserver.crt",),
        "kube-controller-manager": (config / "kube-controller-manager.kubeconfig",),
        "kube-scheduler": (config / "kube-scheduler.kubeconfig",),
        "containerd": (config / "containerd.toml",),
        "kubelet": (config / "kubelet.json", config / "resolv.conf", settings.pki / "kubelet.crt"),
        "kube-proxy": (config / "kube-proxy.json",),
    }
    return [
        registry.program(tools, (*uses("registry.json"), settings.pki / "registry.crt")),
        *s3.programs(venv, tools.node / "forward", (*uses("s3.json"), settings.pki / "s3.crt")),
        *cluster_config.programs(tools, files),
        _provisioner(venv, uses("provisioner.kubeconfig")),
        _forward(settings, tools),
        _test_database(settings),
    ]


def _provisioner(venv: Path, uses: tuple[Path, ...]) -> Program:
    source = Path(__file__).parent / "provisioner"
    command = (
        venv / "bin" / "python",
        *("-m", "stack.provisioner", "--node", NODE_NAME, "--images", runtime.INSIDE / "volumes"),
        *("--mounts", runtime.INSIDE / "run" / "volumes", "--ready", runtime.INSIDE / "run" / PROVISIONER_READY),
        *("--kubeconfig", runtime.INSIDE / "config" / "provisioner.kubeconfig"),
    )
    return Program("provisioner", command, {"PYTHONPATH": str(source.parents[1])}, (*uses, source))


def _forward(settings: Settings, tools: Toolchain) -> Program:
    command = (tools.node / "forward", f"127.0.0.1:{settings.edge_port}", f"{BRIDGE_ADDRESS}:{EDGE_NODE_PORT}")
    return Program("edge-forward", command)


def _test_database(settings: Settings) -> Program:
    return Program("test-database", tuple(test_database.command(settings)), stop_signal="INT")


def start_servers(settings: Settings, venv: Path) -> None:
    """Start what the cluster pulls from and backs up to: the registry and S3."""
    supervisor.start_programs(settings, venv, *SERVERS)
    supervisor.wait("the registry", lambda: registry.is_ready(settings))


def start(settings: Settings, venv: Path) -> None:
    """Start the cluster's processes and wait until its node is ready."""
    supervisor.start_programs(settings, venv, *CONTROL_PLANE)
    supervisor.wait("the API server", lambda: _api_is_ready(settings), timeout=120)
    cluster_objects.apply_base(settings)
    supervisor.start_programs(settings, venv, "provisioner")
    supervisor.wait("the provisioner", (settings.run / PROVISIONER_READY).exists)
    supervisor.start_programs(settings, venv, *NODE)
    supervisor.wait("the node", lambda: _node_is_ready(settings), timeout=120)


def _api_is_ready(settings: Settings) -> bool:
    context = ssl.create_default_context(cafile=str(settings.pki / "ca.crt"))
    context.load_cert_chain(settings.pki / "admin.crt", settings.pki / "admin.key")
    try:
        with urllib.request.urlopen(f"{kubectl.API_URL}/readyz", context=context, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _node_is_ready(settings: Settings) -> bool:
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return kubectl.run(settings, "get", "node", NODE_NAME, "-o", path, check=False) == "True"


def start_dns(settings: Settings, tools: Toolchain) -> None:
    """Have CoreDNS run in the cluster."""
    cluster_objects.apply_dns(settings, base_images.ensure(settings, tools)["coredns"])
    kubectl.run(settings, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")
