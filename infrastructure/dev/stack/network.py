"""The stack's bridge, its rules and the kernel settings it needs; all of it is undone on the way down."""

from __future__ import annotations

import json
import re
from pathlib import Path

from . import shell
from .runtime import INSIDE
from .settings import BRIDGE, BRIDGE_ADDRESS, POD_CIDR, SERVICE_CIDR, Settings

PREFIX = POD_CIDR.split("/")[1]
OWN_TABLE = "loomworks"
TABLES = (f"ip {OWN_TABLE}", "ip kube-proxy", "ip6 kube-proxy")
CNI_VERSION = "1.0.0"
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
FIRST_POD_ADDRESS, LAST_POD_ADDRESS = "10.231.1.0", "10.231.255.250"

WANTED_SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    "fs.inotify.max_user_instances": 8192,
    "fs.inotify.max_user_watches": 524288,
}
CHANGED_BY_KUBERNETES = (  # the kubelet and kube-proxy set these without asking
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
)

RULES = f"""
table ip {OWN_TABLE}
delete table ip {OWN_TABLE}
table ip {OWN_TABLE} {{
    chain outside {{
        comment "nobody outside this machine opens a connection to a pod or a service"
        type filter hook prerouting priority mangle
        iifname != "lo" ip saddr != {POD_CIDR} ip daddr {{ {POD_CIDR}, {SERVICE_CIDR} }} ct state new drop
    }}
    chain leaving {{
        comment "pods speak to the world with the machine's address"
        type nat hook postrouting priority srcnat
        ip saddr {POD_CIDR} ip daddr != {POD_CIDR} masquerade
    }}
}}
"""


def ensure(settings: Settings) -> None:
    """Make the bridge with its address and routes, the rules and the kernel settings."""
    _remember_sysctls(settings)
    for name, value in WANTED_SYSCTLS.items():
        if int(_sysctl(name).read_text()) < value:
            _sysctl(name).write_text(str(value))
    _ensure_bridge()
    shell.run(["nft", "-f", "-"], input_text=RULES)


def _ensure_bridge() -> None:
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        shell.run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    shell.run(["ip", "address", "replace", f"{BRIDGE_ADDRESS}/{PREFIX}", "dev", BRIDGE])
    shell.run(["ip", "link", "set", BRIDGE, "up"])
    shell.run(["ip", "route", "replace", SERVICE_CIDR, "dev", BRIDGE, "src", BRIDGE_ADDRESS])


def cni_configuration() -> str:
    """The CNI network: each pod on a wire of its own, so that pods meet in the machine's routing and nowhere else.

    Two pods on one bridge would answer each other directly, past the address translation of Services.
    """
    addresses = {
        "type": "host-local",
        "ranges": [
            [
                {
                    "subnet": POD_CIDR,
                    "rangeStart": FIRST_POD_ADDRESS,
                    "rangeEnd": LAST_POD_ADDRESS,
                    "gateway": BRIDGE_ADDRESS,
                }
            ]
        ],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{INSIDE}/run/cni-addresses",
    }
    wire = {"type": "ptp", "ipam": addresses}
    return json.dumps({"cniVersion": CNI_VERSION, "name": "loomworks", "plugins": [wire]}, indent=1)


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _remembered(settings: Settings) -> Path:
    return settings.state / "sysctls.json"


def _remember_sysctls(settings: Settings) -> None:
    """Keep what the machine had, once: after a crash the first record is still the machine's own."""
    path = _remembered(settings)
    if path.exists():
        return
    paths = {name: _sysctl(name) for name in (*WANTED_SYSCTLS, *CHANGED_BY_KUBERNETES)}
    values = {name: file.read_text().strip() for name, file in paths.items() if file.exists()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1))


def remove(state: Path) -> None:
    """Remove bridge, pods' wires and rules, and give the machine its kernel settings back."""
    for wire in _wires():
        shell.run(["ip", "link", "delete", wire], check=False)
    for table in TABLES:
        shell.run(["nft", "delete", "table", *table.split()], check=False)
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        shell.run(["ip", "link", "delete", BRIDGE])
    _restore_sysctls(state / "sysctls.json")


def _restore_sysctls(path: Path) -> None:
    if not path.exists():
        return
    for name, value in json.loads(path.read_text()).items():
        if _sysctl(name).exists():
            _sysctl(name).write_text(value)
    path.unlink()


def _wires() -> list[str]:
    """The machine's ends of the pods' wires: they all carry the bridge's address."""
    shown = json.loads(shell.run(["ip", "-json", "-4", "address", "show", "to", BRIDGE_ADDRESS]) or "[]")
    return [link["ifname"] for link in shown if link.get("ifname", BRIDGE) != BRIDGE]


def traces() -> list[str]:
    """What of the stack's network is on this machine."""
    tables = shell.run(["nft", "list", "tables"], check=False).splitlines()
    found = [line for line in tables if line.removeprefix("table ").strip() in TABLES]
    found += _wires()
    return found + ([BRIDGE] if Path(f"/sys/class/net/{BRIDGE}").exists() else [])


def resolver_configuration(sources: tuple[Path, ...] = RESOLVERS) -> str:
    """What pods get as ``resolv.conf`` upstream: the machine's name servers that a pod can reach."""
    for source in sources:
        lines = source.read_text().splitlines() if source.exists() else []
        servers = [line for line in lines if re.match(r"nameserver\s+(?!127\.|::1)", line)]
        if servers:
            return "\n".join(servers) + "\n"
    return f"nameserver {BRIDGE_ADDRESS}\n"
