"""Claims, events and quotas as the API server returns them."""

from factories import UUID

CLAIM = f"odoo-instance-{UUID}"


def claim(requested="5Gi", capacity="5Gi", phase="Bound", *, conditions=(), allocated=None, uuid=UUID, asked_at=None):
    """A claim; ``allocated`` is what a resizer notes: a state, or a state and the size that it is about."""
    status = {"phase": phase}
    if capacity:
        status["capacity"] = {"storage": capacity}
    if conditions:
        status["conditions"] = [{"type": kind, "status": "True", "message": text} for kind, text in conditions]
    if allocated:
        state, *tried = allocated.split()
        status["allocatedResourceStatuses"] = {"storage": state}
        status["allocatedResources"] = {"storage": tried[0]} if tried else None
    managers = [{"manager": "loomworks", "operation": "Apply", "time": asked_at}] if asked_at else []
    labels = {"app.kubernetes.io/managed-by": "loomworks", "loomworks.io/tenant": uuid}
    name, namespace = f"odoo-instance-{uuid}", f"lw-{uuid}"
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "managedFields": managers},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": requested}},
            "storageClassName": "standard",
        },
        "status": status,
    }


def event(message, at="2026-11-25T12:00:00Z", kind="Warning", uuid=UUID):
    about = {"kind": "PersistentVolumeClaim", "name": f"odoo-instance-{uuid}", "namespace": f"lw-{uuid}"}
    return {"type": kind, "message": message, "lastTimestamp": at, "involvedObject": about}


def quota(hard, used="5Gi", name="requests.storage"):
    return {
        "metadata": {"name": "house"},
        "spec": {"hard": {name: hard}},
        "status": {"hard": {name: hard}, "used": {name: used}},
    }
