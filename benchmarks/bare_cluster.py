"""A Kubernetes API server with its etcd and nothing else: what is written there stays as it was written.

No controller changes an object, so that pods can be said to run and claims to be bound without nodes or volumes; a
thousand namespaces go with the process. It answers as the server of the running stack does: it is the same program.
"""

import json
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import requests
from harness.s3_server import free_ports
from stack import toolchain
from stack.settings import Settings

START_TIMEOUT = 120  # seconds


class BareCluster:
    """One API server on loopback; ``kubeconfig`` leads its administrator there."""

    def __init__(self):
        self._tools = toolchain.ensure(Settings.from_environment())
        self._folder = Path(tempfile.mkdtemp(prefix="loomworks-bare-"))
        self._port, *self._etcd = free_ports(3)
        self._token = secrets.token_hex(16)
        self._processes = []

    @property
    def kubeconfig(self):
        """The path of the administrator's kubeconfig."""
        return self._folder / "kubeconfig"

    def start(self):
        """Start both, and wait until they answer."""
        self._write_files()
        for command in (self._etcd_command(), self._server_command()):
            log = (self._folder / f"{Path(command[0]).name}.log").open("w")
            self._processes.append(subprocess.Popen(list(map(str, command)), stdout=log, stderr=log))
        end = time.monotonic() + START_TIMEOUT
        while not self._is_ready():
            assert time.monotonic() < end, (self._folder / "kube-apiserver.log").read_text()[-3000:]
            time.sleep(0.2)

    def stop(self):
        """End them, and leave nothing."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        shutil.rmtree(self._folder)

    def _is_ready(self):
        authority = self._folder / "certificates" / "apiserver.crt"
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            url = f"https://127.0.0.1:{self._port}/readyz"
            return requests.get(url, headers=headers, verify=str(authority), timeout=5).status_code == 200
        except (requests.RequestException, OSError):  # its certificate is made at its start
            return False

    def _write_files(self):
        (self._folder / "tokens").write_text(f"{self._token},admin,admin,system:masters\n")
        key = ("openssl", "genrsa", "-out", str(self._folder / "accounts.key"), "2048")
        subprocess.run(key, check=True, capture_output=True)
        authority = str(self._folder / "certificates" / "apiserver.crt")
        server = {"server": f"https://127.0.0.1:{self._port}", "certificate-authority": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bare", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "admin"}}],
            "current-context": "bare",
        }
        self.kubeconfig.write_text(json.dumps(config))

    def _etcd_command(self):
        client, peer = (f"http://127.0.0.1:{port}" for port in self._etcd)
        return [
            self._tools.node / "etcd",
            f"--data-dir={self._folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def _server_command(self):
        account = f"{self._folder}/accounts.key"
        return [
            self._tools.kubernetes / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd[0]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self._folder}/certificates",
            f"--token-auth-file={self._folder}/tokens",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={account}",
            f"--service-account-signing-key-file={account}",
            "--service-account-issuer=https://bare.test",
            "--service-cluster-ip-range=10.250.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        ]
