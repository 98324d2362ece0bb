"""A real S3 server for tests without the cluster: SeaweedFS on loopback, with TLS by the stack's own authority."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from stack import pki
from stack.settings import Settings

REGION = "us-east-1"
START_TIMEOUT = 60  # seconds
SERVERS = ("master", "volume", "filer", "s3")


class S3Server:
    """One server with one account; :meth:`start` and :meth:`stop` as often as wanted, the objects stay."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._pki = pki.ensure(settings)
        self._folder = folder
        self._process: subprocess.Popen | None = None
        self.key, self.key_secret = secrets.token_hex(8), secrets.token_hex(16)
        self.ca_file = folder / "ca.crt"
        self._ports = dict(zip(("https", *_options()), free_ports(1 + 2 * len(SERVERS)), strict=True))
        self.least_free = "1GiB"  # of its disk; with less, it takes nothing more
        (folder / "objects").mkdir(parents=True)
        shutil.copy(self._pki / "ca.crt", self.ca_file)
        self.lesser = secrets.token_hex(8), secrets.token_hex(16)  # an account that reads and writes objects only
        identities = [
            _identity("test", (self.key, self.key_secret), ["Admin", "Read", "Write", "List", "Tagging"]),
            _identity("lesser", self.lesser, ["Read", "Write", "List"]),
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))

    @property
    def endpoint(self) -> str:
        """The address, with https."""
        return f"https://127.0.0.1:{self._ports['https']}"

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers, and gives out again what it had."""
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                return self._read_something()
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _read_something(self) -> None:
        """Read of each bucket's objects the largest: small ones are answered before those that hold data are known."""
        client = self.client()
        for bucket in client.list_buckets()["Buckets"]:
            objects = client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
            for largest in sorted(objects, key=lambda one: one["Size"])[-1:]:
                client.get_object(Bucket=bucket["Name"], Key=largest["Key"])["Body"].read()

    def stop(self) -> None:
        """End it, and wait for its end."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self):
        """Return a boto3 client with the account's rights."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.key_secret,
            region_name=REGION,
            verify=str(self.ca_file),
            config=Config(retries={"max_attempts": 1}, connect_timeout=2, s3={"addressing_style": "path"}),
        )

    def _command(self) -> list[str]:
        ports = [f"-{name}={port}" for name, port in self._ports.items() if name != "https"]
        return [
            str(Path(sys.executable).parent / "weed"),
            "-logtostderr",
            "server",
            f"-dir={self._folder}/objects",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            "-s3.ip.bind=127.0.0.1",
            f"-s3.cert.file={self._pki}/s3.crt",
            f"-s3.key.file={self._pki}/s3.key",
            f"-s3.config={self._folder}/s3.json",
            "-s3.iam=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.port.https={self._ports['https']}",
            "-master.volumeSizeLimitMB=256",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",
            "-volume.max=400",
            f"-volume.minFreeSpace={self.least_free}",
            "-volume.preStopSeconds=0",
            *ports,
        ]


def _identity(name: str, account: tuple[str, str], actions: list[str]) -> dict:
    credentials = [dict(zip(("accessKey", "secretKey"), account, strict=True))]
    return {"name": name, "credentials": credentials, "actions": actions}


def _options() -> list[str]:
    return [f"{server}.port{kind}" for server in SERVERS for kind in ("", ".grpc")]


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def serving(*buckets: str) -> Iterator[S3Server]:
    """Offer a server with these buckets, in a folder of its own that goes with it; who stops it starts it again."""
    folder = Path(tempfile.mkdtemp(prefix="loomworks-s3-", dir="/tmp"))
    server = S3Server(Settings.from_environment(), folder / "s3")
    try:
        server.start()
        for bucket in buckets:
            server.client().create_bucket(Bucket=bucket)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
