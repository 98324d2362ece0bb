"""What a restore says when something is missing, wrong, full or gone; it never says that it worked."""

import dataclasses
import os
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from addons.loomworks_snapshot.pitr import checks, errors, overlay, scratch, transfer, wal
from addons.loomworks_snapshot.pitr.programs import Programs
from addons.loomworks_snapshot.pitr.request import Request, Target, TargetKind
from addons.loomworks_snapshot.pitr.wal_filter import Selection
from addons.loomworks_snapshot.repository import catalog as catalogs
from addons.loomworks_snapshot.repository import cipher, info_file
from addons.loomworks_snapshot.repository import errors as repository
from addons.loomworks_snapshot.repository.segments import Segment, format_lsn, parse_lsn
from addons.loomworks_snapshot.repository.store import Store
from addons.loomworks_tenant.errors import PermanentError
from botocore.httpsession import URLLib3Session
from harness.cell import BUCKET, CIPHER_PASS, PATHS, a_cell
from harness.restoring import location, named, restore, whole
from stack.postgres_root import USER_ID


@pytest.fixture(scope="module")
def server(own_cell):
    """A server with one tenant, a backup, and a restore point some segments after it."""
    own_cell.ask("CREATE DATABASE t_other STRATEGY wal_log")
    own_cell.ask("CREATE TABLE line AS SELECT g FROM generate_series(1, 100) g", "t_other")
    own_cell.ask("CREATE DATABASE t_mine STRATEGY wal_log")
    own_cell.ask(
        "CREATE TABLE line WITH (autovacuum_enabled = off)"  # else its pages may come out of WAL, all of them
        " AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g;"
        "CREATE INDEX up ON line (g); CREATE INDEX down ON line (g DESC)",
        "t_mine",
    )
    own_cell.before_backup = own_cell.restore_point("before the backup")
    own_cell.label = own_cell.backup("full")
    own_cell.between = []
    for number in range(3):
        own_cell.ask(f"INSERT INTO line VALUES ({number}, 'more')", "t_mine")
        own_cell.ask("UPDATE line SET g = g + 1", "t_other")
        own_cell.between.append(Segment.ending(1, parse_lsn(own_cell.restore_point(f"between {number}"))))
    own_cell.target = named(own_cell, "target")
    own_cell.ask("INSERT INTO line VALUES (0, 'later')", "t_mine")
    own_cell.archive()
    return own_cell


class Objects:
    """The repository's objects; :meth:`take_back` what was done to them."""

    def __init__(self, client):
        self._client = client
        self._saved = {}  # None: it was not there

    def names(self, part):
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [one["Key"] for page in pages for one in page.get("Contents", ()) if part in one["Key"]]

    def change(self, part, data=None):
        """Replace every object with ``part`` in its name, or delete it."""
        for key in self.names(part):
            body = self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            self._saved.setdefault(key, body)
            self._put(key, data and data(body))

    def add(self, key, body):
        self._saved[key] = None
        self._put(key, body)

    def take_back(self):
        for key, body in self._saved.items():
            self._put(key, body)

    def _put(self, key, body):
        if body is None:
            self._client.delete_object(Bucket=BUCKET, Key=key)
        else:
            self._client.put_object(Bucket=BUCKET, Key=key, Body=body)


@pytest.fixture
def objects(server):
    """The repository's objects; whatever a test does to them is taken back."""
    offered = Objects(server.s3.client())
    yield offered
    offered.take_back()


def middle(server):
    """Name the segment of the first restore point after the backup."""
    last = Segment.ending(1, server.target.lsn)
    return Segment(1, last.number - 2).name


def refused(server, target, kind, **request):
    with pytest.raises(kind) as caught:
        restore(server, "t_mine", target, "t_back", **request)
    assert not (server.folder / "scratch" / "restore").exists()
    assert whole(server, "t_back")["objects"] == []
    return caught.value


def harmed(server, monkeypatch, harm):
    """Have the tenant's table harmed between pgBackRest's restore and the server's start; return its file's name."""
    [(name,)] = server.ask("SELECT pg_relation_filepath('line')", "t_mine")
    run = Programs.run

    def run_and_harm(programs, *argv, **options):
        said = run(programs, *argv, **options)
        if (argv[0], argv[-1]) == ("pgbackrest", "restore"):
            harm(server.folder / "scratch" / "restore" / "data" / name)
        return said

    monkeypatch.setattr(Programs, "run", run_and_harm)
    return name


def test_a_position_in_the_future(server):
    future = format_lsn(server.target.lsn + 64 * 1024 * 1024)
    error = refused(server, Target(TargetKind.LSN, future, timeline=1), errors.TargetNotReached)
    assert "is not in the repository" in error.message


def test_a_time_in_the_future(server):
    refused(server, Target(TargetKind.TIME, "2099-01-01 00:00:00+00", timestamp=4070908800), errors.TargetNotReached)


def test_a_moment_before_the_first_backup_says_how_far_back_it_goes(server):
    error = refused(server, Target(TargetKind.LSN, server.before_backup), errors.NoBaseBackup)
    assert "goes back to" in error.hint


def test_a_database_that_was_not_there_yet(server):
    with pytest.raises(errors.DatabaseNotThere):
        restore(server, "t_unknown", server.target, "t_back")


def test_another_servers_repository(server):
    refused(server, server.target, errors.NoBaseBackup, system_identifier=4711)


def test_a_missing_segment_is_named(server, objects):
    objects.change(middle(server))
    error = refused(server, server.target, errors.TargetNotReached)
    assert middle(server) in error.message


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda data: data[: len(data) // 2], errors.WalDamaged),
        (lambda data: data[:-32] + bytes(32), errors.WalDamaged),
        (lambda data: b"", errors.TargetNotReached),
    ],
    ids=["truncated", "corrupted", "empty"],
)
def test_a_damaged_segment_is_named(server, objects, damage, kind):
    objects.change(middle(server), damage)
    error = refused(server, server.target, kind)
    assert middle(server) in error.message


def test_a_program_that_is_killed_says_nothing_of_the_segment(server, monkeypatch):
    run, name = Programs.run, middle(server)

    def killed(programs, *argv, **options):
        if name in argv:
            argv = ["sh", "-c", "kill -9 $$"]
        return run(programs, *argv, **options)

    monkeypatch.setattr(Programs, "run", killed)
    assert not isinstance(refused(server, server.target, errors.ProgramFailed), PermanentError)


def test_a_segment_of_another_server_is_named(server, objects):
    name, passphrase = middle(server), catalogs.archive_pass(Store(location(server)))
    with a_cell() as other:
        while other.ask("SELECT pg_walfile_name(pg_current_wal_lsn())") <= [(name,)]:
            other.archive()
        theirs = Store(location(other))
        (found,) = theirs.list(f"archive/main/{catalogs.read(theirs).archive_id}/{name[:16]}", name)
        plain = cipher.decrypt(theirs.read(found.name), catalogs.archive_pass(theirs))
        key = theirs.location.object_key(found.name)  # with the checksum of its own content
    objects.change(name)
    objects.add(key, cipher.encrypt(plain, passphrase))
    assert objects.names(name) == [key]
    error = refused(server, server.target, errors.WalDamaged)
    assert f"{name} is of another server" in error.message


def test_a_damaged_segment_behind_the_target_is_nobodys_matter(server, objects):
    behind = Segment(1, Segment.ending(1, server.target.lsn).number + 1).name
    assert objects.names(behind)
    objects.change(behind, lambda data: data[: len(data) // 2])
    restore(server, "t_mine", server.target, "t_back")


def test_wal_is_unpacked_whatever_the_starting_server_does_to_its_folder(server):
    folder = server.folder / "scratch" / "restore"
    label, aside = folder / "data" / "backup_label", folder / "data" / "aside"
    waited = []

    def tell(stage, share):
        if stage != "replay" or waited:
            return
        label.rename(aside)  # as it is taken away by the server, which is just about to start
        end = time.monotonic() + 30
        while not (found := list((folder / "wal" / "ready").iterdir())) and time.monotonic() < end:
            time.sleep(0.01)
        waited.append(found)
        aside.rename(label)

    restore(server, "t_mine", server.target, "t_back", tell=tell)
    assert waited[0]


@pytest.mark.parametrize("part", ["bundle/1", "backup.manifest"])
def test_a_missing_part_of_the_backup(server, objects, part):
    objects.change(f"{server.label}/{part}")
    refused(server, server.target, repository.ObjectMissing)


def test_a_damaged_part_of_the_backup(server, objects):
    objects.change(f"{server.label}/bundle/1", lambda data: data[:5000] + bytes(len(data) - 5000))
    refused(server, server.target, repository.RepositoryDamaged)


def test_a_damaged_manifest(server, objects):
    objects.change(f"{server.label}/backup.manifest", lambda data: data[:64] + bytes(16) + data[80:])
    refused(server, server.target, repository.RepositoryDamaged)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, wal.PAGE)], ids=["lost", "shorter"])
def test_a_file_that_is_not_whole_once_it_is_restored(server, monkeypatch, harm):
    name, told = harmed(server, monkeypatch, harm), []
    error = refused(server, server.target, errors.FilesMissing, tell=lambda stage, share: told.append(stage))
    assert name in error.message
    assert "replay" not in told


def test_a_damaged_page_is_found_by_the_check(server, monkeypatch):
    def harm(path):
        with path.open("r+b") as stream:
            stream.seek(3 * wal.PAGE + wal.PAGE // 2)
            stream.write(b"not what was written")

    name = harmed(server, monkeypatch, harm)
    error = refused(server, server.target, errors.CheckFailed)
    assert f"invalid page in block 3 of relation {name}" in error.message


def test_an_index_in_the_wrong_order_is_found_by_the_check(server):
    def tell(stage, share):
        if (stage, share) == ("check", 0.0):
            socket = str(server.folder / "scratch" / "restore" / "socket")
            there = psycopg2.connect(host=socket, port=5432, user="postgres", dbname="t_mine")
            with closing(there), there, there.cursor() as cr:
                cr.execute("UPDATE pg_class SET relfilenode = pg_relation_filenode('up') WHERE relname = 'down'")

    error = refused(server, server.target, errors.CheckFailed, tell=tell)
    assert 'item order invariant violated for index "down"' in error.message


def checked_by(monkeypatch, script):
    """Have a shell's script run in the place of pg_amcheck."""
    run = Programs.run

    def replaced(programs, *argv, **options):
        return run(programs, *(("sh", "-c", script) if argv[0] == "pg_amcheck" else argv), **options)

    monkeypatch.setattr(Programs, "run", replaced)


def findings(*said):
    return "".join(f'heap table "t_mine.public.line_{number}":\n    {one}\n' for number, one in enumerate(said))


OUT_OF_MEMORY = 'ERROR:  out of memory\n    DETAIL:  Failed on request of size 8192 in memory context "amcheck".'


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("kill -9 $$", errors.ProgramFailed),
        ("echo 'pg_amcheck: error: connection to server on socket failed' >&2; exit 1", errors.ProgramFailed),
        (f"echo '{findings(OUT_OF_MEMORY)}'; exit 2", errors.ProgramFailed),
        (f"echo '{findings('ERROR:  could not write: No space left on device')}'; exit 2", errors.ScratchFull),
    ],
    ids=["killed", "no server", "no memory", "no space"],
)
def test_a_check_that_does_not_come_to_its_end_says_nothing_of_the_database(server, monkeypatch, script, kind):
    checked_by(monkeypatch, script)
    assert not isinstance(refused(server, server.target, kind), PermanentError)


def test_damage_is_damage_whatever_else_goes_wrong_beside_it():
    damaged = "ERROR:  invalid page in block 3 of relation base/5/16384"
    assert checks.names_damage(findings(OUT_OF_MEMORY, damaged))
    assert checks.names_damage(findings("line pointer redirection to item at offset 7 exceeds the maximum"))
    assert not checks.names_damage(
        findings(OUT_OF_MEMORY, "FATAL:  terminating connection due to administrator command")
    )
    assert not checks.names_damage("pg_amcheck: error: connection to server failed")


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", errors.ProgramFailed),
        ("DO $$ BEGIN RAISE EXCEPTION 'no memory' USING ERRCODE = '53200'; END $$", errors.ProgramFailed),
        ("DO $$ BEGIN RAISE EXCEPTION 'no disk' USING ERRCODE = '53100'; END $$", errors.ScratchFull),
        ("DO $$ BEGIN RAISE EXCEPTION 'a page' USING ERRCODE = 'XX001'; END $$", errors.CheckFailed),
        ("DO $$ BEGIN RAISE EXCEPTION 'an index' USING ERRCODE = 'XX002'; END $$", errors.CheckFailed),
        ("DO $$ BEGIN RAISE EXCEPTION 'a file' USING ERRCODE = '58P01'; END $$", errors.CheckFailed),
    ],
)
def test_rows_that_cannot_be_counted_are_damage_only_where_the_server_says_so(server, monkeypatch, statement, kind):
    monkeypatch.setattr(checks, "TABLES", statement)
    refused(server, server.target, kind)


def test_the_wrong_key(server):
    wrong = dataclasses.replace(location(server), cipher_pass="another")
    with pytest.raises(repository.WrongKey):
        restore(server, "t_mine", server.target, "t_back", store=Store(wrong))


def test_an_account_that_may_not(server):
    wrong = dataclasses.replace(location(server), key_secret="another")
    with pytest.raises(repository.RepositoryDenied):
        restore(server, "t_mine", server.target, "t_back", store=Store(wrong))


def test_the_object_store_dies_at_any_stage_and_comes_back(server, monkeypatch):
    monkeypatch.setattr(wal, "AHEAD", 1)  # else all WAL is there before replay begins
    for stage in ("catalogue", "fetch", "replay"):

        def tell(now, share, stage=stage):
            if (now, share) == (stage, 0.0):
                server.s3.stop()

        try:
            with pytest.raises(repository.RepositoryUnreachable):
                restore(server, "t_mine", server.target, "t_back", tell=tell)
        finally:
            server.s3.start()
    restore(server, "t_mine", server.target, "t_back")


def test_a_slow_object_store_is_waited_for(server, monkeypatch):
    monkeypatch.setattr(wal, "AHEAD", 1)  # so that the server has to wait, too
    send, sent = URLLib3Session.send, []

    def send_slowly(session, request):
        sent.append(request.url)
        time.sleep(0.5)
        return send(session, request)

    monkeypatch.setattr(URLLib3Session, "send", send_slowly)
    report = restore(server, "t_mine", server.target, "t_back")
    assert len(sent) > report.segments
    assert (report.method, report.note) == ("selective", "")
    assert server.ask("SELECT count(*) FROM line", "t_back") == [(5003,)]


def test_too_little_scratch_space_is_said_before_anything_is_fetched(server, monkeypatch):
    monkeypatch.setattr(scratch, "RESERVE", 1 << 50)
    told = []
    with pytest.raises(errors.ScratchFull):
        restore(server, "t_mine", server.target, "t_back", tell=lambda stage, share: told.append(stage))
    assert "fetch" not in told


def test_the_scratch_volume_fills_up_while_it_works(server, monkeypatch):
    monkeypatch.setattr(scratch, "RESERVE", -(1 << 50))
    top = server.folder / "scratch"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", top], check=True)
    try:
        shutil.chown(top, server.data.stat().st_uid)
        with pytest.raises(errors.ScratchFull):
            restore(server, "t_mine", server.target, "t_back")
    finally:
        subprocess.run(["umount", top], check=True)


def test_interrupted_at_any_stage_it_leaves_nothing_and_works_the_next_time(server):
    class Killed(BaseException):
        pass

    stages = ["catalogue", "fetch", "restore", "replay", "check", "dump", "load"]
    for stage in stages:

        def tell(now, share, stage=stage):
            if now == stage:
                raise Killed

        with pytest.raises(Killed):
            restore(server, "t_mine", server.target, "t_back", tell=tell)
        assert not (server.folder / "scratch" / "restore").exists()
    restore(server, "t_mine", server.target, "t_back")


def test_a_server_that_did_not_stop_at_the_target_is_not_believed(server, monkeypatch):
    """PostgreSQL was not told where to stop: it comes up with all that there is, as if all were well."""
    run = Programs.run

    def run_and_forget(programs, *argv, **options):
        said = run(programs, *argv, **options)
        settings = server.folder / "scratch" / "restore" / "data" / "postgresql.auto.conf"
        if (argv[0], argv[-1]) == ("pgbackrest", "restore"):
            lines = settings.read_text().splitlines(keepends=True)
            settings.write_text("".join(line for line in lines if not line.startswith("recovery_target")))
        return said

    monkeypatch.setattr(Programs, "run", run_and_forget)
    error = refused(server, server.target, errors.TargetNotReached)
    assert "did not stop at the target" in error.message


def test_a_table_that_is_not_the_tenants_is_named_with_what_to_do(server):
    server.ask("CREATE ROLE somebody LOGIN; CREATE ROLE other_owner")
    server.ask("CREATE DATABASE t_mixed OWNER somebody STRATEGY wal_log")
    server.ask("CREATE TABLE theirs (a int); ALTER TABLE theirs OWNER TO other_owner", "t_mixed")
    target = named(server, "mixed")
    with pytest.raises(errors.CheckFailed) as caught:
        restore(server, "t_mixed", target, "t_back")
    assert "theirs" in caught.value.message
    assert "OWNER TO" in caught.value.hint


def test_what_a_killed_restore_left_is_no_hindrance(server):
    left = server.folder / "scratch" / "restore" / "data"
    left.mkdir(parents=True)
    (left / "postmaster.pid").write_text("1")
    restore(server, "t_mine", server.target, "t_back")


def test_a_backup_that_expires_meanwhile_gives_way_to_another(server):
    newer = server.backup("full")
    target = named(server, "after the newer one")
    before = whole(server, "t_mine")
    expired = []

    def tell(stage, share):
        if stage == "fetch" and not expired:
            expired.append(newer)
            server.run("pgbackrest", "--stanza=main", f"--set={newer}", "expire")

    report = restore(server, "t_mine", target, "t_back", tell=tell, backup_label=newer)
    assert (expired, report.backup) == ([newer], server.label)
    assert whole(server, "t_back") == before


def test_an_unknown_format_is_left_to_pgbackrest(server, monkeypatch):
    def unknown(*args):
        raise repository.UnknownFormat("a block map of the repository has another version")

    monkeypatch.setattr(overlay, "read_manifest", unknown)
    report = restore(server, "t_mine", server.target, "t_back")
    assert report.method == "include"
    assert report.note.endswith("which takes longer: a block map of the repository has another version")
    assert server.ask("SELECT count(*) FROM line", "t_back") == [(5003,)]


def test_an_unknown_format_and_a_name_that_the_backup_does_not_know(server, monkeypatch):
    def unknown(*args):
        raise repository.UnknownFormat("a block map of the repository has another version")

    monkeypatch.setattr(overlay, "read_manifest", unknown)
    server.ask("CREATE DATABASE t_young STRATEGY wal_log")
    target = named(server, "young")
    with pytest.raises(errors.DatabaseNotThere) as caught:
        restore(server, "t_young", target, "t_back")
    assert "by itself (--db-include)" in caught.value.message
    assert "a block map of the repository has another version" in caught.value.message
    assert "next base backup" in caught.value.hint
    assert not (server.folder / "scratch" / "restore").exists()


def other_format(server, part, passphrase):
    """Return what makes a file of the repository one of a later format, whole in itself."""

    def change(body):
        text = cipher.decrypt(body, passphrase).decode().replace("backrest-format=5", "backrest-format=6")
        file = info_file.InfoFile(dict(info_file._sections(text)))
        return cipher.encrypt(file.render().encode(), passphrase)

    return change


def test_a_repository_of_another_format_is_refused_with_its_number(server, objects):
    objects.change("backup.info", other_format(server, "backup.info", CIPHER_PASS))
    error = refused(server, server.target, repository.UnknownFormat)
    assert error.message == "the repository has format 6, and this engine knows 5"


@pytest.mark.parametrize("from_the", [0, 2])
def test_wal_that_is_not_as_expected_is_replayed_whole(server, monkeypatch, from_the):
    seen = []

    def segment(filtering, number, data, following):
        seen.append(number)
        if len(seen) > from_the:
            raise errors.WalNotFiltered("its pages are not of PostgreSQL 17")

    monkeypatch.setattr(wal.WalFilter, "segment", segment)
    report = restore(server, "t_mine", server.target, "t_back")
    assert (report.method, report.passed) == ("selective", 0)
    assert report.note == "All WAL was replayed, not the tenant's alone: its pages are not of PostgreSQL 17"
    assert server.ask("SELECT count(*) FROM line", "t_back") == [(5003,)]


def test_where_the_server_stumbles_over_what_was_passed_over_all_is_replayed(server, monkeypatch, caplog):
    right = wal.WalFilter.segment

    def segment(filtering, number, data, following):
        if number <= server.between[0].number:  # what follows changes pages that have never been there then
            right(filtering, number, data, following)

    monkeypatch.setattr(wal.WalFilter, "segment", segment)
    report = restore(server, "t_mine", server.target, "t_back")
    assert "recovery ended early (" in report.note
    assert "invalid pages" not in report.note
    assert "invalid pages" in caplog.text  # the server's words may tell of others
    assert server.ask("SELECT count(*) FROM line", "t_back") == [(5003,)]


def test_a_mistake_of_the_filter_ends_the_restore(server, monkeypatch):
    def segment(filtering, number, data, following):
        raise RuntimeError("nobody has thought of this")

    monkeypatch.setattr(wal.WalFilter, "segment", segment)
    error = refused(server, server.target, errors.ProgramFailed)
    assert "nobody has thought of this" in error.message


def test_segments_are_asked_for_in_any_order(server, monkeypatch):
    monkeypatch.setattr(wal, "AHEAD", 2)
    monkeypatch.setattr(wal, "KEPT", 1)
    [(other,)] = server.ask("SELECT oid::int8 FROM pg_database WHERE datname = 't_other'")
    space, store = scratch.Scratch(server.folder / "scratch" / "feed", USER_ID), Store(location(server))
    space.prepare()
    (space.data / "global").mkdir(parents=True, exist_ok=True)
    shutil.copy(server.data / wal.CONTROL, space.data / wal.CONTROL)
    catalog = catalogs.read(store)
    first = Segment.parse(catalog.get(server.label).first_segment)
    programs = Programs(lambda argv: server.command(*argv), PATHS)
    feed = wal.WalFeed(store, programs, space, catalog.archive_id, first, Selection([other]), 1)
    names = [Segment(1, first.number + number).name for number in range(5)]
    try:
        feed.open()
        feed.unpack()
        expected = filtered(server, names, other)
        for index in (3, 0, 1, 2, 3, 4, 1, 0):
            assert asked_for(space.root / "wal", names[index]) == expected[index]
    finally:
        feed.close()
        space.wipe()


def asked_for(folder, name):
    """Ask for a segment as the server does, and return it."""
    (folder / "wanted" / name).touch()
    end = time.monotonic() + 30
    while (folder / "wanted" / name).exists() or not (folder / "ready" / name).exists():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)
    return (folder / "ready" / name).read_bytes()


def filtered(server, names, other):
    """Return segments without what they say of a database."""
    path = server.folder / "scratch" / "whole"
    filtering, found = wal.WalFilter(Selection([other]), Segment.parse(names[0]).number), []
    for name in names:
        server.run("pgbackrest", "--stanza=main", "archive-get", name, path)
        found.append(bytearray(path.read_bytes()))
    for index, name in enumerate(names):
        filtering.segment(
            Segment.parse(name).number,
            memoryview(found[index]),
            lambda index=index: bytes(found[index + 1][: wal.PAGE]),
        )
    assert filtering.passed
    return found


def test_a_request_passes_through_text():
    request = Request("t_mine", Target(TargetKind.NAME, "point", timeline=2, lsn=7), "label", 42, 3)
    assert Request.from_json(request.to_json()) == request


def test_rows_that_do_not_arrive_are_missed(server, monkeypatch):
    load = transfer.load

    def lose_one(programs, folder, address, jobs):
        load(programs, folder, address, jobs)
        server.ask("DELETE FROM line WHERE g = 1", address["PGDATABASE"])

    monkeypatch.setattr(transfer, "load", lose_one)
    with pytest.raises(errors.LoadFailed, match=r"public\.line: \d+ rows"):
        restore(server, "t_mine", server.target, "t_back")


def test_a_database_that_was_copied_file_by_file_in_the_window(server):
    server.ask("CREATE DATABASE t_copy TEMPLATE t_other STRATEGY file_copy")
    before, copied = whole(server, "t_mine"), whole(server, "t_copy")
    target = named(server, "copied")
    restore(server, "t_mine", target, "t_back")
    assert whole(server, "t_back") == before
    server.ask('DROP DATABASE "t_back"')
    with pytest.raises(errors.CopiedByFile) as caught:
        restore(server, "t_copy", target, "t_back")
    assert "STRATEGY FILE_COPY" in caught.value.message
    assert whole(server, "t_back")["objects"] == []
    server.backup("full")
    restore(server, "t_copy", named(server, "after the next backup"), "t_back")
    assert whole(server, "t_back") == copied
