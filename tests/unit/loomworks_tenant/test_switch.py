"""From one database of a tenant to another: who is served when, and what is never done."""

import pytest
from addons.loomworks_tenant.errors import RestoredDatabaseMissing
from addons.loomworks_tenant.kube import manifests, names
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from addons.loomworks_tenant.reconciler.steps.data import Database, DatabaseRole, IdentityStep, Limits
from addons.loomworks_tenant.reconciler.steps.runtime import Configuration, Switch
from factories import UUID, tenant_spec

OLD = "t_" + UUID.replace("-", "")
NEW = f"{OLD}_r7"


def changing(**changes):
    return tenant_spec(**{"database": NEW, "previous_database": OLD, "switching": True, **changes})


class World:
    """A cluster in which the Service leads to the pods of one database, and a server; what is done, in its order."""

    def __init__(self, served=OLD, ready=True, databases=(OLD, NEW), login=200):
        self.served, self.ready, self.databases, self.login, self.done = served, ready, databases, login, []
        self.boundaries = Boundaries(self, self, self)

    # the cluster
    def get(self, kind, name, namespace):
        if kind == "Secret":
            return {"data": {"password": "cGFzc3dvcmQ="}}
        return {"spec": {"selector": {names.DATABASE_LABEL: self.served}}}

    def list(self, kind, namespace, label_selector=""):
        assert f"{names.DATABASE_LABEL}={NEW}" in label_selector
        condition = {"type": "Ready", "status": str(self.ready)}
        return [
            {
                "metadata": {"name": "pod"},
                "status": {"phase": "Running", "podIP": "10.0.0.7", "conditions": [condition]},
            }
        ]

    def apply(self, manifest):
        self.done.append((manifest["kind"], manifest["metadata"]["name"]))

    # the tenant's Odoo
    def get_status(self, url):
        assert url == "http://10.0.0.7:8069/web/login"
        return self.login

    # the database server
    def database(self, name):
        return {"owner": OLD} if name in self.databases else None


def test_traffic_goes_to_the_new_pod_once_it_serves():
    world = World()
    answer = Switch().ensure(changing(), world.boundaries)
    assert isinstance(answer, Done)
    assert world.done == [("Service", "odoo")]


def test_pod_that_is_ready_and_has_no_database_gets_no_traffic():
    world = World(login=303)
    assert isinstance(Switch().ensure(changing(), world.boundaries), Waiting)
    assert world.done == []


def test_nothing_happens_before_the_new_pod_is_ready():
    world = World(ready=False)
    assert isinstance(Switch().ensure(changing(), world.boundaries), Waiting)
    assert world.done == []


@pytest.mark.parametrize(
    ("spec", "served"), [(changing(switching=False), OLD), (changing(), NEW), (tenant_spec(), OLD)]
)
def test_nothing_happens_where_nothing_is_to_be_changed(spec, served):
    world = World(served=served)
    assert Switch().ensure(spec, world.boundaries) == Done()
    assert world.done == []


def test_traffic_stays_where_it_is_while_the_new_pod_starts():
    world = World()
    Configuration().ensure(changing(), world.boundaries)
    assert world.done == [("Secret", "odoo-config-r7")]


@pytest.mark.parametrize(("spec", "left"), [(changing(), OLD), (changing(database=OLD, previous_database=NEW), NEW)])
def test_database_of_a_restored_tenant_that_is_gone_is_not_replaced_by_an_empty_one(spec, left):
    with pytest.raises(RestoredDatabaseMissing):
        Database().ensure(spec, World(databases=(left,)).boundaries)


@pytest.mark.parametrize("step", [IdentityStep(), Limits()])
def test_another_database_gets_identity_and_limits_of_its_own(step):
    assert step.fingerprint(changing()) != step.fingerprint(tenant_spec())


def test_both_pods_run_side_by_side_only_while_it_changes():
    def rollout(spec):
        found = manifests.deployment(spec, "d")["spec"]
        return found["strategy"]["type"], found["minReadySeconds"]

    assert rollout(changing()) == ("RollingUpdate", manifests.SWITCH_SECONDS)
    assert rollout(changing(switching=False)) == ("Recreate", 0)
    alone = changing().volume.__class__("claim", "5Gi", "", "ReadWriteOncePod", "/var/lib/odoo")
    assert rollout(changing(volume=alone)) == ("Recreate", 0)


def test_end_of_the_change_restarts_nothing():
    during, after = (manifests.deployment(changing(switching=flag), "d")["spec"]["template"] for flag in (True, False))
    assert during == after


def test_restored_database_begins_with_the_files_of_the_one_before():
    pod = manifests.deployment(changing(), "d")["spec"]["template"]["spec"]
    (files,) = pod["initContainers"]
    assert files["command"] == ["loomworks-adopt-files", "/var/lib/odoo/filestore", OLD, NEW]  # of all that begin so
    assert "initContainers" not in manifests.deployment(tenant_spec(), "d")["spec"]["template"]["spec"]


def test_role_keeps_its_name():
    assert changing().role == tenant_spec().role == OLD


def test_two_odoos_have_the_connections_of_two():
    limits = []
    world = World()
    world.ensure_role = lambda role, password, limit: limits.append(limit)
    for spec in (changing(), changing(switching=False)):
        DatabaseRole().ensure(spec, world.boundaries)
    assert limits == [2 * changing().connection_limit, changing().connection_limit]
    assert DatabaseRole().fingerprint(changing()) != DatabaseRole().fingerprint(changing(switching=False))
