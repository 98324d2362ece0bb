"""What is an orphan, and what never is."""

from datetime import datetime
from uuid import UUID, uuid4

import pytest
from addons.loomworks_snapshot.restoring import job as restoring
from addons.loomworks_snapshot.restoring.spec import job_name
from addons.loomworks_storage.orphans import listing, recognise
from addons.loomworks_storage.orphans.compare import Expected, Known, missing, orphans
from addons.loomworks_storage.orphans.sighting import Kind, Sighting
from addons.loomworks_tenant.kube import names
from addons.loomworks_tenant.kube import template_job as template_jobs
from factories import template_spec
from hypothesis import given, settings
from hypothesis import strategies as st
from leftovers import (
    Cluster,
    claim,
    database,
    job,
    labels,
    namespace,
    restore_job,
    role,
    template_job,
    volume,
)

UUID_1 = "0d3c8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"
UUID_2 = "9d0e8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"
NAME_1 = "t_" + UUID_1.replace("-", "")
GIB = 2**30
OTHERS = {"app.kubernetes.io/managed-by": "Helm", "loomworks.io/tenant": UUID_1}
TEMPLATE = "loomworks_template_basic_0123456789ab"


def test_object_of_ours_is_recognised_with_its_evidence():
    made = datetime.fromisoformat("2026-03-01T10:00:00")
    assert recognise.namespace(namespace(UUID_1)) == Sighting(
        Kind.NAMESPACE, f"lw-{UUID_1}", UUID_1, uid="n", created=made, evidence="of the tenant “Acme”"
    )
    found = recognise.claim(claim(UUID_1))
    assert (found.size, found.evidence) == (5 * GIB, "Bound, volume pv-1")
    found = recognise.volume(volume(UUID_1))
    assert (found.tenant, found.claim_uid, found.size) == (UUID_1, "old", 5 * GIB)
    assert found.evidence.endswith("Retain, class fast, storage vol-7")
    assert recognise.job(job(UUID_1)).evidence == "Complete"
    assert recognise.database(database(f"{NAME_1}_r12")).tenant == UUID_1
    assert recognise.database(database(TEMPLATE, "provisioner", mine=True)).kind == Kind.TEMPLATE
    assert recognise.role(role(NAME_1)).evidence == "owns nothing"
    assert recognise.prefix(UUID_1).kind == Kind.FILES
    assert recognise.exports(UUID_1, 2, 70) == Sighting(Kind.EXPORTS, UUID_1, UUID_1, size=70, evidence="2 file(s)")


def test_archived_claim_says_since_when():
    marked = claim(UUID_1, annotations={"loomworks.io/deleted-at": "2026-02-01T00:00:00Z"})
    assert recognise.claim(marked).evidence.endswith("archived since 2026-02-01T00:00:00Z")


@pytest.mark.parametrize(
    "found",
    [
        namespace(UUID_1, labels=OTHERS),
        namespace(UUID_1, labels={}),
        namespace(UUID_1, labels=labels(UUID_2)),
        namespace(UUID_1, name="lw-templates"),
        namespace(UUID_1, name=f"other-{UUID_1}"),
        namespace(UUID_1.upper()),
    ],
)
def test_namespace_of_another_system_is_not_ours(found):
    assert recognise.namespace(found) is None


@pytest.mark.parametrize(
    "found",
    [
        claim(UUID_1, labels=OTHERS),
        claim(UUID_1, labels=labels(UUID_2)),
        claim(UUID_1, name="data"),
        claim(UUID_1, namespace="default"),
        claim(UUID_1, namespace=f"lw-{UUID_2}"),
    ],
)
def test_claim_of_another_system_is_not_ours(found):
    assert recognise.claim(found) is None


@pytest.mark.parametrize(
    "found",
    [
        volume(UUID_1, phase="Bound"),
        volume(UUID_1, phase="Available"),
        volume(UUID_1, name="pv-0", namespace="default"),
        {"kind": "PersistentVolume", "metadata": {"name": "x"}, "spec": {}, "status": {"phase": "Released"}},
    ],
)
def test_volume_in_use_or_of_others_is_not_ours(found):
    assert recognise.volume(found) is None


def test_volume_whose_claim_has_two_tenants_names_is_not_ours():
    found = volume(UUID_1)
    found["spec"]["claimRef"]["name"] = f"odoo-instance-{UUID_2}"
    assert recognise.volume(found) is None


@pytest.mark.parametrize(
    "found",
    [job(UUID_1, name="migrate"), job(UUID_1, labels={}), job(UUID_1, namespace="default"), job(UUID_1, labels=OTHERS)],
)
def test_job_of_another_system_is_not_ours(found):
    assert recognise.job(found) is None


def test_job_in_a_namespace_of_the_control_planes_own_is_recognised():
    made = datetime.fromisoformat("2026-03-01T10:00:00")
    assert recognise.job(restore_job(UUID_1)) == Sighting(
        Kind.JOB, "restore-7", UUID_1, "lw-restores", "r", created=made, evidence="a restore, Complete"
    )
    found = recognise.job({**template_job(), "status": {"active": 1}})
    assert (found.tenant, found.namespace, found.name) == ("", "lw-templates", "template-basic-0123456789ab")
    assert found.evidence == "builds a template database, 1 pod(s) run"


def test_jobs_are_called_as_those_who_make_them_call_them():
    made = template_jobs.job(template_spec(plan="a_plan_of_20_letters"))
    assert recognise.job({**made, "metadata": {**made["metadata"], "uid": "t"}})
    own = {"namespace": restoring.NAMESPACE, "labels": {**restoring.LABELS, names.TENANT_LABEL: UUID_1}}
    assert recognise.job(restore_job(UUID_1, job_name(7), **own)) == recognise.job(restore_job(UUID_1))


@pytest.mark.parametrize(
    "found",
    [
        restore_job(UUID_1, name="backup-7"),
        restore_job(UUID_1, name="restore-7-x"),
        restore_job(UUID_1, namespace="default"),
        restore_job(UUID_1, labels=labels(UUID_1)),
        restore_job(UUID_1, labels={**OTHERS, "app.kubernetes.io/component": "restore"}),
        restore_job(UUID_1, labels={"app.kubernetes.io/managed-by": "loomworks"}),
        template_job(name="migrate"),
        template_job(name="template-basic"),
        template_job(namespace="lw-restores"),
        template_job(labels={"app.kubernetes.io/component": "template"}),
        template_job(labels={**labels(UUID_1), "app.kubernetes.io/component": "template"}),
        job(UUID_1, namespace="lw-restores"),
        job(UUID_1, namespace="lw-keys"),
    ],
)
def test_job_of_another_system_in_a_namespace_of_the_control_planes_own_is_not_ours(found):
    assert recognise.job(found) is None


@pytest.mark.parametrize(
    "row",
    [
        database("t_orders"),
        database(f"{NAME_1}_archive"),
        database(NAME_1.upper()),
        database(NAME_1, owner="t_" + "0" * 32),
        database(NAME_1, owner="somebody"),
        database(NAME_1, administered=False),
        database(TEMPLATE, owner="somebody"),
        database("loomworks_template_basic", owner="provisioner", mine=True),
        database("loomworks", owner="control", mine=True),
    ],
)
def test_database_of_another_system_is_not_ours(row):
    assert recognise.database(row) is None


@pytest.mark.parametrize(
    "row", [role("t_reader"), role(f"{NAME_1}_r1"), role(NAME_1, administered=False), role(NAME_1, powerful=True)]
)
def test_role_of_another_system_is_not_ours(row):
    assert recognise.role(row) is None


@pytest.mark.parametrize("name", ["", "backups", UUID_1.upper(), UUID_1.replace("-", ""), f"{UUID_1}x"])
def test_prefix_of_another_system_is_not_ours(name):
    assert recognise.prefix(name) is None
    assert recognise.exports(name, 1, 1) is None


def test_what_is_in_use_or_on_its_way_says_why_it_stays():
    assert "2 connection(s)" in recognise.database(database(NAME_1, connections=2)).refusal
    assert "owns 1 database" in recognise.role(role(NAME_1, databases=1)).refusal
    leaving = namespace(UUID_1, deletionTimestamp="2026-03-02T00:00:00Z", finalizers=["backup.example/hold"])
    assert "backup.example/hold holds it" in recognise.namespace(leaving).refusal


def test_cluster_is_seen_with_one_listing_for_each_kind():
    jobs = [job(UUID_1), restore_job(UUID_1), template_job(), job(UUID_1, "foreign", labels=OTHERS)]
    cluster = Cluster(namespace(UUID_1), claim(UUID_1), volume(UUID_2), *jobs, namespace(UUID_2, labels={}))
    found = list(listing.of_cluster(cluster))
    assert {one.kind for one in found} == {Kind.NAMESPACE, Kind.CLAIM, Kind.VOLUME, Kind.JOB}
    assert [one.uid for one in found if one.kind == Kind.JOB] == ["j", "r", "t"]
    assert cluster.requests == [("LIST", kind) for kind in recognise.CLUSTER_KINDS]


# --- a volume that a tenant with a row has left -------------------------------------------------------


def judged(*found, **known):
    seen = [recognise.CLUSTER_KINDS[one["kind"]](one) for one in found]
    return orphans(seen, Known(**{name: frozenset(values) for name, values in known.items()}))


def test_old_volume_of_a_living_tenant_is_left_over_once_it_has_another():
    (found,) = judged(claim(UUID_1, uid="new"), volume(UUID_1, claim_uid="old"), tenants=[UUID_1])
    assert found.kind == Kind.VOLUME


def test_last_volume_of_a_tenant_whose_claim_is_gone_is_never_left_over():
    assert judged(volume(UUID_1), tenants=[UUID_1]) == []


def test_volume_of_the_present_claim_is_never_left_over():
    assert judged(claim(UUID_1, uid="now"), volume(UUID_1, claim_uid="now", phase="Failed"), tenants=[UUID_1]) == []


def test_job_is_left_over_when_nobody_works_and_no_row_names_it():
    assert len(judged(job(UUID_1), tenants=[UUID_1])) == 1
    assert judged(job(UUID_1), tenants=[UUID_1], busy=[UUID_1]) == []
    assert judged(job(UUID_1), tenants=[UUID_1], jobs=[(f"lw-{UUID_1}", "files-backup-7")]) == []


@pytest.mark.parametrize("known", [{}, {"tenants": [UUID_1]}])
def test_restores_job_is_left_over_when_no_restore_that_goes_on_names_it(known):
    assert len(judged(restore_job(UUID_1), **known)) == 1
    assert judged(restore_job(UUID_1), **known, jobs=[("lw-restores", "restore-7")]) == []
    assert len(judged(restore_job(UUID_1), **known, jobs=[("lw-restores", "restore-8")])) == 1
    assert len(judged(restore_job(UUID_1), **known, jobs=[(f"lw-{UUID_1}", "restore-7")])) == 1
    assert judged(restore_job(UUID_1), **known, busy=[UUID_1]) == []


def test_templates_job_is_left_over_when_no_template_that_is_being_built_names_it():
    assert len(judged(template_job(), tenants=[UUID_1], busy=[UUID_1])) == 1
    assert judged(template_job(), jobs=[("lw-templates", "template-basic-0123456789ab")]) == []


def test_what_a_settled_row_names_and_is_not_there_is_missing():
    expected = [Expected(Kind.NAMESPACE, f"lw-{UUID_1}", UUID_1), Expected(Kind.DATABASE, NAME_1, UUID_1)]
    seen = [recognise.namespace(namespace(UUID_1))]
    assert missing(expected, seen) == expected[1:]


def test_volume_that_the_claim_of_a_row_has_lost_is_missing():
    expected = [Expected(Kind.CLAIM, f"odoo-instance-{UUID_1}", UUID_1, f"lw-{UUID_1}")]
    bound, lost = claim(UUID_1), claim(UUID_1)
    lost["status"]["phase"] = "Lost"
    assert missing(expected, [recognise.claim(bound)]) == []
    assert missing(expected, [recognise.claim(lost)]) == [Expected(Kind.VOLUME, "pv-1", UUID_1)]
    assert missing([], [recognise.claim(lost)]) == []


# --- whatever is there ---------------------------------------------------------------------------------

UUIDS = [str(UUID(int=number * 7919 + (4 << 76) + (8 << 62))) for number in range(6)]
OWNERS = st.sampled_from(["row", "left", "foreign"])


SUFFIXES = st.lists(st.sampled_from(["", "_r1", "_r2"]), unique=True)
LEFT_PHASES = st.sampled_from(["Released", "Failed", "Bound"])


def in_cluster(draw, uuid, owner):
    """Return what a tenant may have in the cluster; somebody else's has the same names and other labels."""
    marks, home = (OTHERS, {"namespace": "default"}) if owner == "foreign" else (labels(uuid), {})
    makers = draw(st.lists(st.sampled_from([namespace, claim, job]), unique=True))
    found = [make(uuid, uid=f"{make.__name__} {uuid}", labels=marks) for make in makers]
    if draw(st.booleans()):
        claim_uid = draw(st.sampled_from(["old", f"claim {uuid}"]))
        found.append(volume(uuid, claim_uid, draw(LEFT_PHASES), f"pv {uuid}", **home))
    return [recognise.CLUSTER_KINDS[one["kind"]](one) for one in found]


def elsewhere(draw, uuid, owner):
    """Return what a tenant may have on a database server and in a bucket, which knows no others' names."""
    name = "t_" + uuid.replace("-", "")
    who = f"{name}x" if owner == "foreign" else name
    found = [recognise.database(database(name + suffix, who)) for suffix in draw(SUFFIXES)]
    if draw(st.booleans()):
        found.append(recognise.role(role(name, administered=owner != "foreign")))
    if owner != "foreign" and draw(st.booleans()):
        found += [recognise.prefix(uuid), recognise.exports(uuid, 1, 1)]
    return found


@st.composite
def worlds(draw):
    """Return what was recognised, what the rows name, and of each key whose it is."""
    owners = {uuid: draw(OWNERS) for uuid in UUIDS}
    whose = {}
    for uuid, owner in owners.items():
        whose.update({one: owner for one in in_cluster(draw, uuid, owner) + elsewhere(draw, uuid, owner) if one})
    rows, left = ([uuid for uuid in UUIDS if owners[uuid] == owner] for owner in ("row", "left"))
    some = st.lists(st.sampled_from(UUIDS), unique=True)
    named = {"t_" + uuid.replace("-", "") + suffix for uuid in rows for suffix in draw(SUFFIXES)}
    known = Known(
        tenants=frozenset(rows),
        busy=frozenset(rows).intersection(draw(some)),
        jobs=frozenset((f"lw-{uuid}", "files-backup-7") for uuid in draw(some)),
        databases=frozenset(named),
        files=frozenset(left).intersection(draw(some)),
    )
    return list(whose), known, whose


@settings(max_examples=500, deadline=None)
@given(worlds(), st.randoms())
def test_nothing_that_a_row_names_or_that_is_not_ours_is_proposed(world, rng):
    seen, known, whose = world
    assert "foreign" not in whose.values()
    rng.shuffle(seen)
    claims = {one.tenant: one.uid for one in seen if one.kind == Kind.CLAIM}
    for one in orphans(seen, known):
        if whose[one] == "left":
            assert one.tenant not in known.files or one.kind != Kind.FILES
            continue
        assert one.kind in (Kind.DATABASE, Kind.JOB, Kind.VOLUME)
        assert one.tenant not in known.busy or one.kind == Kind.VOLUME
        assert one.name not in known.databases
        assert (one.namespace, one.name) not in known.jobs
        if one.kind == Kind.VOLUME:
            assert claims[one.tenant] != one.claim_uid


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_everything_without_a_row_is_proposed(world):
    seen, known, whose = world
    proposed = set(orphans(seen, known))
    for one in seen:
        if whose[one] == "left" and not (one.kind == Kind.FILES and one.tenant in known.files):
            assert one in proposed


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_row_that_appears_takes_its_things_out_of_the_list(world):
    everybody = Known(tenants=frozenset(UUIDS), busy=frozenset(UUIDS))
    assert {one.kind for one in orphans(world[0], everybody)} <= {Kind.VOLUME}


def test_uuids_of_the_examples_are_written_as_ours():
    assert all(recognise.prefix(uuid) for uuid in [*UUIDS, str(uuid4())])
