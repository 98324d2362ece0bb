"""Objects of tenants as the API server and the catalogue give them, and a cluster that holds some."""

from addons.loomworks_tenant.errors import Conflict
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.kube.template_job import LABELS as TEMPLATE_LABELS
from addons.loomworks_tenant.kube.template_job import PLAN_LABEL

MADE = "2026-03-01T10:00:00Z"


def labels(uuid):
    return {names.MANAGED_BY: names.FIELD_MANAGER, names.TENANT_LABEL: uuid}


def namespace(uuid, uid="n", **meta):
    annotations = {"loomworks.io/name": "Acme"}
    meta = {"name": f"lw-{uuid}", "labels": labels(uuid), "annotations": annotations, **meta}
    return {"kind": "Namespace", "metadata": {"uid": uid, "creationTimestamp": MADE, **meta}}


def claim(uuid, uid="c", **meta):
    meta = {"name": f"odoo-instance-{uuid}", "namespace": f"lw-{uuid}", "labels": labels(uuid), **meta}
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"uid": uid, "creationTimestamp": MADE, **meta},
        "spec": {"volumeName": "pv-1", "resources": {"requests": {"storage": "5Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "5Gi"}},
    }


def volume(uuid, claim_uid="old", phase="Released", name="pv-0", **reference):
    reference = {"namespace": f"lw-{uuid}", "name": f"odoo-instance-{uuid}", "uid": claim_uid, **reference}
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": name, "uid": f"uid of {name}", "creationTimestamp": MADE},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "claimRef": reference,
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "fast",
            "csi": {"volumeHandle": "vol-7"},
        },
        "status": {"phase": phase},
    }


def job(uuid, name="files-backup-7", uid="j", **meta):
    meta = {"name": name, "namespace": f"lw-{uuid}", "labels": labels(uuid), **meta}
    status = {"conditions": [{"type": "Complete", "status": "True"}]}
    return {"kind": "Job", "metadata": {"uid": uid, "creationTimestamp": MADE, **meta}, "status": status}


def restore_job(uuid, name="restore-7", uid="r", **meta):
    """As loomworks_snapshot's restoring/job.py has it."""
    marks = {**labels(uuid), names.COMPONENT_LABEL: "restore"}
    return job(uuid, name, uid, **{"namespace": "lw-restores", "labels": marks, **meta})


def template_job(name="template-basic-0123456789ab", uid="t", **meta):
    """As loomworks_tenant's kube/template_job.py has it."""
    marks = {**TEMPLATE_LABELS, PLAN_LABEL: "basic"}
    return job("", name, uid, **{"namespace": "lw-templates", "labels": marks, **meta})


def database(name, owner=None, **values):
    row = {"datname": name, "owner": owner or name[:34], "datallowconn": False, "datistemplate": False, "mine": False}
    return {**row, "administered": True, "connections": 0, "size": 1000, **values}


def role(name, **values):
    return {"rolname": name, "powerful": False, "administered": True, "databases": 0, **values}


def matches(selector, marks):
    parts = [part.partition("=") for part in selector.split(",") if part]
    return all(key in marks and value in ("", marks[key]) for key, _equals, value in parts)


class Cluster:
    """The API server, as far as orphans are concerned; it counts what it is asked."""

    def __init__(self, *objects):
        self.objects, self.requests, self.held = list(objects), [], set()

    def list(self, kind, namespace=None, label_selector="", field_selector=""):
        self.requests.append(("LIST", kind))
        name = field_selector.removeprefix("metadata.name=")
        for found in list(self.objects):
            meta = found["metadata"]
            labelled = matches(label_selector, meta.get("labels", {}))
            here = not namespace or meta.get("namespace") == namespace
            if found["kind"] == kind and here and labelled and name in ("", meta["name"]):
                yield found

    def get(self, kind, name, namespace=None):
        return None

    def delete(self, kind, name, namespace=None, *, uid=""):
        self.requests.append(("DELETE", kind))
        for found in self.objects:
            meta = found["metadata"]
            if (found["kind"], meta["name"], meta.get("namespace")) == (kind, name, namespace):
                if uid and meta["uid"] != uid:
                    raise Conflict("the UID in the precondition is another one")
                if kind in self.held:
                    meta["deletionTimestamp"] = MADE
                else:
                    self.objects.remove(found)
                return True
        return False
