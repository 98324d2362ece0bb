"""What the control plane makes of a restore's Job."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from addons.loomworks_snapshot.pitr.request import Request, Target, TargetKind
from addons.loomworks_snapshot.repository.location import Location as RepositoryLocation
from addons.loomworks_snapshot.restoring import flow, job
from addons.loomworks_snapshot.restoring.scratch_space import Medium, ScratchRefused, ScratchSpace, choose
from addons.loomworks_snapshot.restoring.spec import FilesAccess, RestoreSpec
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.location import Location
from addons.loomworks_tenant.reconciler.step import Boundaries
from factories import tenant_spec

SPACE = ScratchSpace(Medium.MEMORY, 2048)
SECRETS = ("the key", "its secret", "the passphrase")


def restore_spec(**changes):
    tenant = tenant_spec(**changes)
    location = RepositoryLocation("s3.example", "bucket", "region", *SECRETS)
    request = Request(tenant.database, Target(TargetKind.NAME, "point", lsn=1))
    return RestoreSpec(7, tenant, request, location, "registry.example/loomworks-postgres:1", SPACE)


class Cluster:
    """A cluster in which one Job has come to its end, or goes on."""

    def __init__(self, condition=None, message="", log=""):
        self.condition, self.message, self.log, self.deleted, self.applied = condition, message, log, [], []

    def get(self, kind, name, namespace=None):
        if kind == "Job":
            conditions = [{"type": self.condition, "status": "True"}] if self.condition else []
            return {
                "metadata": {"name": name, "namespace": namespace, "uid": "1"},
                "status": {"conditions": conditions},
            }
        return {}

    def list(self, kind, namespace=None, **filters):
        state = {"terminated": {"message": self.message}} if self.message else {"running": {}}
        status = {"name": "restore", "state": state, "restartCount": 0}
        owners = [{"uid": "1"}]
        return [
            {
                "metadata": {"name": "pod", "namespace": namespace, "ownerReferences": owners},
                "status": {"phase": "Running", "containerStatuses": [status]},
            }
        ]

    def pod_log(self, *args):
        return self.log

    def apply(self, manifest):
        self.applied.append(manifest)
        return manifest

    def delete(self, kind, name, namespace):
        self.deleted.append(kind)


class Server:
    """A database server that forgets what it is asked to forget."""

    def __init__(self):
        self.dropped = []

    def drop_database(self, name):
        self.dropped.append(name)


@pytest.fixture
def dropped_roles(monkeypatch):
    found = []
    monkeypatch.setattr(flow.databases, "drop_filler", lambda server, role, database: found.append(role))
    return found


def advance(cluster, spec=None):
    return flow.advance(spec or restore_spec(), Boundaries(cluster, Server(), None))


def test_progress_is_the_newest_line_of_the_job():
    log = "\n".join(
        [json.dumps({"stage": "fetch", "share": 1.0}), json.dumps({"stage": "replay", "share": 0.4}), "half a li"]
    )
    found = advance(Cluster(log=log))
    assert (found.stage, found.share, found.done) == ("replay", 0.4, False)


def test_report_is_what_the_pod_said_last():
    report = {"backup": "label", "seconds": {"replay": 1.0}}
    found = advance(Cluster("Complete", json.dumps({"report": report})))
    assert found.done
    assert found.report == report


def test_end_without_a_report_is_no_success(dropped_roles):
    with pytest.raises(flow.RestoreBrokeOff):
        advance(Cluster("Complete", "something else"))


@pytest.mark.parametrize(("retryable", "kind"), [(True, flow.RestoreBrokeOff), (False, flow.RestoreFailed)])
def test_error_is_passed_on_and_everything_removed(retryable, kind, dropped_roles):
    error = {"code": "wal_damaged", "message": "the WAL segment X", "hint": "do this", "retryable": retryable}
    cluster, server = Cluster("Failed", json.dumps({"error": error})), Server()
    with pytest.raises(kind) as caught:
        flow.advance(restore_spec(), Boundaries(cluster, server, None))
    assert (caught.value.message, caught.value.hint) == ("the WAL segment X", "do this")
    assert retryable or caught.value.code == "wal_damaged"
    assert cluster.deleted == ["Job", "Secret", "NetworkPolicy"]
    assert server.dropped == [restore_spec().database]
    assert dropped_roles == ["loomworks_restore_7"]


@pytest.mark.parametrize("code", ["repository_unreachable", "filestore_unreachable"])
def test_store_that_does_not_answer_the_job_is_no_fault_of_the_restore(code, dropped_roles):
    error = {"code": code, "message": "the repository does not answer", "hint": "", "retryable": True}
    cluster = Cluster("Failed", json.dumps({"error": error}))
    with pytest.raises(flow.StoreAway, match="does not answer"):
        advance(cluster)
    assert cluster.deleted == ["Job", "Secret", "NetworkPolicy"]


@pytest.mark.parametrize("field", ["database", "previous_database"])
def test_database_in_the_tenants_place_is_never_dropped(field, dropped_roles):
    spec = restore_spec(**{field: restore_spec().database})
    server = Server()
    with pytest.raises(flow.DatabaseInUse):
        flow.discard(spec, Boundaries(Cluster(), server, None))
    assert (server.dropped, dropped_roles) == ([], [])


def test_secrets_are_in_the_secret_only():
    spec = restore_spec()
    told = json.dumps([job.namespace(), job.role_binding(spec), job.network_policy(spec), job.job(spec)]) + repr(spec)
    assert not [secret for secret in SECRETS if secret in told]
    assert all(secret in json.dumps(job.secret(spec, "password", "ca")) for secret in SECRETS)


def download_spec(ca_file=""):
    """Return a restore whose outcome is a file."""
    spec = restore_spec()
    files = Location("tenant", "https://files.example:9000", "bucket", "region", "files key", "files secret", ca_file)
    request = replace(spec.request, download="uuid/7")
    return replace(spec, request=request, files=FilesAccess(files, Key(bytes(range(32)))))


def test_download_has_the_way_to_the_files_in_the_secret_only(tmp_path):
    ca_file = tmp_path / "ca.crt"
    ca_file.write_text("an authority")
    spec = download_spec(str(ca_file))
    told = json.dumps([job.network_policy(spec), job.job(spec)]) + repr(spec)
    secrets = ("files key", "files secret", bytes(range(32)).hex())
    assert not [secret for secret in secrets if secret in told]
    values = job.secret(spec, "password", "ca")["stringData"]
    assert all(secret in values.values() for secret in (*secrets, "an authority", "ca"))
    ports = [rule["port"] for rule in job.network_policy(spec)["spec"]["egress"][-1]["ports"]]
    assert ports == [443, 8333, 9000]
    pod = job.job(spec)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    path = environment["LOOMWORKS_FILESTORE_S3_CA_FILE"]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "ca")
    (volume,) = (one for one in pod["volumes"] if one["name"] == "ca")
    assert {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]} >= {path}


def test_download_makes_no_database_and_removes_none(dropped_roles):
    server = Server()
    flow.discard(download_spec(), Boundaries(Cluster(), server, None))
    flow.clean_up(download_spec(), Boundaries(Cluster(), server, None))
    assert (server.dropped, dropped_roles) == ([], [])


def test_pod_has_no_privilege():
    pod = job.job(restore_spec())["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    ("size", "attempts", "storage_class", "on_node", "expected"),
    [
        (40 << 20, 0, "", False, (Medium.MEMORY, 2048)),
        (256 << 20, 0, "encrypted", True, (Medium.MEMORY, 2048)),
        (257 << 20, 0, "encrypted", True, (Medium.CLAIM, 4104)),
        (40 << 20, 1, "encrypted", False, (Medium.CLAIM, 4096)),  # memory may have been too small
        (40 << 20, 1, "", True, (Medium.NODE, 51200)),
        (100 << 30, 0, "", True, (Medium.NODE, 821248)),
        (40 << 20, 1, "", False, (Medium.MEMORY, 2048)),
        (257 << 20, 0, "", False, (Medium.NOWHERE, 2052)),
        (257 << 20, 1, "", False, (Medium.NOWHERE, 2052)),
    ],
)
def test_scratch_space_is_memory_where_that_will_do_and_never_smaller_than_what_is_needed(
    size, attempts, storage_class, on_node, expected
):
    found = choose(size, 2048, storage_class, attempts, on_node)
    assert (found.medium, found.mib) == expected
    assert found.mib << 20 >= 4 * size


def test_nothing_is_made_where_no_encrypted_disk_is_named_and_memory_will_not_do():
    cluster, server = Cluster(), Server()
    cluster.get = lambda kind, *_names: None
    with pytest.raises(ScratchRefused) as caught:
        flow.advance(replace(restore_spec(), scratch=choose(1 << 30, 2048, "")), Boundaries(cluster, server, None))
    assert "needs 5120 MiB of scratch space" in caught.value.message
    assert "encrypted" in caught.value.hint
    assert (server.dropped, {one["kind"] for one in cluster.applied}) == ([], {"Namespace", "RoleBinding"})


def test_memory_of_the_scratch_space_counts_as_the_jobs():
    for space, memory in ((SPACE, "4096Mi"), (ScratchSpace(Medium.CLAIM, 9000, "encrypted"), "2048Mi")):
        pod = job.job(replace(restore_spec(), scratch=space))["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["limits"]["memory"] == memory
        (volume,) = [one for one in pod["volumes"] if one["name"] == "scratch"]
        assert ("emptyDir" in volume) == (space.medium != Medium.CLAIM)


class Services:
    """A cluster with one Service, as the API server tells it."""

    def __init__(self, **metadata):
        self.service = {"kind": "Service", "metadata": metadata} if metadata else None

    def get(self, kind, name, namespace):
        return self.service


def test_moment_of_the_switch_is_when_the_api_server_saw_the_service_change():
    noted = [
        {"manager": "loomworks", "time": "2026-11-26T23:01:59Z"},
        {"manager": "kube-controller-manager", "time": "2026-11-26T23:10:00Z"},
        {"manager": "loomworks"},
    ]
    world = Boundaries(Services(managedFields=noted), None, None)
    assert flow.switched_at("uuid", world) == datetime(2026, 11, 26, 23, 1, 59, tzinfo=UTC)


@pytest.mark.parametrize("cluster", [Services(), Services(name="odoo"), Services(managedFields=[{"manager": "k"}])])
def test_moment_of_the_switch_is_unknown_where_the_api_server_does_not_tell(cluster):
    assert flow.switched_at("uuid", Boundaries(cluster, None, None)) is None
