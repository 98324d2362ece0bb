"""A worker killed with SIGKILL before or after any call to the outside: the next one ends where an unkilled one does.

The real API server and the real database server; a child process runs the steps and kills itself at the n-th call.
"""

import dataclasses
import multiprocessing
import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from addons.loomworks_storage.reconciler.steps import VolumeClaim
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.kube.client import KubeClient
from addons.loomworks_tenant.postgres.server import DatabaseServer
from addons.loomworks_tenant.reconciler import engine
from addons.loomworks_tenant.reconciler.engine import StepState
from addons.loomworks_tenant.reconciler.spec import ClusterSpec, Goal, Resources, TenantSpec, VolumeSpec
from addons.loomworks_tenant.reconciler.step import Boundaries
from addons.loomworks_tenant.reconciler.steps import tenant_steps
from harness.fuse import Fuse

EVERY = int(os.environ.get("LOOMWORKS_KILL_EVERY", "32"))  # beside once in each step; `make test-long` sets 1
ATTEMPTS = 200
SKIPPED = {"health"}  # only looks; the pod that it waits for is started by the step before
KUBE_CALLS = ("apply", "create", "merge", "get", "delete", "list")


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def fused_world(kubeconfig, server_spec, fuse):
    """The outside world, with the fuse around every API call and every SQL statement."""
    kube = fuse.guard(KubeClient(kubeconfig), KUBE_CALLS)
    return Boundaries(kube, fuse.guard_server(DatabaseServer(server_spec)), None)


def steps():
    kept = [step for step in tenant_steps() if step.code not in SKIPPED]
    kept.insert([step.code for step in kept].index("policies") + 1, VolumeClaim())
    return kept


def converge(spec, world, after_step=lambda: None):
    """Run the plan until every line is done."""
    for line in engine.plan(steps(), spec):
        finish(line, spec, world)
        after_step()


def finish(line, spec, world):
    """Run one line of the plan until it is done."""
    for attempt in range(ATTEMPTS):
        outcome = engine.run(line, spec, world, min(attempt, 1))
        if outcome.state == StepState.DONE:
            return
        assert outcome.retry_after, f"{line.step.code}: {outcome}"
        time.sleep(0.1)
    raise AssertionError(f"{line.step.code} did not come to an end: {outcome}")


def moments(ends):
    """Return the calls to be killed at: every so often, and in the middle of each step, given the steps' last calls."""
    middles = {(begin + end) // 2 for begin, end in zip([0, *ends], ends, strict=False) if begin < end}
    return sorted(middles | set(range(0, ends[-1], EVERY)))


def in_child(function):
    """Run ``function`` in a forked child; return its exit code (negative: the signal that ended it)."""
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(120)
    return child.exitcode


@pytest.fixture
def spec(call, server, acme):
    """A tenant like those of the control plane, that the control plane knows nothing of."""
    own = call("loomworks.cluster", "search_read", domain=[], fields=[])[0]
    templates = call("loomworks.template", "search_read", domain=[["plan_id.code", "=", "basic"]], fields=[])
    fields = [field.name for field in dataclasses.fields(ClusterSpec) if field.name in own]
    number = str(uuid.uuid4())
    return TenantSpec(
        uuid=number,
        name="Killed",
        subdomain=f"killed-{number[:8]}",
        database="t_" + number.replace("-", ""),
        goal=Goal.ACTIVE,
        # Its pod never starts, so nothing has to stop: what is killed here is who makes the Deployment.
        cluster=ClusterSpec(**{name: own[name] for name in fields} | {"image": "loomworks.invalid/none:0"}),
        server=server.spec,
        resources=Resources("10m", "1", "128Mi", "768Mi"),
        template_database=templates[0]["database_name"],
        admin_login="ada@killed.test",
        admin_name="Ada",
        connection_limit=8,
        volume=VolumeSpec(names.volume_claim(number), "1Gi", "", "ReadWriteOnce", "/var/lib/odoo"),
    )


def with_uuid(spec, number):
    """The same tenant under another number."""
    number = str(number)
    return dataclasses.replace(
        spec,
        uuid=number,
        subdomain=f"killed-{number[:8]}",
        database="t_" + number.replace("-", ""),
        volume=dataclasses.replace(spec.volume, claim=names.volume_claim(number)),
    )


def observed(spec, kube, server):
    """What there is of a tenant, its own names taken out."""
    namespace = names.namespace(spec.uuid)
    kinds = ("Secret", "Service", "Deployment", "ResourceQuota", "LimitRange", "NetworkPolicy", "RoleBinding")
    found = {kind: sorted(item["metadata"]["name"] for item in kube.list(kind, namespace)) for kind in kinds}
    route = kube.get("Service", spec.subdomain, spec.cluster.routes_namespace)
    found["route"] = route and route["spec"]["externalName"].replace(spec.uuid, "UUID")
    database = server.database(spec.database)
    found["database"] = database and {
        **database,
        "datname": "D",
        "owner": database["owner"].replace(spec.database, "D"),
    }
    if database and database["datallowconn"]:
        found["foreign"] = server.foreign_objects(spec.database, spec.role)
        with server.connect(spec.database) as cr:
            cr.execute("SELECT count(*) AS keys FROM res_users_apikeys")
            found |= cr.fetchone()
            cr.execute("SELECT key FROM ir_config_parameter WHERE value = %s ORDER BY key", [spec.uuid])
            found["identity"] = [row["key"] for row in cr.fetchall()]
    return found


def erase(spec, world):
    converge(dataclasses.replace(spec, goal=Goal.ERASED), world)


def test_creation_killed_at_any_call_ends_where_an_unkilled_one_does(spec, kube, server, stack):
    kubeconfig = f"file:{stack['KUBECONFIG']}"
    world = Boundaries(kube, server, None)
    fuse, ends = Fuse(kill_self), []
    converge(spec, fused_world(kubeconfig, server.spec, fuse), lambda: ends.append(fuse.count))
    expected = observed(spec, kube, server)
    erase(spec, world)
    assert fuse.count > 60
    victims = []
    for at in moments(ends):
        victim = with_uuid(spec, uuid.uuid4())
        victims.append(victim)
        code = in_child(
            lambda at=at, victim=victim: converge(victim, fused_world(kubeconfig, server.spec, Fuse(kill_self, at)))
        )
        assert code == -signal.SIGKILL, f"call {at} of {ends[-1]}"
        converge(victim, world)
        assert observed(victim, kube, server) == expected, f"killed at call {at} of {ends[-1]}"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda victim: erase(victim, world), victims))


def test_erasure_killed_at_any_call_leaves_nothing_in_the_end(spec, kube, server, stack):
    kubeconfig = f"file:{stack['KUBECONFIG']}"
    world = Boundaries(kube, server, None)
    converge(spec, world)
    fuse, ends = Fuse(kill_self), []
    doomed = dataclasses.replace(spec, goal=Goal.ERASED)
    converge(doomed, fused_world(kubeconfig, server.spec, fuse), lambda: ends.append(fuse.count))
    for at in moments(ends):
        victim = with_uuid(spec, uuid.uuid4())
        converge(victim, world)
        doomed = dataclasses.replace(victim, goal=Goal.ERASED)
        code = in_child(
            lambda at=at, doomed=doomed: converge(doomed, fused_world(kubeconfig, server.spec, Fuse(kill_self, at)))
        )
        assert code in (-signal.SIGKILL, 0), f"call {at} of {ends[-1]}"  # waits differ in length
        converge(doomed, world)
        assert kube.get("Namespace", names.namespace(victim.uuid)) is None
        assert server.database(victim.database) is None
        assert kube.get("Service", victim.subdomain, victim.cluster.routes_namespace) is None
