"""The prover against a real repository, and against what may happen to one."""

import json
import time

import pytest
from addons.loomworks_snapshot.repository import catalog, proof
from addons.loomworks_snapshot.repository.errors import (
    RepositoryDamaged,
    RepositoryDenied,
    RepositoryUnreachable,
    WrongKey,
)
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE
from addons.loomworks_snapshot.repository.store import Store
from addons.loomworks_snapshot.repository.verdict import Proof, Reason
from harness.restoring import location
from moments import changed, last_segment, moment, objects, target


@pytest.fixture(scope="module")
def points(cell):
    """Five moments, each in a segment of its own."""
    return [moment(cell) for _number in range(5)]


def wait_until_readable(store):
    """The server answers some time before it knows again where its objects are."""
    deadline = time.monotonic() + 30
    while True:
        try:
            catalog.read(store)
            return
        except RepositoryUnreachable:
            if time.monotonic() > deadline:
                raise


def reasons(store, targets):
    return [getattr(one, "reason", "proven") for one in proof.prove(store, targets)]


def test_moment_is_proven_from_the_newest_base_backup_before_it(cell, store, points):
    verdict = proof.prove(store, [points[2]])[0]
    backup = catalog.read(store).backups[0]
    assert verdict == Proof(
        backup=backup.label,
        first_segment=backup.first_segment,
        last_segment=last_segment(points[2]),
        segments=int(last_segment(points[2])[16:], 16) - int(backup.first_segment[16:], 16) + 1,
        timelines=(1,),
    )


def test_moment_that_is_not_archived_yet_waits_and_is_proven_later(cell, store):
    position = cell.ask("SELECT pg_create_restore_point('later')::text")[0][0]
    [verdict] = proof.prove(store, [target(cell, position)])
    assert (verdict.reason, verdict.waiting) == (Reason.NOT_YET_ARCHIVED, True)
    assert last_segment(target(cell, position)) in verdict.message
    cell.archive()
    assert reasons(store, [target(cell, position)]) == ["proven"]


def test_position_without_a_restore_point_needs_the_segment_after_it(cell, store):
    position = cell.ask("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    bare = target(cell, position, named=False)
    cell.restore_point("same_segment")
    assert reasons(store, [bare]) == [Reason.NOT_YET_ARCHIVED]
    cell.restore_point("next_segment")
    assert reasons(store, [bare]) == ["proven"]


def test_hole_in_the_middle_is_found_where_pgbackrest_says_ok(cell, store, points):
    with changed(cell, store, last_segment(points[1])):
        [stanza] = json.loads(cell.run("pgbackrest", "--stanza=main", "info", "--output=json"))
        assert stanza["status"]["message"] == "ok"
        cell.run("pgbackrest", "--stanza=main", "verify")
        verdicts = proof.prove(store, points)
    assert isinstance(verdicts[0], Proof)
    assert {(one.reason, one.waiting) for one in verdicts[1:]} == {(Reason.SEGMENT_MISSING, False)}
    assert all(last_segment(points[1]) in one.message for one in verdicts[1:])


def test_last_segment_that_others_have_overtaken_is_missing_not_awaited(cell, store, points):
    with changed(cell, store, last_segment(points[1])):
        assert reasons(store, [points[1]]) == [Reason.SEGMENT_MISSING]


def test_empty_segment_breaks_the_chain(cell, store, points):
    with changed(cell, store, last_segment(points[1]), b""):
        assert reasons(store, points[:3]) == ["proven", Reason.SEGMENT_EMPTY, Reason.SEGMENT_EMPTY]


def test_two_objects_for_one_segment_are_reported(cell, store, points):
    [name] = objects(store, last_segment(points[1]))
    other = name[: -len("0.zst")] + ("1" if name[-5] != "1" else "2") + ".zst"
    client, bucket = cell.s3.client(), store.location.bucket
    client.put_object(Bucket=bucket, Key=store.location.object_key(other), Body=b"other")
    try:
        assert reasons(store, points[:2]) == ["proven", Reason.SEGMENT_AMBIGUOUS]
    finally:
        client.delete_object(Bucket=bucket, Key=store.location.object_key(other))


def test_base_backup_without_a_manifest_is_none(cell, store, points):
    label = catalog.read(store).backups[0].label
    with changed(cell, store, f"{label}/backup.manifest.copy"):
        assert reasons(store, points[:1]) == ["proven"]
        with changed(cell, store, f"{label}/backup.manifest"):
            [verdict] = proof.prove(store, points[:1])
    assert verdict.reason == Reason.BACKUP_MISSING
    assert label in verdict.message


def test_moment_before_the_first_base_backup_has_none(cell, store, points):
    early = target(cell, "0/1000028")
    assert reasons(store, [early]) == [Reason.NO_BASE_BACKUP]


def test_wanted_base_backup_is_the_one_or_nothing(cell, store, points):
    label = catalog.read(store).backups[0].label
    here, gone = (target(cell, "0/0", lsn=points[2].lsn, backup=one) for one in (label, "20200101-000000F"))
    first, second = proof.prove(store, [here, gone])
    assert first.backup == label
    assert second.reason == Reason.BACKUP_MISSING


def test_moment_of_another_server_is_refused(cell, store, points):
    verdict = proof.prove(store, [target(cell, "0/0", lsn=points[2].lsn, system_identifier=1)])[0]
    assert verdict.reason == Reason.OTHER_SYSTEM
    assert not verdict.waiting


def test_stanza_that_is_not_there_is_awaited(cell, points):
    [verdict] = proof.prove(Store(location(cell, stanza="other")), points[:1])
    assert (verdict.reason, verdict.waiting) == (Reason.NO_STANZA, True)


def test_timeline_that_nobody_knows_is_awaited(cell, store, points):
    verdict = proof.prove(store, [target(cell, "0/0", lsn=points[2].lsn, timeline=7)])[0]
    assert (verdict.reason, verdict.waiting) == (Reason.HISTORY_MISSING, True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cipher_pass": "another"}, WrongKey),
        ({"key_secret": "another"}, RepositoryDenied),
        ({"bucket": "another"}, RepositoryDenied),
        ({"endpoint": "https://127.0.0.1:9"}, RepositoryUnreachable),
    ],
    ids=["passphrase", "secret", "bucket", "address"],
)
def test_there_is_no_verdict_where_the_repository_cannot_be_read(cell, points, changes, error):
    with pytest.raises(error):
        proof.prove(Store(location(cell, **changes)), points)


def test_there_is_no_verdict_while_the_object_store_is_down(cell, store, points):
    cell.s3.stop()
    try:
        with pytest.raises(RepositoryUnreachable):
            proof.prove(store, points)
    finally:
        cell.s3.start()
        wait_until_readable(store)
    assert reasons(store, points) == ["proven"] * 5


def test_damaged_catalogue_is_read_from_its_copy(cell, store, points):
    data = store.read("backup/main/backup.info")
    name = store.location.object_key("backup/main/backup.info")
    client = cell.s3.client()
    for broken in (b"", data[:-16], b"Salted__" + data[24:]):
        client.put_object(Bucket=store.location.bucket, Key=name, Body=broken)
        try:
            assert reasons(store, points) == ["proven"] * 5
        finally:
            client.put_object(Bucket=store.location.bucket, Key=name, Body=data)


def test_damaged_catalogue_without_a_copy_gives_no_verdict(cell, store, points):
    damage = changed(cell, store, "backup/main/backup.info", b"Salted__12345678" + bytes(32))
    with damage, pytest.raises((WrongKey, RepositoryDamaged)):
        proof.prove(store, points)


def test_incrementals_are_proven_with_all_that_they_build_on(cell, store, points):
    labels = [cell.backup("incr") for _number in range(3)]
    after = moment(cell)
    assert proof.prove(store, [after])[0].backup == labels[-1]
    assert proof.prove(store, [points[0]])[0].backup not in labels
    with changed(cell, store, f"{labels[2]}/backup.manifest"):
        assert proof.prove(store, [after])[0].backup == labels[1]
    full = catalog.read(store).backups[0].label
    with changed(cell, store, f"{full}/backup.manifest"):
        assert reasons(store, [after]) == [Reason.BACKUP_MISSING]


def test_five_hundred_moments_are_proven_with_one_listing(cell, store, points, monkeypatch):
    listed = []
    listing = store.list
    monkeypatch.setattr(store, "list", lambda *args, **options: listed.append(args) or listing(*args, **options))
    verdicts = proof.prove(store, points * 100)
    assert all(isinstance(one, Proof) for one in verdicts)
    assert len(listed) == 2  # the base backup's manifest, and the folder


def test_segment_size_is_the_servers(cell):
    assert cell.ask("SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size'") == [(SEGMENT_SIZE,)]
