"""Orphans go one by one: after another look, never another one, never by force."""

import pytest
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.vault import Vault
from addons.loomworks_storage.orphans import exports, listing, recognise
from addons.loomworks_storage.orphans.removal import CONSEQUENCES, Place, Refused, beside, described, look, remove
from addons.loomworks_storage.orphans.sighting import Kind
from filestores import location_of, open_store
from leftovers import Cluster, claim, job, labels, namespace, restore_job, template_job, volume

UUID_1 = "0d3c8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"
MADE = {"Namespace": namespace, "PersistentVolumeClaim": claim, "PersistentVolume": volume, "Job": job}


def seen(found):
    return recognise.CLUSTER_KINDS[found["kind"]](found)


@pytest.mark.parametrize("make", [*MADE.values(), restore_job, lambda _uuid: template_job()])
def test_object_is_deleted_and_waited_for(make):
    found, neighbour = make(UUID_1), namespace("9d0e8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11")
    cluster = Cluster(found, neighbour)
    one, place = seen(found), Place(cluster)
    assert remove(one, place) is False
    assert remove(one, place) is True
    assert cluster.objects == [neighbour]


def test_object_that_something_holds_is_waited_for_and_its_finalizers_are_left():
    found = namespace(UUID_1, finalizers=["backup.example/hold"])
    cluster = Cluster(found)
    cluster.held.add("Namespace")
    one = seen(found)
    for _look in range(3):
        assert remove(one, Place(cluster)) is False
    assert cluster.requests.count(("DELETE", "Namespace")) == 1
    assert found["metadata"]["finalizers"] == ["backup.example/hold"]


def test_another_object_of_the_same_name_is_refused():
    one = seen(namespace(UUID_1, uid="old"))
    cluster = Cluster(namespace(UUID_1, uid="new"))
    with pytest.raises(Refused, match="another one"):
        remove(one, Place(cluster))
    assert len(cluster.objects) == 1


def test_object_that_is_replaced_between_look_and_deletion_is_refused_by_the_server():
    cluster = Cluster(namespace(UUID_1, uid="old"))
    one = seen(cluster.objects[0])
    listed = cluster.list

    def replaced(*args, **filters):
        found = list(listed(*args, **filters))
        cluster.objects[:] = [namespace(UUID_1, uid="new")]
        return iter(found)

    cluster.list = replaced
    with pytest.raises(Refused, match="another one"):
        remove(one, Place(cluster))
    assert len(cluster.objects) == 1


@pytest.mark.parametrize(
    "change", [{"labels": {}}, {"labels": {**labels(UUID_1), "app.kubernetes.io/managed-by": "x"}}]
)
def test_object_that_has_become_somebody_elses_is_refused(change):
    one, cluster = seen(namespace(UUID_1)), Cluster(namespace(UUID_1, **change))
    with pytest.raises(Refused, match="no orphan"):
        remove(one, Place(cluster))
    assert len(cluster.objects) == 1


def test_volume_that_is_bound_again_is_refused():
    one, cluster = seen(volume(UUID_1)), Cluster(volume(UUID_1, phase="Bound"))
    with pytest.raises(Refused):
        remove(one, Place(cluster))


def test_what_is_gone_already_is_removed():
    assert remove(seen(claim(UUID_1)), Place(Cluster())) is True


def test_volume_is_judged_beside_the_claim_that_the_tenant_has_now():
    cluster = Cluster(claim(UUID_1, uid="now"), volume(UUID_1))
    (found,) = beside(seen(cluster.objects[1]), Place(cluster))
    assert found.uid == "now"
    assert beside(seen(namespace(UUID_1)), Place(cluster)) == []


def test_every_kind_says_what_goes_with_it():
    assert set(CONSEQUENCES) == set(Kind)
    text = described(seen(claim(UUID_1)))
    assert text.startswith(f"lw-{UUID_1}/odoo-instance-{UUID_1} (uid c): the claim")


def test_exports_of_one_tenant_go_and_those_of_another_and_its_files_stay(s3):
    mine, other = (open_store(location_of(s3)) for _number in range(2))
    store = exports.beside(mine.location)
    names = [f"{one.location.tenant}/{number}.zip" for one in (mine, other) for number in (7, 8)]
    for name in (*names, "notes/readme.txt"):
        store.put(name, b"four")
    mine.put("objects/ab/abc", b"x")
    found = {one.tenant: one for one in listing.of_exports(store)}
    assert {mine.location.tenant, other.location.tenant} <= set(found)
    one, place = found[mine.location.tenant], Place(Cluster(), store=store)
    assert (one.kind, one.size, one.evidence) == (Kind.EXPORTS, 8, "2 file(s)")
    assert look(one, place) == one
    assert remove(one, place) is True
    assert look(one, place) is None
    assert {one.name for one in store.list("")} >= {*names[2:], "notes/readme.txt"}
    assert not {one.name for one in store.list("")} & set(names[:2])
    assert mine.is_used()


def test_files_of_one_tenant_go_whoever_wrote_them_and_those_of_another_stay(s3):
    """An object outside of the five known folders stayed, and the orphan was looked at every other second for ever."""
    mine, other = (open_store(location_of(s3)) for _number in range(2))
    for store in (mine, other):
        Vault(store, Key.generate()).open()
        store.put("objects/ab/abc", b"x")
        store.put("manifests/m.jsonl.gz", b"x")
        for name in ("notes.txt", "of/another/version"):
            store.put(name, b"nobody knows what it is")
    found = {one.tenant: one for one in listing.of_bucket(other)}
    assert {mine.location.tenant, other.location.tenant} <= set(found)
    one, place = found[mine.location.tenant], Place(Cluster(), store=mine)
    assert look(one, place) == one
    assert remove(one, place) is True
    assert not mine.is_used()
    assert remove(one, place) is True
    assert len(list(other.list(""))) == 5
