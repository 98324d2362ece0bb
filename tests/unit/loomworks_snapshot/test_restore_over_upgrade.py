"""A server that pg_upgrade makes anew while a tenant of it is being restored: its stanza is another server's then."""

import shutil
from dataclasses import replace

import pytest
from addons.loomworks_snapshot.pitr import errors
from addons.loomworks_snapshot.pitr.request import Target, TargetKind
from addons.loomworks_snapshot.repository import catalog as catalogs
from addons.loomworks_snapshot.repository import proof, verdict
from addons.loomworks_snapshot.repository.catalog import History
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, Segment, format_lsn
from addons.loomworks_snapshot.repository.store import Store
from addons.loomworks_snapshot.repository.verdict import Proof, Reason
from addons.loomworks_snapshot.timeline.reach import reaches
from harness.restoring import location, named, once_at, restore, whole
from stack.postgres_root import BINARIES

SYSTEM = "SELECT system_identifier FROM pg_control_system()"
LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8")
IN_FOLDER = ("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh")


@pytest.fixture(scope="module")
def server(own_cell):
    """A server with a backup, and a moment behind it."""
    for name in ("t_mine", "t_other"):
        own_cell.ask(f"CREATE DATABASE {name} STRATEGY wal_log")
        own_cell.ask("CREATE TABLE line AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g", name)
    own_cell.first_backup = own_cell.backup("full")
    own_cell.ask("INSERT INTO line VALUES (1, 'before the moment')", "t_mine")
    own_cell.ask("UPDATE line SET g = g + 1", "t_other")
    own_cell.content, own_cell.target = whole(own_cell, "t_mine"), named(own_cell, "moment")
    own_cell.ask("INSERT INTO line VALUES (2, 'after the moment')", "t_mine")
    own_cell.archive()
    [(own_cell.first_system,)] = own_cell.ask(SYSTEM)
    return own_cell


def upgrade(server):
    """Have pg_upgrade make the server anew, with all of its databases, and have its stanza follow."""
    old, new = server.folder / "old", server.data
    server.stop()
    shutil.rmtree(old, ignore_errors=True)
    new.rename(old)
    server.run("initdb", "-D", new, "--data-checksums", "--encoding=UTF8", *LOCALE, "--username=postgres")
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        (new / name).write_bytes((old / name).read_bytes())
    ways = (f"--old-datadir={old}", f"--new-datadir={new}", f"--socketdir={server.folder}/socket")
    options = ("--old-options=-c archive_mode=off", "--new-options=-c archive_mode=off", "--username=postgres")
    programs = (f"--old-bindir={BINARIES}", f"--new-bindir={BINARIES}")
    server.run(*IN_FOLDER, server.folder / "scratch", "pg_upgrade", *ways, *options, *programs)
    server.run("pgbackrest", "--stanza=main", "--no-online", "stanza-upgrade")
    server.start()
    server.ask("INSERT INTO line VALUES (4, 'after the upgrade')", "t_mine")
    server.archive()


@pytest.mark.parametrize(("stage", "times"), [("catalogue", 2), ("replay", 1)])
def test_upgrade_in_the_middle_changes_nothing(server, stage, times):
    """The second time that the catalogue is asked is for the list of files: what the stanza is has been read before."""
    [(before,)] = server.ask(SYSTEM)
    tell = once_at(stage, lambda: upgrade(server), times)
    report = restore(server, "t_mine", server.target, "t_back", tell=tell, system_identifier=server.first_system)
    assert report.backup == server.first_backup
    assert server.ask(SYSTEM) != [(before,)]
    assert whole(server, "t_back") == server.content
    assert whole(server, "t_mine") != server.content


@pytest.fixture(scope="module")
def upgraded(server):
    """The server, upgraded at least once, with a backup and a moment of the new one."""
    if server.ask(SYSTEM) == [(server.first_system,)]:
        upgrade(server)
    server.backup("full")
    server.new_content, server.new_target = whole(server, "t_mine"), named(server, "new moment")
    return server


def test_moment_of_the_server_as_it_was_is_proven_and_restored(upgraded):
    [proven] = proof.prove(Store(location(upgraded)), [moment(upgraded)])
    assert isinstance(proven, Proof)
    assert proven.backup == upgraded.first_backup
    system = upgraded.first_system
    restore(upgraded, "t_mine", upgraded.target, "t_back", system_identifier=system, backup_label=proven.backup)
    assert whole(upgraded, "t_back") == upgraded.content


def test_position_of_the_server_as_it_was_is_restored(upgraded):
    target = Target(TargetKind.LSN, format_lsn(upgraded.target.lsn), timeline=1)
    restore(upgraded, "t_mine", target, "t_back", system_identifier=upgraded.first_system)
    assert whole(upgraded, "t_back") == upgraded.content


def test_moment_of_the_new_server_is_restored(upgraded):
    [(system,)] = upgraded.ask(SYSTEM)
    restore(upgraded, "t_mine", upgraded.new_target, "t_back", system_identifier=system)
    assert whole(upgraded, "t_back") == upgraded.new_content


def test_time_before_the_upgrade_is_refused_where_no_server_is_named(upgraded):
    at = Store(location(upgraded))
    first = catalogs.read(at).get(upgraded.first_backup)
    target = Target(TargetKind.TIME, "then", timestamp=first.stopped + 1)
    with pytest.raises(errors.NoBaseBackup) as caught:
        restore(upgraded, "t_mine", target, "t_back")
    assert "The repository goes back to" in caught.value.hint


def test_moment_that_was_not_archived_in_time_is_not_waited_for(upgraded):
    never = replace(moment(upgraded), lsn=moment(upgraded).lsn + 64 * SEGMENT_SIZE)
    unknown = replace(moment(upgraded), timeline=7)
    found = proof.prove(Store(location(upgraded)), [never, unknown])
    assert [(one.reason, one.waiting) for one in found] == [
        (Reason.SEGMENT_MISSING, False),
        (Reason.HISTORY_MISSING, False),
    ]


def test_time_machine_offers_no_time_before_the_upgrade(upgraded):
    prover = proof.Prover(Store(location(upgraded)))
    newest = Segment.ending(1, upgraded.new_target.lsn)
    labels = [one.label for one in reaches(prover, newest)]
    assert upgraded.first_backup not in labels
    assert len(labels) == 1


def test_server_of_another_version_is_refused_by_proof_and_restore(upgraded, monkeypatch):
    read = catalogs.read

    def of_sixteen(store):
        catalog = read(store)
        old = (History(one.number, one.system_identifier, "16") for one in catalog.histories[:1])
        return replace(catalog, histories=(*old, *catalog.histories[1:]))

    monkeypatch.setattr(catalogs, "read", of_sixteen)
    [found] = proof.prove(Store(location(upgraded)), [moment(upgraded)])
    assert (found.reason, found.waiting) == (Reason.OTHER_VERSION, False)
    with pytest.raises(errors.NoBaseBackup, match="PostgreSQL 16"):
        restore(upgraded, "t_mine", upgraded.target, "t_back", system_identifier=upgraded.first_system)


def moment(server):
    """Return the moment before the upgrades as the proof is asked for it."""
    return verdict.Target(server.first_system, 1, server.target.lsn)
