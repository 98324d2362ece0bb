"""The configuration of every part of the cluster, as text; nothing here touches the machine."""

from __future__ import annotations

import json
from pathlib import Path

from .kubectl import API_PORT
from .pki import NODE_NAME, SERVICE_ACCOUNT
from .runtime import CGROUP, INSIDE
from .settings import BRIDGE_ADDRESS, CLUSTER_DOMAIN, DNS_ADDRESS, POD_CIDR, SERVICE_CIDR
from .supervisor import Program
from .toolchain import Toolchain

PKI = INSIDE / "pki"
CONFIG = INSIDE / "config"
CONTAINERD_SOCKET = INSIDE / "run" / "containerd.sock"
ETCD_PORT, ETCD_PEER_PORT = 23790, 23800  # not etcd's own: another may run on this machine
MAX_PODS = 500


def containerd(tools: Toolchain, pause_image: str) -> str:
    """containerd's configuration, version 3."""
    return f"""version = 3
root = '{INSIDE}/containerd'
state = '{INSIDE}/run/containerd'
temp = '{INSIDE}/containerd-temp'
disabled_plugins = [
  'io.containerd.nri.v1.nri', 'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.zfs', 'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.internal.v1.opt', 'io.containerd.internal.v1.tracing', 'io.containerd.image-verifier.v1.bindir',
]

[grpc]
  address = '{CONTAINERD_SOCKET}'

[ttrpc]
  address = '{CONTAINERD_SOCKET}.ttrpc'

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  discard_unpacked_layers = true
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '{pause_image}'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '{CONFIG}/registries'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['{tools.node}']
    conf_dir = '{CONFIG}/cni'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '{tools.node}/runc'
      Root = '{INSIDE}/run/runc'
      SystemdCgroup = false
"""


def registry_hosts(registry: str) -> str:
    """How containerd reaches the stack's own registry."""
    return f"""server = 'https://{registry}'

[host.'https://{registry}']
  ca = '{PKI}/ca.crt'
  client = [['{PKI}/registry-client.crt', '{PKI}/registry-client.key']]
"""


def kubelet() -> str:
    """The kubelet's configuration."""
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": BRIDGE_ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": f"{CONFIG}/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "podLogsDir": f"{INSIDE}/pod-logs",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "localStorageCapacityIsolation": True,
        "maxPods": MAX_PODS,
        "podPidsLimit": 4096,
        "volumeStatsAggPeriod": "10s",
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 98,
        "imageGCLowThresholdPercent": 95,
        "seccompDefault": True,
        "containerLogMaxSize": "20Mi",
        "containerLogMaxFiles": 2,
        "logging": {"format": "text"},
    }
    return json.dumps(settings, indent=1)


def kube_proxy() -> str:
    """kube-proxy's configuration; a zero leaves the kernel's own setting alone."""
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": POD_CIDR,
            "bindAddress": BRIDGE_ADDRESS,
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "hostnameOverride": NODE_NAME,
            "nodePortAddresses": [f"{BRIDGE_ADDRESS}/32"],
            "clientConnection": {"kubeconfig": f"{CONFIG}/kube-proxy.kubeconfig"},
            "nftables": {"minSyncPeriod": "50ms"},
            "conntrack": {
                "maxPerCore": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        },
        indent=1,
    )


def programs(tools: Toolchain, uses: dict[str, tuple[Path, ...]]) -> list[Program]:
    """The cluster's own processes in the order in which they start; ``uses`` are the files they read."""
    made = (
        Program("etcd", _etcd(tools)),
        Program("kube-apiserver", _apiserver(tools)),
        Program("kube-controller-manager", _controller_manager(tools)),
        Program("kube-scheduler", _scheduler(tools)),
        Program("containerd", _containerd(tools), {"PATH": f"{tools.node}:/usr/sbin:/usr/bin:/sbin:/bin"}),
        Program("kubelet", _kubelet(tools), {"PATH": f"{tools.node}:/usr/sbin:/usr/bin:/sbin:/bin"}),
        Program("kube-proxy", (tools.kubernetes / "kube-proxy", f"--config={CONFIG}/kube-proxy.json")),
    )
    return [Program(one.name, one.command, one.environment, uses["*"] + uses.get(one.name, ())) for one in made]


def _etcd(tools: Toolchain) -> tuple[str | Path, ...]:
    client, peer = f"https://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return (
        tools.node / "etcd",
        "--name=loomworks",
        f"--data-dir={INSIDE}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=loomworks={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={PKI}/ca.crt",
        f"--cert-file={PKI}/etcd.crt",
        f"--key-file={PKI}/etcd.key",
        "--auto-compaction-retention=1h",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    )


def _apiserver(tools: Toolchain) -> tuple[str | Path, ...]:
    return (
        tools.kubernetes / "kube-apiserver",
        f"--bind-address={BRIDGE_ADDRESS}",
        f"--advertise-address={BRIDGE_ADDRESS}",
        f"--secure-port={API_PORT}",
        f"--etcd-servers=https://127.0.0.1:{ETCD_PORT}",
        f"--etcd-cafile={PKI}/ca.crt",
        f"--etcd-certfile={PKI}/etcd-client.crt",
        f"--etcd-keyfile={PKI}/etcd-client.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/kube-apiserver.crt",
        f"--tls-private-key-file={PKI}/kube-apiserver.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/kubelet-client.crt",
        f"--kubelet-client-key={PKI}/kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-account-key-file={PKI}/{SERVICE_ACCOUNT}.pub",
        f"--service-account-signing-key-file={PKI}/{SERVICE_ACCOUNT}.key",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=false",
        "--allow-privileged=true",
        "--profiling=false",
    )


def _controller_manager(tools: Toolchain) -> tuple[str | Path, ...]:
    kubeconfig = f"{CONFIG}/kube-controller-manager.kubeconfig"
    return (
        tools.kubernetes / "kube-controller-manager",
        "--bind-address=127.0.0.1",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--authentication-skip-lookup=true",
        f"--root-ca-file={PKI}/ca.crt",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        f"--service-account-private-key-file={PKI}/{SERVICE_ACCOUNT}.key",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    )


def _scheduler(tools: Toolchain) -> tuple[str | Path, ...]:
    kubeconfig = f"{CONFIG}/kube-scheduler.kubeconfig"
    return (
        tools.kubernetes / "kube-scheduler",
        "--bind-address=127.0.0.1",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--authentication-skip-lookup=true",
        "--leader-elect=false",
        "--profiling=false",
    )


def _containerd(tools: Toolchain) -> tuple[str | Path, ...]:
    return (tools.node / "containerd", f"--config={CONFIG}/containerd.toml")


def _kubelet(tools: Toolchain) -> tuple[str | Path, ...]:
    return (
        tools.kubernetes / "kubelet",
        f"--config={CONFIG}/kubelet.json",
        f"--kubeconfig={CONFIG}/kubelet.kubeconfig",
        f"--root-dir={INSIDE}/kubelet",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={BRIDGE_ADDRESS}",
    )
