"""What the control plane makes of an import's two Jobs: what they get, what they do not, and what becomes of them."""

import base64
import json

import pytest
from addons.loomworks_storage.files.place import Place
from addons.loomworks_storage.imports import flow, job
from addons.loomworks_storage.imports.errors import ImportJobBrokeOff, ImportJobFailed
from addons.loomworks_storage.imports.spec import SUFFIX, ImportWork, Sources
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.reconciler.spec import VolumeSpec
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from addons.loomworks_tenant.reconciler.steps.awaited import LOOK, Awaited
from factories import UUID, tenant_spec
from test_files_flow import Cluster

SECRETS = ("the account", "its secret")
PLACE = Place("https://s3.example:9000", "sources", "region", "env:SOURCES_KEY", "env:SOURCES_SECRET")
NAMESPACE = names.namespace(UUID)
REPORT = {"whole": False, "files": {}}


@pytest.fixture(autouse=True)
def account(monkeypatch):
    monkeypatch.setenv("SOURCES_KEY", SECRETS[0])
    monkeypatch.setenv("SOURCES_SECRET", SECRETS[1])


@pytest.fixture
def made(monkeypatch):
    """The databases that were made empty."""
    found = []
    monkeypatch.setattr(flow, "make_empty", lambda server, database, owner: found.append((database, owner)))
    return found


class Pods(Cluster):
    """A cluster that still has pods of a Job that is gone, or not."""

    left = ()

    def list(self, kind, namespace=None, label_selector=""):
        name = label_selector.removeprefix("job-name=")
        if ("Job", namespace, name) not in self.objects:
            return list(self.left)
        [pod] = super().list(kind, namespace, label_selector)
        pod["status"]["containerStatuses"][0]["name"] = job.CONTAINER
        return [pod]


def work_of(**changes):
    claim = VolumeSpec(f"odoo-instance-{UUID}", "5Gi", "", "ReadWriteOnce", "/data")
    tenant = tenant_spec(database=f"t_x{SUFFIX}", volume=claim)
    values = {"source": "acme.zip", "modules": ("base", "loomworks_client"), **changes}
    return ImportWork(7, tenant, Sources(changes.pop("place", PLACE), "old"), "postgres:17", **values)


def look(cluster, advance=flow.bring, looks=2):
    for _look in range(looks):
        found = advance(work_of(), Boundaries(cluster, None, None))
    return found


def test_job_of_a_source_begins_with_an_empty_database_and_goes_on_where_it_is(made):
    cluster = Pods(log='{"stage": "files", "share": 0.25}\n')
    found = look(cluster, looks=3)
    assert made == [(work_of().tenant.database, work_of().tenant.role)]
    assert (found.stage, found.share, found.done) == ("files", 0.25, False)
    assert {key[0] for key in cluster.objects} == {"NetworkPolicy", "Secret", "Job"}


def test_what_is_secret_is_in_the_secret_only_and_the_password_is_the_tenants():
    cluster = Pods()
    manifests = [job.network_policy(work_of()), job.job(work_of()), job.modules_job(work_of())]
    assert not any(secret in json.dumps(manifests) for secret in SECRETS)
    [container] = job.job(work_of())["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") or one["valueFrom"]["secretKeyRef"] for one in container["env"]}
    assert environment["PGPASSWORD"] == {"name": names.DATABASE_SECRET, "key": "password"}
    assert environment["PGUSER"] == work_of().tenant.role
    request = json.loads(environment["LOOMWORKS_IMPORT"])
    assert request["folder"] == f"/data/filestore/{work_of().tenant.database}"
    assert (request["prefix"], request["source"]) == ("old", "acme.zip")
    secret = cluster.apply(job.secret(work_of(), work_of().sources.location(), ""))
    assert base64.b64decode(secret["data"]["LOOMWORKS_FILESTORE_S3_KEY"]).decode() == SECRETS[0]


def test_pods_of_both_jobs_are_locked_down_and_only_the_first_reaches_the_bucket():
    for manifest in (job.job(work_of()), job.modules_job(work_of())):
        pod = manifest["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert manifest["spec"]["backoffLimit"] == 0
    ports = [
        {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        for policy in (job.network_policy(work_of()), job.modules_network_policy(work_of()))
    ]
    assert ports == [{53, 5432, 9000}, {53, 5432}]
    assert "envFrom" not in job.modules_job(work_of())["spec"]["template"]["spec"]["containers"][0]


def test_report_of_a_job_that_found_something_wrong_is_read(made):
    found = look(Pods("Failed", json.dumps({"report": REPORT})))
    assert (found.done, found.report) == (True, REPORT)


@pytest.mark.parametrize(("retryable", "kind"), [(True, ImportJobBrokeOff), (False, ImportJobFailed)])
def test_error_of_a_job_says_whether_another_try_may_help(made, retryable, kind):
    said = {"error": {"code": "import_dump_refused", "message": "no", "hint": "why", "retryable": retryable}}
    cluster = Pods("Failed", json.dumps(said))
    with pytest.raises(kind, match="no\nwhy"):
        look(cluster)
    assert not cluster.objects, "another try begins anew"


def test_job_that_ended_without_a_word_is_tried_again(made):
    with pytest.raises(ImportJobBrokeOff, match="without a word"):
        look(Pods("Failed"))


def test_no_job_begins_while_a_pod_of_the_one_before_may_write(made):
    cluster = Pods()
    cluster.left = [{"metadata": {"name": "old"}, "status": {"phase": "Running"}}]
    assert look(cluster).message == "an earlier attempt is being removed"
    assert (made, cluster.objects) == ([], {})
    cluster.left = [{"metadata": {"name": "old"}, "status": {"phase": "Failed"}}]
    look(cluster, looks=1)
    assert ("Job", NAMESPACE, "import-7") in cluster.objects


def test_modules_are_installed_in_what_is_there(made):
    cluster = Pods(log='{"report": {"installed": ["loomworks_client"], "modules": 9}}')
    cluster.condition = "Complete"
    assert look(cluster, flow.install).report["modules"] == 9
    assert made == []


def test_clean_up_takes_what_is_secret_first(made):
    cluster = Pods()
    look(cluster)
    look(cluster, flow.install)
    flow.clean_up(work_of(), Boundaries(cluster, None, None))
    assert (cluster.objects, cluster.deleted[0]) == ({}, "Secret")


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ({"done": "12 files"}, Done("12 files")),
        ({"progress": "Files (5 %)"}, Waiting("Files (5 %)", LOOK)),
        ({"problem": "no dump"}, Waiting("no dump", 10.0, "import_failed")),
    ],
)
def test_step_says_how_the_import_stands(state, answer):
    step = Awaited("import", "Data of the source", 7, **state)
    assert step.ensure(tenant_spec(), None) == answer
    assert step.inputs(tenant_spec()) == [UUID, 7]
