"""A real S3 server: SeaweedFS, with TLS by the stack's authority on the bridge's address."""

from __future__ import annotations

import json
from pathlib import Path

from . import secrets, shell
from .runtime import INSIDE
from .settings import BRIDGE_ADDRESS, S3_PORT, Settings
from .supervisor import Program

BUCKET = "loomworks-pgbackrest"
FILES_BUCKET = "loomworks-filestores"
IMPORTS_BUCKET = "loomworks-imports"
REGION = "us-east-1"
VOLUME_SIZE = 256  # MiB: files of a volume; small ones leave space for many buckets
MAX_VOLUMES = 400
STOP_WAIT = 4  # seconds: it waits 15 for its own connections to itself, with all data written
LOCAL_PORTS = {  # all on loopback: its own gRPC ports ask for no credentials
    "master.port": 18333,
    "master.port.grpc": 18334,
    "volume.port": 18335,
    "volume.port.grpc": 18336,
    "filer.port": 18337,
    "filer.port.grpc": 18338,
    "s3.port": 18339,
    "s3.port.grpc": 18340,
    "s3.port.https": 18341,
}
SWITCHED_OFF = ("s3.port.iceberg", "s3.port.lance")


def identities(settings: Settings) -> str:
    """Who may do what: the buckets' owner all, the tenants' files what they need in theirs, imports read in theirs."""
    owner = _identity(settings, "loomworks", "pgbackrest-s3", ["Admin", "Read", "Write", "List", "Tagging"])
    writing = [f"{action}:{FILES_BUCKET}" for action in ("Read", "Write", "List")]
    reading = [f"{action}:{IMPORTS_BUCKET}" for action in ("Read", "List")]
    others = [
        _identity(settings, "filestores", "filestore-s3", writing),
        _identity(settings, "imports", "imports-s3", reading),
    ]
    return json.dumps({"identities": [owner, *others]}, indent=1)


def _identity(settings: Settings, name: str, secret: str, actions: list[str]) -> dict:
    account = secrets.ensure(settings, secret)
    credentials = [{"accessKey": account["key"], "secretKey": account["key-secret"]}]
    return {"name": name, "credentials": credentials, "actions": actions}


def programs(venv: Path, forward: Path, uses: tuple[Path, ...]) -> tuple[Program, Program]:
    """The server, and what lets the bridge reach its S3 port: the server opens others beside it."""
    address, inner = f"{BRIDGE_ADDRESS}:{S3_PORT}", f"127.0.0.1:{LOCAL_PORTS['s3.port.https']}"
    return _server(venv, uses), Program("s3-forward", (forward, address, inner))


def _server(venv: Path, uses: tuple[Path, ...]) -> Program:
    ports = [f"-{name}={port}" for name, port in LOCAL_PORTS.items()] + [f"-{name}=0" for name in SWITCHED_OFF]
    return Program(
        "s3",
        (
            venv / "bin" / "weed",
            "-logtostderr",
            "server",
            f"-dir={INSIDE}/s3",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            "-s3.ip.bind=127.0.0.1",
            f"-s3.cert.file={INSIDE}/pki/s3.crt",
            f"-s3.key.file={INSIDE}/pki/s3.key",
            f"-s3.config={INSIDE}/config/s3.json",
            "-s3.iam=false",
            f"-master.volumeSizeLimitMB={VOLUME_SIZE}",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",
            f"-volume.max={MAX_VOLUMES}",
            "-volume.minFreeSpace=1GiB",
            "-volume.preStopSeconds=0",
            *ports,
        ),
        uses=uses,
        stop_wait=STOP_WAIT,
    )


def make_buckets(settings: Settings, venv: Path) -> None:
    """Wait for the server and have the buckets of the backups, the tenants' files and the sources of imports exist."""
    account = secrets.ensure(settings, "pgbackrest-s3")
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "AWS_ACCESS_KEY_ID": account["key"],
        "AWS_SECRET_ACCESS_KEY": account["key-secret"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CA_BUNDLE": str(settings.pki / "ca.crt"),
    }
    command = [venv / "bin" / "python", "-m", "stack.make_bucket", f"https://{BRIDGE_ADDRESS}:{S3_PORT}"]
    shell.run([*command, BUCKET, FILES_BUCKET, IMPORTS_BUCKET], env=environment)


def remove_sockets() -> None:
    """Remove the sockets that the server makes in the machine's /tmp, wherever it is told to work."""
    for path in Path("/tmp").glob("seaweedfs-*.sock"):
        port = path.stem.rpartition("-")[2]
        if port.isdigit() and int(port) in LOCAL_PORTS.values():
            path.unlink(missing_ok=True)
