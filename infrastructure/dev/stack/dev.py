"""``make dev``: the control plane from source on this machine, in the place of the cluster's own.

The process gets what the pod has: its configuration, its secrets, its volume, its service account and the
cluster's DNS. It sees the files of the checkout, so that Odoo's reload works, and the edge passes requests to it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path

from . import kubectl, odoo_host, runtime, supervisor, target
from .errors import StackError
from .progress import say
from .settings import (
    BRIDGE_ADDRESS,
    CLUSTER_DOMAIN,
    CONTROL_NAMESPACE,
    DNS_ADDRESS,
    SERVICE_CIDR,
    Settings,
)

PORT = 8069
USER = 10001  # as in the image: what it writes to the volume stays the pod's own
DEPLOYMENT = "deployment/control-plane"
CLAIM = "control-plane-data"
ENDPOINT_SLICE = "control-plane-from-source"
TOKEN_LIFETIME = "24h"
SCRIPTS = Path("infrastructure/docker/odoo/bin")
ADDONS = Path("/run/addons")

# The pod's view of /etc/resolv.conf and of its service account; and the addons alone, because Odoo watches
# whole folders for changes and the checkout holds the running cluster.
ENTER = """set -e
mount --make-rprivate /
mount --bind {inside} /mnt
mount -t tmpfs tmpfs /run
mkdir -p {inside} /run/secrets/kubernetes.io
mount --move /mnt {inside}
cp -r {account} /run/secrets/kubernetes.io/
for addon in {repository}/loomworks_*/; do
  mkdir -p {addons}/"$(basename "$addon")"
  mount --bind "$addon" {addons}/"$(basename "$addon")"
done
resolver=$(readlink -m /etc/resolv.conf)
mkdir -p "$(dirname "$resolver")"
[ -e "$resolver" ] || touch "$resolver"
mount --bind {resolver} "$resolver"
exec setpriv --reuid {user} --regid {user} --clear-groups \
  --inh-caps +dac_override,+dac_read_search --ambient-caps +dac_override,+dac_read_search -- "$@"
"""


def dev(settings: Settings) -> None:
    """Run until interrupted; then the cluster's own control plane comes back."""
    if settings.external_kubeconfig or not supervisor.is_alive(settings):
        raise StackError("there is no embedded stack to run against", hint="make up")
    environment = _environment(settings)
    files = _write_view(settings)
    with _in_its_place(settings):
        _run(settings, files, environment, settings.repository / SCRIPTS / "loomworks-init")
        say(f"\nThe control plane runs from {settings.repository}: {target.address(settings)}\n")
        options = [f"--http-interface={BRIDGE_ADDRESS}", f"--http-port={PORT}", "--dev=reload,xml"]
        arguments = _server_arguments(settings, environment)
        _run(settings, files, environment, odoo_host.ensure(settings).bin, *arguments, *options)


def _environment(settings: Settings) -> dict[str, str]:
    """The variables of the pod's container, with this machine's paths."""
    pod = json.loads(_get(settings, DEPLOYMENT))["spec"]["template"]["spec"]
    source = pod["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    secrets = settings.state / "secrets"
    password = secrets / "postgres-credentials" / "control-password"
    return {
        **json.loads(_get(settings, f"configmap/{source}"))["data"],
        "PROVISIONER_PASSWORD_FILE": str(secrets / "postgres-credentials" / "provisioner-password"),
        "CONTROL_PASSWORD_FILE": str(password),
        "PGPASSFILE": str(_password_file(settings, password.read_text())),
        "OPERATOR_DIR": str(secrets / "control-plane-operator"),
        "LOOMWORKS_ADDONS": str(ADDONS),
        "LOOMWORKS_DATA": str(_volume(settings)),
        "KUBERNETES_SERVICE_HOST": SERVICE_CIDR.replace(".0.0/16", ".0.1"),
        "KUBERNETES_SERVICE_PORT": "443",
        "HOME": str(_volume(settings)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _password_file(settings: Settings, password: str) -> Path:
    """A file for libpq: a password among the environment's variables would be in the process list."""
    path = settings.state / "dev" / "pgpass"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(f"*:*:*:loomworks_control:{password}\n")
    return path


def _server_arguments(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """The command line that the pod's own script would give Odoo."""
    path = str(settings.repository / SCRIPTS / "loomworks-control-plane")
    loader = SourceFileLoader("control_plane", path)
    script = importlib.util.module_from_spec(importlib.util.spec_from_loader("control_plane", loader))
    loader.exec_module(script)
    return script.arguments(environment)


def _volume(settings: Settings) -> Path:
    claim = json.loads(_get(settings, f"persistentvolumeclaim/{CLAIM}"))
    volume = json.loads(_get(settings, f"persistentvolume/{claim['spec']['volumeName']}"))
    return Path(volume["spec"]["local"]["path"])


def _get(settings: Settings, target: str) -> str:
    return kubectl.run(settings, "--namespace", CONTROL_NAMESPACE, "get", target, "-o", "json")


def _write_view(settings: Settings) -> Path:
    """Write what is mounted over the machine's own files; return the folder."""
    folder = settings.state / "dev"
    account = folder / "account" / "serviceaccount"
    account.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    create = ["create", "token", "control-plane", f"--duration={TOKEN_LIFETIME}"]
    files = {
        account / "token": kubectl.run(settings, "--namespace", CONTROL_NAMESPACE, *create).strip(),
        account / "ca.crt": (settings.pki / "ca.crt").read_text(),
        account / "namespace": CONTROL_NAMESPACE,
        folder / "resolv.conf": (
            f"nameserver {DNS_ADDRESS}\n"
            f"search {CONTROL_NAMESPACE}.svc.{CLUSTER_DOMAIN} svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}\n"
            "options ndots:5\n"
        ),
    }
    for path, text in files.items():
        path.write_text(text)
    return folder


@contextmanager
def _in_its_place(settings: Settings) -> Iterator[None]:
    """Put this machine's port behind the control plane's Service while its pod is away."""
    namespace = ("--namespace", CONTROL_NAMESPACE)
    kubectl.run(settings, *namespace, "scale", DEPLOYMENT, "--replicas=0")
    gone = ("wait", "pods", "--selector=app.kubernetes.io/name=control-plane", "--for=delete", "--timeout=90s")
    try:
        kubectl.run(settings, *namespace, *gone, check=False)
        kubectl.apply(settings, _endpoint_slice())
        yield
    finally:
        step_back(settings)
        kubectl.run(settings, *namespace, "scale", DEPLOYMENT, "--replicas=1")
        say("\nThe cluster's own control plane is coming back.")


def step_back(settings: Settings) -> None:
    """Take this machine's port away from the Service, if it is there."""
    delete = ("delete", "endpointslice", ENDPOINT_SLICE, "--ignore-not-found")
    kubectl.run(settings, "--namespace", CONTROL_NAMESPACE, *delete)


def _endpoint_slice() -> dict:
    labels = {"kubernetes.io/service-name": "control-plane", "endpointslice.kubernetes.io/managed-by": "loomworks-dev"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": ENDPOINT_SLICE, "namespace": CONTROL_NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": name, "port": PORT} for name in ("http", "websocket")],
        "endpoints": [{"addresses": [BRIDGE_ADDRESS], "conditions": {"ready": True}}],
    }


def _run(settings: Settings, files: Path, environment: Mapping[str, str], script: Path, *options: str) -> None:
    """Run one of the image's scripts in the stack's mount namespace, with the pod's view on top."""
    account, resolver = files / "account" / "serviceaccount", files / "resolv.conf"
    quoted = {"account": account, "resolver": resolver, "repository": settings.repository, "addons": ADDONS}
    places = {name: shlex.quote(str(path)) for name, path in quoted.items()}
    enter = ENTER.format(user=USER, inside=runtime.INSIDE, **places)
    python = odoo_host.ensure(settings).python
    # Odoo starts itself again as "python", which must be found to be this one.
    environment = {**environment, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    command = [
        *("nsenter", f"--target={supervisor.pid(settings)}", "--mount"),
        *("unshare", "--mount", "sh", "-c", enter, "dev"),
        *("env", *(f"{name}={value}" for name, value in environment.items())),
        *(python, script, *options),
    ]
    try:
        subprocess.run([str(word) for word in command], check=False, cwd="/")
    except KeyboardInterrupt:
        say("")
