"""A cluster in memory, as far as a restore asks it: objects, a Job that fills a real database, a tenant's traffic."""

import base64
import json
from copy import deepcopy
from datetime import UTC, datetime

import psycopg2
from odoo.addons.loomworks_tenant.errors import Conflict
from odoo.addons.loomworks_tenant.kube import names

from ..restoring import job

ROWS = 7  # of a whole database's table
HALF = f"""
    CREATE TABLE ir_module_module (id int);
    CREATE TABLE ir_config_parameter (
        key text PRIMARY KEY, value text, create_uid int, create_date timestamp, write_uid int, write_date timestamp
    );
    CREATE TABLE work (id int);
    INSERT INTO work SELECT generate_series(1, {ROWS} / 2);
"""
REST = f"INSERT INTO work SELECT generate_series({ROWS} / 2 + 1, {ROWS})"
REPORT = {"backup": "label", "fetched": 1, "segments": 2, "tables": 3, "rows": ROWS, "seconds": {"replay": 1.5}}


class MemoryCluster:
    """Answers like ``KubeClient``. A Job runs when it is looked at: half of its work each time."""

    CALLS = ("apply", "create", "merge", "get", "delete", "list")

    def __init__(self, server):
        self.objects = {}
        self.removed = set()  # folders
        self.error = None  # what a Job says instead of its report
        self.slow = False  # a Job comes no further than half of its work
        self._server = server
        self._numbers = 0

    def apply(self, manifest):
        return self._put(manifest)

    def create(self, manifest):
        meta = manifest["metadata"]
        if (manifest["kind"], meta["namespace"], meta["name"]) in self.objects:
            raise Conflict("it is there")
        return self._put(manifest)

    def merge(self, kind, name, namespace, change):
        found = self.objects[kind, namespace, name]
        assert change["metadata"]["uid"] == found["metadata"]["uid"]
        found["spec"].update(change["spec"])

    def _put(self, manifest):
        meta = manifest["metadata"]
        key = manifest["kind"], meta.get("namespace"), meta["name"]
        made = deepcopy({**self.objects.get(key, {}), **manifest})
        self._numbers += 1
        made["metadata"].setdefault("uid", self.objects.get(key, made)["metadata"].get("uid", str(self._numbers)))
        for name, value in made.pop("stringData", {}).items():
            made.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()
        self.objects[key] = made
        return made

    def get(self, kind, name, namespace=None):
        found = self.objects.get((kind, namespace, name))
        if found and kind == "Job" and not found["spec"].get("suspend"):
            self._work(found)
        return deepcopy(found)

    def delete(self, kind, name, namespace=None, *, uid=""):
        assert not uid or uid == self.objects[kind, namespace, name]["metadata"]["uid"]
        if kind == "Job":
            self.objects.pop(("Pod", namespace, name), None)
        return self.objects.pop((kind, namespace, name), None) is not None

    def list(self, kind, namespace=None, label_selector=""):
        wanted = dict(one.split("=") for one in label_selector.split(",") if one)
        for (found, place, _name), item in list(self.objects.items()):
            if (found, place) == (kind, namespace) and wanted.items() <= item["metadata"].get("labels", {}).items():
                yield deepcopy(item)

    def pod_log(self, *_args):
        return json.dumps({"stage": "load", "share": 0.5})

    def left_of(self, number):
        """Return what is left of a restore."""
        return sorted(kind for kind, _place, name in self.objects if name == f"restore-{number}")

    def _work(self, made):
        if made["metadata"]["name"].startswith("leftover-"):
            made["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
            *_shell, filestore, database = made["spec"]["template"]["spec"]["containers"][0]["command"]
            self.removed.add(f"{filestore}/{database}")
            return
        name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
        pod = self.objects.get(("Pod", namespace, name))
        if not pod:
            self._load(made, HALF)
            labels = {"job-name": name}
            owners = [{"uid": made["metadata"]["uid"]}]
            meta = {"namespace": namespace, "name": name, "labels": labels, "ownerReferences": owners}
            state = {"name": job.CONTAINER, "state": {"running": {}}, "restartCount": 0}
            status = {"phase": "Running", "containerStatuses": [state]}
            self._put({"kind": "Pod", "metadata": meta, "status": status})
        elif "status" not in made and not self.slow:
            self._end(made, pod)

    def _end(self, made, pod):
        if not self.error:
            self._load(made, REST)
        said = json.dumps({"error": self.error} if self.error else {"report": REPORT})
        pod["status"]["containerStatuses"][0]["state"] = {"terminated": {"message": said}}
        made["status"] = {"conditions": [{"type": "Failed" if self.error else "Complete", "status": "True"}]}

    def _load(self, made, statements):
        """Do what the Job's pg_restore does, as the role and into the database that the Job is told."""
        meta = made["metadata"]
        (container,) = made["spec"]["template"]["spec"]["containers"]
        told = {one["name"]: one["value"] for one in container["env"]}
        secret = self.objects["Secret", meta["namespace"], meta["name"]]["data"]["PGPASSWORD"]
        access = {"user": told["PGUSER"], "dbname": told["PGDATABASE"], "password": base64.b64decode(secret).decode()}
        connection = psycopg2.connect(host=self._server.host, port=self._server.port, **access)
        try:
            with connection, connection.cursor() as cr:
                cr.execute(statements)
        finally:
            connection.close()

    # --- the tenant's own reconciler --------------------------------------------------------------------

    def follow(self, tenant):
        """Bring the tenant's traffic and pods to what its row says; two databases have pods while it changes."""
        served = self.served(tenant)
        wanted = tenant.database_name
        kept = {wanted, served} if tenant.switching else {wanted}
        namespace, labels = names.namespace(tenant.uuid), names.labels(tenant.uuid)
        for key in [key for key in self.objects if key[:2] == ("Pod", namespace)]:
            del self.objects[key]
        for database in kept - {None}:
            meta = {"namespace": namespace, "name": database, "labels": {**labels, names.DATABASE_LABEL: database}}
            self._put({"kind": "Pod", "metadata": meta})
        meta = {"namespace": namespace, "name": names.ODOO}
        if served == wanted:
            meta["managedFields"] = self.objects["Service", namespace, names.ODOO]["metadata"]["managedFields"]
        else:
            changed = {"manager": names.FIELD_MANAGER, "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            meta["managedFields"] = [{"manager": "kube-controller-manager", "time": "2020-01-01T00:00:00Z"}, changed]
        spec = {"selector": {names.DATABASE_LABEL: wanted}}
        self._put({"kind": "Service", "metadata": meta, "spec": spec})

    def served(self, tenant):
        """Return the database that the tenant's users are served from."""
        service = self.objects.get(("Service", names.namespace(tenant.uuid), names.ODOO))
        return service and service["spec"]["selector"][names.DATABASE_LABEL]
