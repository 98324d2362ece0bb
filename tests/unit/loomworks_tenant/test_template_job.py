"""The Job that builds a template: kept like a tenant, given what it needs and no more."""

from addons.loomworks_tenant.kube import template_job
from factories import template_spec


def container():
    return template_job.job(template_spec())["spec"]["template"]["spec"]["containers"][0]


def environment():
    return {item["name"]: item.get("value") for item in container()["env"]}


def test_namespace_admits_restricted_pods_only():
    labels = template_job.namespace()["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "loomworks"
    for mode in ("enforce", "warn", "audit"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_job_is_tried_once_and_removed_after_a_day():
    job = template_job.job(template_spec())
    assert job["metadata"]["name"] == template_spec().job
    assert job["metadata"]["labels"]["loomworks.io/plan"] == "basic"
    assert (job["spec"]["backoffLimit"], job["spec"]["ttlSecondsAfterFinished"]) == (0, 86400)
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_job_is_told_database_modules_and_languages():
    spec = template_spec(modules=("base", "web"), languages=("en_US", "de_DE"))
    variables = {item["name"]: item.get("value") for item in template_job._container(spec)["env"]}
    assert variables["LOOMWORKS_TEMPLATE_DATABASE"] == spec.building
    assert variables["LOOMWORKS_TEMPLATE_MODULES"] == "base,web"
    assert variables["LOOMWORKS_TEMPLATE_LANGUAGES"] == "en_US,de_DE"
    assert (variables["PGHOST"], variables["PGPORT"], variables["PGSSLMODE"]) == ("postgres", "5432", "require")


def test_job_works_as_the_builder_and_reads_its_password_from_the_secret():
    password = next(item for item in container()["env"] if item["name"] == "PGPASSWORD")
    assert environment()["PGUSER"] == "loomworks_builder"
    assert password["valueFrom"] == {"secretKeyRef": {"name": "template-builder", "key": "password"}}
    assert template_job.builder_secret("s3cret")["stringData"] == {"password": "s3cret"}


def test_job_has_no_token_and_a_locked_down_container():
    pod = template_job.job(template_spec())["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    assert container()["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_build_reaches_the_database_and_dns_and_nothing_else():
    (policy,) = template_job.network_policies(template_spec())
    assert policy["spec"]["podSelector"] == {}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"]
    ports = sorted(port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"])
    assert ports == [53, 53, 5432]


def test_role_binding_is_for_the_control_planes_account_alone():
    binding = template_job.role_binding(template_spec())
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "control-plane", "namespace": "loomworks"}]
    assert binding["metadata"]["namespace"] == "lw-templates"
