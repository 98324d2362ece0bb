"""What is ours: by its name and by what it says of itself, both. Whatever leaves a doubt is somebody else's.

Each function takes an object as the API or the catalogue gives it, and returns None for another system's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ...loomworks_tenant.errors import InvalidQuantity
from ...loomworks_tenant.kube import names, quantity, template_job
from ...loomworks_tenant.kube.manifest import Manifest
from .sighting import Kind, Sighting

DATABASE = re.compile(r"^t_([0-9a-f]{32})(_r[0-9]+)?$")
ROLE = re.compile(r"^t_([0-9a-f]{32})$")
TEMPLATE = re.compile(r"^loomworks_template_[a-z][a-z0-9_]{0,19}_[0-9a-f]{12}(_new)?$")
JOB = re.compile(
    r"^(files-backup-[0-9]+|files-restore-[0-9a-f]{10}|import-[0-9]+(-modules)?|neutralise-(first|r[0-9]+))$"
)


@dataclass(frozen=True)
class OwnJobs:
    """The Jobs in one of the control plane's own namespaces: by name and component, and of a tenant or of none."""

    component: str
    name: re.Pattern[str]
    of_tenant: bool
    what: str


RESTORES = "lw-restores"  # the namespace of those that loomworks_snapshot makes
OWN_JOBS = {
    RESTORES: OwnJobs("restore", re.compile(r"^restore-[0-9]+$"), True, "a restore"),
    template_job.NAMESPACE: OwnJobs(
        template_job.COMPONENT,
        re.compile(r"^template-[a-z][a-z0-9-]{0,19}-[0-9a-f]{12}$"),
        False,
        "builds a template database",
    ),
}
LEFT = frozenset({"Released", "Failed"})  # phases of a volume whose claim is gone


def namespace(found: Manifest) -> Sighting | None:
    """A tenant's namespace, named and labelled after it."""
    meta = found["metadata"]
    tenant = _labelled(meta)
    if not tenant or meta["name"] != names.namespace(tenant):
        return None
    called = meta.get("annotations", {}).get("loomworks.io/name", "")
    return Sighting(Kind.NAMESPACE, meta["name"], tenant, **_seen(meta, f"of the tenant “{called}”" if called else ""))


def claim(found: Manifest) -> Sighting | None:
    """The claim of a tenant's volume, in the tenant's namespace."""
    meta, status = found["metadata"], found.get("status", {})
    tenant = _labelled(meta)
    if not tenant or (meta["name"], meta["namespace"]) != (names.volume_claim(tenant), names.namespace(tenant)):
        return None
    told = f"{status.get('phase', 'Pending')}, volume {found.get('spec', {}).get('volumeName') or 'none'}"
    deleted = meta.get("annotations", {}).get("loomworks.io/deleted-at")
    told += f", archived since {deleted}" if deleted else ""
    size = _bytes(status.get("capacity", {}).get("storage") or _requested(found))
    lost = found.get("spec", {}).get("volumeName", "") if status.get("phase") == "Lost" else ""
    return Sighting(Kind.CLAIM, meta["name"], tenant, meta["namespace"], size=size, lost=lost, **_seen(meta, told))


def volume(found: Manifest) -> Sighting | None:
    """A volume that a tenant's claim has left behind. It carries no label; its claim's names say whose it was."""
    meta, spec = found["metadata"], found.get("spec", {})
    reference, phase = spec.get("claimRef") or {}, found.get("status", {}).get("phase")
    tenant = _uuid(reference.get("namespace", "").removeprefix("lw-"))
    expected = (names.namespace(tenant), names.volume_claim(tenant)) if tenant else None
    if phase not in LEFT or (reference.get("namespace"), reference.get("name")) != expected:
        return None
    policy = spec.get("persistentVolumeReclaimPolicy", "Retain")
    told = f"{phase}, was bound to {reference['namespace']}/{reference['name']}, {policy}, class "
    told += spec.get("storageClassName") or "none"
    handle = spec.get("csi", {}).get("volumeHandle") or spec.get("local", {}).get("path")
    told += f", storage {handle}" if handle else ""
    return Sighting(
        Kind.VOLUME,
        meta["name"],
        tenant,
        claim_uid=reference.get("uid", ""),
        size=_bytes(spec.get("capacity", {}).get("storage")),
        **_seen(meta, told),
    )


def job(found: Manifest) -> Sighting | None:
    """A Job that works on a tenant in the tenant's namespace, or that is in one of the control plane's own."""
    meta, status = found["metadata"], found.get("status", {})
    tenant, own = _labelled(meta), OWN_JOBS.get(meta["namespace"])
    ours = _is_own_job(meta, own) if own else _is_tenants_job(meta)
    if not ours:
        return None
    ended = [one["type"] for one in status.get("conditions", []) if one.get("status") == "True"]
    told = ", ".join(ended) or f"{status.get('active', 0)} pod(s) run"
    told = f"{own.what}, {told}" if own else told
    return Sighting(Kind.JOB, meta["name"], tenant, meta["namespace"], **_seen(meta, told))


def _is_tenants_job(meta: Manifest) -> bool:
    tenant = _labelled(meta)
    return bool(tenant) and meta["namespace"] == names.namespace(tenant) and bool(JOB.match(meta["name"]))


def _is_own_job(meta: Manifest, own: OwnJobs) -> bool:
    labels = meta.get("labels") or {}
    marked = labels.get(names.MANAGED_BY) == names.FIELD_MANAGER and labels.get(names.COMPONENT_LABEL) == own.component
    return marked and bool(_labelled(meta)) == own.of_tenant and bool(own.name.match(meta["name"]))


CLUSTER_KINDS: dict[str, Callable[[Manifest], Sighting | None]] = {
    "Namespace": namespace,
    "PersistentVolumeClaim": claim,
    "PersistentVolume": volume,
    "Job": job,
}


def database(row: dict[str, Any]) -> Sighting | None:
    """A tenant's database, owned by that tenant's role, which the control plane administers; or a plan's template."""
    name = row["datname"]
    told = f"owner {row['owner']}, {'open' if row['datallowconn'] else 'closed'}, {row['connections']} connection(s)"
    busy = f"{row['connections']} connection(s) to it are open" if row["connections"] else ""
    if TEMPLATE.match(name) and row["mine"]:
        return Sighting(Kind.TEMPLATE, name, size=row["size"], evidence=told, refusal=busy)
    match = DATABASE.match(name)
    if not match or row["owner"] != f"t_{match[1]}" or not row["administered"]:
        return None
    return Sighting(Kind.DATABASE, name, str(UUID(match[1])), size=row["size"], evidence=told, refusal=busy)


def role(row: dict[str, Any]) -> Sighting | None:
    """A tenant's role, which the control plane administers."""
    match = ROLE.match(row["rolname"])
    if not match or not row["administered"] or row["powerful"]:
        return None
    owned = f"it owns {row['databases']} database(s)" if row["databases"] else ""
    return Sighting(Kind.ROLE, row["rolname"], str(UUID(match[1])), evidence=owned or "owns nothing", refusal=owned)


def prefix(name: str) -> Sighting | None:
    """The objects of a tenant's files in S3; ``name`` is that below the folder of all tenants."""
    tenant = _uuid(name)
    if not tenant:
        return None
    return Sighting(Kind.FILES, name, tenant, evidence="there are objects below it; how many is not counted")


def exports(name: str, count: int, size: int) -> Sighting | None:
    """The files of a tenant that its customer asked for: ``count`` objects of ``size`` bytes in all."""
    tenant = _uuid(name)
    return Sighting(Kind.EXPORTS, name, tenant, size=size, evidence=f"{count} file(s)") if tenant else None


def _labelled(meta: Manifest) -> str:
    labels = meta.get("labels") or {}
    return _uuid(labels.get(names.TENANT_LABEL, "")) if labels.get(names.MANAGED_BY) == names.FIELD_MANAGER else ""


def _uuid(text: str) -> str:
    """Return a UUID that is written as ours are; or an empty text."""
    try:
        return text if str(UUID(text)) == text else ""
    except ValueError:
        return ""


def _seen(meta: Manifest, told: str) -> dict[str, Any]:
    leaving = meta.get("deletionTimestamp")
    held = ", ".join(meta.get("finalizers") or []) or "what is in it"
    refusal = f"it is being deleted since {leaving}; {held} holds it" if leaving else ""
    created = meta.get("creationTimestamp")
    moment = datetime.fromisoformat(created).astimezone(UTC).replace(tzinfo=None) if created else None
    return {"uid": meta.get("uid", ""), "created": moment, "evidence": told, "refusal": refusal}


def _requested(found: Manifest) -> str | None:
    return found.get("spec", {}).get("resources", {}).get("requests", {}).get("storage")


def _bytes(text: str | None) -> int | None:
    try:
        return quantity.to_bytes(text) if text else None
    except InvalidQuantity:
        return None
