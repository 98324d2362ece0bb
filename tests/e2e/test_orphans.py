"""Orphans of every kind on the running stack: seen with evidence, deleted once confirmed, neighbours untouched."""

import secrets
import uuid

import pytest
import requests
import test_files
import test_restore
from addons.loomworks_snapshot.restoring import job as restore_job
from addons.loomworks_tenant.kube import jobs, manifests, names
from addons.loomworks_tenant.postgres import statements, template
from addons.loomworks_tenant.postgres.server import compose
from conftest import Refused

bucket, run_cron = test_files.bucket, test_files.run_cron  # fixtures
ORPHAN = "loomworks.orphan"
FIELDS = ["kind", "name", "missing", "evidence", "size_bytes", "state", "error_message", "remedy", "deletable"]


def job_of_nothing(meta):
    """A Job whose pod the namespace's "restricted" profile never admits."""
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "nothing", "command": ["true"]}]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": pod}}


def needed_by_job(meta):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"key": "of the store"}}
    return jobs.network_policy(meta, []), secret


def left_of_job(kube, name, namespace):
    """Return what the Job needed and is still there."""
    return [kind for kind in ("Secret", "NetworkPolicy") if kube.get(kind, name, namespace)]


def binding(meta):
    """What lets the control plane work in a namespace."""
    subject = {"kind": "ServiceAccount", "name": "control-plane", "namespace": "loomworks"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.TENANT_ROLE}
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    return {**kind, "metadata": meta, "roleRef": role, "subjects": [subject]}


class Lost:
    """What a tenant without a row has left in the cluster, on the server and in the bucket."""

    def __init__(self, kube, server, bucket):
        self.kube, self.server, self.bucket = kube, server, bucket
        self.uuid = str(uuid.uuid4())
        self.home, self.claim = names.namespace(self.uuid), names.volume_claim(self.uuid)
        self.volume, self.job = f"left-{secrets.token_hex(4)}", "files-backup-999999999"
        self.database = "t_" + self.uuid.replace("-", "")
        self.template = f"loomworks_template_gone_{secrets.token_hex(6)}"

    def leave(self):
        for manifest in (self._namespace(), self._binding(), self._claim(), self._volume()):
            self.kube.apply(manifest)
        jobs.start(self.kube, self._job(), *needed_by_job(self._meta(self.job)))
        self.server.ensure_role(self.database, secrets.token_hex(8), 2)
        with self.server.connect(autocommit=True) as cr:
            cr.execute(f"CREATE DATABASE {self.database} OWNER {self.database} TEMPLATE template0")
            cr.execute(compose(statements.CLOSE_TO_PUBLIC, database=self.database))
            cr.execute(f"CREATE DATABASE {self.template} TEMPLATE template0 IS_TEMPLATE true ALLOW_CONNECTIONS false")
        self.bucket.put_object(Key=f"filestores/{self.uuid}/objects/ab/cd", Body=b"x")
        self.bucket.put_object(Key=f"exports/{self.uuid}/7.zip", Body=b"a file")
        test_restore.wait_for(lambda: self.volume_phase() == "Released")

    def volume_phase(self):
        return (self.kube.get("PersistentVolume", self.volume) or {}).get("status", {}).get("phase")

    def left(self):
        """Return what is still there."""
        return {
            "namespace": self.kube.get("Namespace", self.home),
            "claim": self.kube.get("PersistentVolumeClaim", self.claim, self.home),
            "job": self.kube.get("Job", self.job, self.home),
            "volume": self.kube.get("PersistentVolume", self.volume),
            "database": self.server.database(self.database),
            "template": self.server.database(self.template),
            "role": self._role(),
            "files": list(self.bucket.objects.filter(Prefix=f"filestores/{self.uuid}/")),
            "exports": list(self.bucket.objects.filter(Prefix=f"exports/{self.uuid}/")),
        }

    def left_of_job(self):
        return left_of_job(self.kube, self.job, self.home)

    def _role(self):
        with self.server.connect() as cr:
            cr.execute(statements.ROLE_EXISTS, {"role": self.database})
            return cr.fetchone()

    def take_away(self):
        self.kube.delete("PersistentVolume", self.volume)
        self.kube.delete("Namespace", self.home)
        for name in (self.database, self.template):
            template.drop(self.server, name)
        self.server.drop_role(self.database)
        for folder in ("filestores", "exports"):
            self.bucket.objects.filter(Prefix=f"{folder}/{self.uuid}/").delete()

    def _labels(self):
        return {names.MANAGED_BY: names.FIELD_MANAGER, names.TENANT_LABEL: self.uuid}

    def _meta(self, name):
        return {"name": name, "namespace": self.home, "labels": self._labels()}

    def _namespace(self):
        labels = {**self._labels(), f"{manifests.POD_SECURITY}/enforce": "restricted"}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.home, "labels": labels}}

    def _binding(self):
        return binding(self._meta(names.TENANT_ROLE))

    def _claim(self):
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
        spec["storageClassName"] = "nobodys"
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": self._meta(self.claim), "spec": spec}

    def _job(self):
        return job_of_nothing(self._meta(self.job))

    def _volume(self):
        reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": self.home, "name": self.claim}
        spec = {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "nobodys-either",
            "hostPath": {"path": "/nowhere"},
            "claimRef": {**reference, "uid": str(uuid.uuid4())},
        }
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": self.volume}, "spec": spec}


@pytest.fixture
def lost(kube, server, bucket):
    made = Lost(kube, server, bucket)
    yield made
    made.take_away()


@pytest.fixture
def no_grace(call):
    """Let orphans be deleted at once."""
    clusters = call("loomworks.cluster", "search", domain=[])
    days = call("loomworks.cluster", "read", ids=clusters, fields=["orphan_grace_days"])[0]["orphan_grace_days"]
    yield lambda: call("loomworks.cluster", "write", ids=clusters, vals={"orphan_grace_days": 0})

    def put_back():
        try:
            return call("loomworks.cluster", "write", ids=clusters, vals={"orphan_grace_days": days})
        except (Refused, requests.RequestException):
            return False  # the control plane is on its way back from something

    test_restore.wait_for(put_back)


@pytest.fixture
def found(call):
    """Read the findings about a tenant, or of a name, by kind."""

    def read(word, **more):
        domain = ["|", ["tenant_uuid", "=", word], ["name", "=", word]]
        domain += [[name, "=", value] for name, value in more.items()]
        return {row["kind"]: row for row in call(ORPHAN, "search_read", domain=domain, fields=FIELDS)}

    return read


def test_orphans_of_every_kind_are_seen_and_deleted(acme, call, lost, run_cron, found, no_grace):
    lost.leave()
    run_cron("cron_sweep_orphans")
    rows = {**found(lost.uuid), **found(lost.template)}
    assert set(rows) == set(lost.left())
    assert {row["state"] for row in rows.values()} == {"open"}
    assert rows["database"]["size_bytes"] > 1_000_000
    assert rows["claim"]["size_bytes"] == 64 * 2**20
    assert "Retain, class nobodys-either" in rows["volume"]["evidence"]
    assert f"owner {lost.database}" in rows["database"]["evidence"]
    assert (rows["exports"]["size_bytes"], rows["exports"]["evidence"]) == (6, "1 file(s)")
    assert found(acme.uuid, state="open") == {}

    ids = [row["id"] for row in rows.values()]
    with pytest.raises(Refused, match="Too young"):
        call(ORPHAN, "action_clean", ids=ids, confirm_count=len(ids))
    no_grace()
    namespace = rows.pop("namespace")["id"]
    ids.remove(namespace)
    with pytest.raises(Refused, match="Type how many"):
        call(ORPHAN, "action_clean", ids=ids)
    assert lost.left_of_job() == ["Secret", "NetworkPolicy"]
    for chosen in (ids, [namespace]):
        call(ORPHAN, "action_clean", ids=chosen, confirm_count=len(chosen))
        test_restore.wait_for(
            lambda chosen=chosen: all(
                row["state"] == "deleted" for row in call(ORPHAN, "read", ids=chosen, fields=["state"])
            ),
            otherwise=lambda chosen=chosen: call(ORPHAN, "read", ids=chosen, fields=FIELDS),
        )
        test_restore.wait_for(lambda: not lost.left_of_job())
    assert not any(lost.left().values()), lost.left()
    assert acme.get("/web/login").status_code == 200
    assert lost.server.database(acme.database)
    assert lost.kube.get("PersistentVolumeClaim", names.volume_claim(acme.uuid), acme.namespace)
    domain = [["action", "=", "orphan_deleted"], ["record_id", "in", [*ids, namespace]]]
    assert call("loomworks.audit", "search_count", domain=domain) == len(ids) + 1


def test_job_of_a_restore_without_a_row_goes_with_what_it_was_given(acme, call, kube, run_cron, found, no_grace):
    no_grace()
    home, name = restore_job.NAMESPACE, f"restore-{10**8 + secrets.randbelow(10**8)}"
    meta = {"name": name, "namespace": home, "labels": {**restore_job.LABELS, names.TENANT_LABEL: acme.uuid}}
    kube.apply(restore_job.namespace())
    kube.apply(binding({"name": names.TENANT_ROLE, "namespace": home, "labels": restore_job.LABELS}))
    jobs.start(kube, job_of_nothing(meta), *needed_by_job(meta))
    run_cron("cron_sweep_orphans")
    row = found(name, state="open")["job"]
    assert left_of_job(kube, name, home) == ["Secret", "NetworkPolicy"]
    call(ORPHAN, "action_clean", ids=[row["id"]], confirm_count=1)
    test_restore.wait_for(lambda: found(name, state="deleted"), otherwise=lambda: found(name))
    assert not kube.get("Job", name, home)
    test_restore.wait_for(lambda: not left_of_job(kube, name, home))


class Foreign(Lost):
    """What another system has under names like ours."""

    def _labels(self):
        return {**super()._labels(), names.MANAGED_BY: "Helm"}


def test_things_of_others_are_never_listed(kube, server, bucket, run_cron, found):
    foreign = Foreign(kube, server, bucket)
    other, name, prefix = foreign.home, f"t_{uuid.uuid4().hex}", f"notes-{secrets.token_hex(4)}"
    try:
        for manifest in (foreign._namespace(), foreign._claim(), foreign._job()):
            kube.apply(manifest)
        for folder in ("filestores", "exports"):
            bucket.put_object(Key=f"{folder}/{prefix}/x", Body=b"x")
        server.ensure_role(f"{name}_reader", secrets.token_hex(8), 2)
        with server.connect(autocommit=True) as cr:
            cr.execute(f"CREATE DATABASE {name} OWNER {name}_reader TEMPLATE template0")
        run_cron("cron_sweep_orphans")
        listed = (other, name, f"{name}_reader", prefix, foreign.uuid, foreign.claim)
        assert not [row for word in listed for row in found(word).values()]
    finally:
        kube.delete("Namespace", other)
        for folder in ("filestores", "exports"):
            bucket.objects.filter(Prefix=f"{folder}/{prefix}/").delete()
        server.drop_database(name)
        server.drop_role(f"{name}_reader")


def test_database_that_is_not_there_is_told_with_what_to_do(make_tenant, server, run_cron, found):
    tenant = make_tenant()
    tenant.wait_settled("active")
    tenant.act("action_archive")  # closed: it can be given another name meanwhile
    tenant.wait_settled("archived")
    elsewhere = f"{tenant.database}_r0"
    rename = [statements.RENAME_DATABASE, {"database": tenant.database, "new_name": elsewhere}]
    try:
        with server.connect(autocommit=True) as cr:
            cr.execute(compose(rename[0], **rename[1]))
        run_cron("cron_sweep_orphans")
        rows = found(tenant.uuid, missing=True)
        assert set(rows) == {"database"}
        assert "Do not use “Retry”" in rows["database"]["remedy"]
    finally:
        with server.connect(autocommit=True) as cr:
            cr.execute(compose(rename[0], database=elsewhere, new_name=tenant.database))
    run_cron("cron_sweep_orphans")
    assert found(tenant.uuid, missing=True)["database"]["state"] == "gone"
