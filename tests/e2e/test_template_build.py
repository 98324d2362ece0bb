"""A template database is built by a real Job, a little further at each look."""

import dataclasses
import secrets
import time

import pytest
from addons.loomworks_tenant.errors import DatabaseRefused
from addons.loomworks_tenant.kube import template_job
from addons.loomworks_tenant.postgres import template
from addons.loomworks_tenant.reconciler import template_build
from addons.loomworks_tenant.reconciler.spec import ClusterSpec, TemplateSpec
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting

PATIENCE = 300  # seconds
MODULES = ("base", "web", "loomworks_client", "loomworks_ai")


@pytest.fixture
def world(kube, server):
    """The cluster and the database server, as the control plane's worker has them."""
    return Boundaries(kube, server, None)


@pytest.fixture
def spec(call, server, world):
    """A template of a plan that the control plane knows nothing of; whatever is left of it is removed."""
    own = call("loomworks.cluster", "search_read", domain=[], fields=[])[0]
    names = [field.name for field in dataclasses.fields(ClusterSpec) if field.name in own]
    cluster = ClusterSpec(**{name: own[name] for name in names})
    spec = TemplateSpec(f"x{secrets.token_hex(3)}", MODULES, ("en_US",), cluster, server.spec)
    yield spec
    world.kube.delete("Job", spec.job, template_job.NAMESPACE)
    for database in (spec.building, spec.database):
        template.drop(server, database)


def advance_to_the_end(spec, world):
    end = time.monotonic() + PATIENCE
    while isinstance(answer := template_build.advance(spec, world), Waiting):
        assert time.monotonic() < end, answer
        time.sleep(answer.retry_after)


def wait_for_job(spec, world):
    end = time.monotonic() + PATIENCE
    while not (job(spec, world) or {}).get("status", {}).get("succeeded"):
        assert time.monotonic() < end
        time.sleep(0.5)


def job(spec, world):
    found = world.kube.get("Job", spec.job, template_job.NAMESPACE)
    return None if not found or found["metadata"].get("deletionTimestamp") else found


def mark_module(server, spec, state):
    with server.connect(spec.building) as cr:
        cr.execute("SET ROLE loomworks_template")
        cr.execute("UPDATE ir_module_module SET state = %s WHERE name = 'loomworks_client'", [state])


def test_template_is_built_checked_and_closed(spec, world, server):
    assert template_build.advance(spec, world).message == "the build has been started"
    wait_for_job(spec, world)

    mark_module(server, spec, "to install")
    with pytest.raises(DatabaseRefused, match="lacks modules: loomworks_client"):
        template_build.advance(spec, world)
    assert not server.database(spec.database)

    mark_module(server, spec, "installed")
    advance_to_the_end(spec, world)
    assert server.database(spec.database)["datistemplate"]
    assert not server.database(spec.database)["datallowconn"]
    assert not server.database(spec.building)
    assert not job(spec, world)
    assert isinstance(template_build.advance(spec, world), Done)


def test_build_that_fails_says_its_last_words_and_leaves_nothing(spec, world, server):
    unreachable = dataclasses.replace(spec, server=dataclasses.replace(spec.server, port=1))
    with pytest.raises(template_build.TemplateBuildFailed, match=rf"(?s)plan {spec.plan} failed: .*Connection refused"):
        advance_to_the_end(unreachable, world)
    assert not server.database(spec.building)
    assert not server.database(spec.database)
    assert not job(spec, world)


def test_build_whose_database_is_gone_is_cleared_away_first(spec, world, server):
    template_build.advance(spec, world)
    template.drop(server, spec.building)
    answer = template_build.advance(spec, world)
    assert isinstance(answer, Waiting)
    assert answer.message == "an older build is being cleared away"


def test_newer_build_of_a_plan_ends_the_older_one(spec, world, server):
    template_build.advance(spec, world)
    newer = dataclasses.replace(spec, languages=("en_US", "de_DE"))
    template_build.advance(newer, world)
    assert not job(spec, world)
    assert job(newer, world)
    world.kube.delete("Job", newer.job, template_job.NAMESPACE)
    template.drop(server, newer.building)
