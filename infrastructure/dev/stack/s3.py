"""A real S3 server: SeaweedFS, with TLS by the stack's authority on the bridge's address."""

from __future__ import annotations

import json
from pathlib import Path

from . import secrets, shell
from .runtime import INSIDE
from .settings import BRIDGE_ADDRESS, S3_PORT, Settings
from .supervisor import Program

BUCKET = "loomworks-pgbackrest"
REGION = "us-east-1"
VOLUME_SIZE = 256  # MiB: files of a volume; small ones leave space for many buckets
MAX_VOLUMES = 400
LOCAL_PORTS = {  # everything but S3 itself is the server's own business, on loopback
    "master.port": 18333,
    "master.port.grpc": 18334,
    "volume.port": 18335,
    "volume.port.grpc": 18336,
    "filer.port": 18337,
    "filer.port.grpc": 18338,
    "s3.port": 18339,
    "s3.port.grpc": 18340,
}

def identities(settings: Settings) -> str:
    """Who may do what: one account for the stack's own bucket owner."""
    account = secrets.ensure(settings, "pgbackrest-s3")
    credentials = [{"accessKey": account["key"], "secretKey": account["key-secret"]}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "loomworks", "credentials": credentials, "actions": actions}]}, indent=1)


def program(venv: Path, uses: tuple[Path, ...]) -> Program:
    """The server as a kept process."""
    ports = [f"-{name}={port}" for name, port in LOCAL_PORTS.items()]
    return Program(
        "s3",
        (
            venv / "bin" / "weed",
            "server",
            f"-dir={INSIDE}/s3",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            f"-s3.ip.bind={BRIDGE_ADDRESS}",
            f"-s3.port.https={S3_PORT}",
            f"-s3.cert.file={INSIDE}/pki/s3.crt",
            f"-s3.key.file={INSIDE}/pki/s3.key",
            f"-s3.config={INSIDE}/config/s3.json",
            "-s3.iam=false",
            f"-master.volumeSizeLimitMB={VOLUME_SIZE}",
            "-master.telemetry=false",
            f"-volume.max={MAX_VOLUMES}",
            "-volume.minFreeSpace=1GiB",
            *ports,
        ),
        {},
        uses,
    )


def make_bucket(settings: Settings, venv: Path) -> None:
    """Wait for the server and have the backup bucket exist."""
    account = secrets.ensure(settings, "pgbackrest-s3")
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "AWS_ACCESS_KEY_ID": account["key"],
        "AWS_SECRET_ACCESS_KEY": account["key-secret"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CA_BUNDLE": str(settings.pki / "ca.crt"),
    }
    command = [venv / "bin" / "python", "-m", "stack.make_bucket", f"https://{BRIDGE_ADDRESS}:{S3_PORT}", BUCKET]
    shell.run(command, env=environment)
