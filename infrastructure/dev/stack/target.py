"""Where the product goes: the embedded cluster, or an existing one, described by ``LOOMWORKS_*`` variables.

For an existing cluster: ``KUBECONFIG``; ``LOOMWORKS_REGISTRY``, which this machine can push to and the cluster pull
from; ``LOOMWORKS_DOMAIN``, which leads to the edge with all its subdomains; ``LOOMWORKS_S3_ENDPOINT``, ``_BUCKET``,
``_REGION``, ``_KEY`` and ``_KEY_SECRET`` for the backups, with ``_CA`` (a file) where the endpoint's authority is a
private one. Optional: ``LOOMWORKS_FILES_S3_BUCKET``, ``_KEY`` and ``_KEY_SECRET`` for the tenants' files (else as the
backups), ``LOOMWORKS_IMPORTS_S3_ENDPOINT``, ``_BUCKET``, ``_REGION``, ``_KEY`` and ``_KEY_SECRET`` for the sources of
imports (else there are none), ``LOOMWORKS_STORAGE_CLASS`` (else the cluster's default), ``LOOMWORKS_EDGE`` (host:port;
else a node's port).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from . import kubectl, secrets
from .errors import StackError
from .settings import BRIDGE_ADDRESS, EDGE_NODE_PORT, EMBEDDED_DOMAIN, REGISTRY_PORT, Settings

S3_VARIABLES = tuple(f"LOOMWORKS_S3_{name}" for name in ("ENDPOINT", "BUCKET", "REGION", "KEY", "KEY_SECRET"))
FILES_VARIABLES = tuple(f"LOOMWORKS_FILES_S3_{name}" for name in ("BUCKET", "KEY", "KEY_SECRET"))
IMPORTS = "LOOMWORKS_IMPORTS_S3_"
IMPORTS_PLACE = ("ENDPOINT", "BUCKET", "REGION", "CA_FILE")
IMPORTS_ACCOUNT = {"key": "KEY", "key-secret": "KEY_SECRET"}
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def check(settings: Settings) -> None:
    """See that an existing cluster is described in full and answers.

    :raises StackError: naming what is missing
    """
    if settings.registry == f"{BRIDGE_ADDRESS}:{REGISTRY_PORT}":
        message = "KUBECONFIG names an existing cluster, and LOOMWORKS_REGISTRY does not say where it pulls images from"
        raise StackError(message, hint="export LOOMWORKS_REGISTRY=registry.example.com/loomworks, or unset KUBECONFIG")
    if missing := [name for name in S3_VARIABLES if not os.environ.get(name)]:
        raise StackError(f"the backups need a place; not set: {', '.join(missing)}")
    kubectl.run(settings, "version", "--request-timeout=10s")
    if settings.domain == EMBEDDED_DOMAIN:
        node = edge(settings).rpartition(":")[0]
        raise StackError(
            f"LOOMWORKS_DOMAIN is not set: {EMBEDDED_DOMAIN} is this machine, and the cluster is elsewhere",
            hint=f"export LOOMWORKS_DOMAIN=, a domain that leads with all its subdomains to {node}; {node}.nip.io does",
        )


def edge(settings: Settings) -> str:
    """``host:port`` where the edge answers."""
    if settings.external_kubeconfig is None:
        return f"127.0.0.1:{settings.edge_port}"
    return os.environ.get("LOOMWORKS_EDGE") or f"{_node_address(settings)}:{EDGE_NODE_PORT}"


def address(settings: Settings) -> str:
    """The address of the control plane, as browsers are to write it."""
    return f"http://{settings.domain}:{edge(settings).rpartition(':')[2]}"


def _node_address(settings: Settings) -> str:
    path = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    return kubectl.run(settings, "get", "nodes", "-o", path).strip()


def configuration(settings: Settings) -> dict[str, dict[str, str]]:
    """What the cluster changes in the overlay's ConfigMaps, by their names."""
    if settings.external_kubeconfig is None:
        return {}
    endpoint, bucket, region = (os.environ[name] for name in S3_VARIABLES[:3])
    return {
        "loomworks-config": {"LOOMWORKS_STORAGE_CLASS": _storage_class(settings)},
        "pgbackrest-config": {
            "PGBACKREST_REPO1_S3_ENDPOINT": endpoint,
            "PGBACKREST_REPO1_S3_BUCKET": bucket,
            "PGBACKREST_REPO1_S3_REGION": region,
        },
        "filestore-config": {
            "LOOMWORKS_FILESTORE_S3_ENDPOINT": endpoint,
            "LOOMWORKS_FILESTORE_S3_BUCKET": os.environ.get(FILES_VARIABLES[0]) or bucket,
            "LOOMWORKS_FILESTORE_S3_REGION": region,
        },
        "imports-config": {f"{IMPORTS}{name}": os.environ.get(f"{IMPORTS}{name}", "") for name in IMPORTS_PLACE},
    }


def _storage_class(settings: Settings) -> str:
    if given := os.environ.get("LOOMWORKS_STORAGE_CLASS"):
        return given
    classes = json.loads(kubectl.run(settings, "get", "storageclasses", "-o", "json"))["items"]
    for one in classes:
        if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
            return one["metadata"]["name"]
    raise StackError("the cluster has no default storage class", hint="export LOOMWORKS_STORAGE_CLASS=name")


def backup_account(settings: Settings) -> dict[str, str]:
    """The values of the Secret ``pgbackrest-s3``: the repository's account, its encryption, its authority."""
    values = secrets.ensure(settings, "pgbackrest-s3")
    if settings.external_kubeconfig is not None:
        values |= dict(zip(("key", "key-secret"), (os.environ[name] for name in S3_VARIABLES[3:]), strict=True))
    return {**values, "ca.crt": _authority(settings)}


def files_account(settings: Settings) -> dict[str, str]:
    """The values of the Secret ``filestore-s3``: the account of the tenants' files, and its authority."""
    if settings.external_kubeconfig is None:
        return {**secrets.ensure(settings, "filestore-s3"), "ca.crt": _authority(settings)}
    given = zip(FILES_VARIABLES[1:], S3_VARIABLES[3:], strict=True)
    key, key_secret = (os.environ.get(own) or os.environ[common] for own, common in given)
    return {"key": key, "key-secret": key_secret, "ca.crt": _authority(settings)}


def imports_account(settings: Settings) -> dict[str, str]:
    """The values of the Secret ``imports-s3``: an account that reads the sources of imports, and its authority."""
    if settings.external_kubeconfig is None:
        return {**secrets.ensure(settings, "imports-s3"), "ca.crt": _authority(settings)}
    values = {key: os.environ.get(f"{IMPORTS}{name}", "") for key, name in IMPORTS_ACCOUNT.items()}
    return {**values, "ca.crt": _authority(settings)}


def _authority(settings: Settings) -> str:
    if settings.external_kubeconfig is None:
        return (settings.pki / "ca.crt").read_text()
    return Path(os.environ.get("LOOMWORKS_S3_CA") or "/etc/ssl/certs/ca-certificates.crt").read_text()
