"""Backup, check and restore of a tenant's files on a real S3 server, and what bad luck does to them."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import psycopg2
import pytest
from addons.loomworks_storage.files.spec import FilesSpec
from addons.loomworks_storage.filestore import __main__ as job
from addons.loomworks_storage.filestore import folder as folders
from addons.loomworks_storage.filestore import head as heads
from addons.loomworks_storage.filestore import needed
from addons.loomworks_storage.filestore import store as stores
from addons.loomworks_storage.filestore.backup import Backup
from addons.loomworks_storage.filestore.check import check
from addons.loomworks_storage.filestore.container import encrypt, sealed_size
from addons.loomworks_storage.filestore.errors import (
    FolderMissing,
    NotProven,
    ObjectDamaged,
    ObjectMissing,
    SettingMissing,
    StoreDenied,
    StoreFull,
    StoreUnreachable,
    VolumeFull,
    WrongKey,
)
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.filestore.head import Head
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.location import content_name
from addons.loomworks_storage.filestore.manifest import Directory, Manifest, State
from addons.loomworks_storage.filestore.request import Command, Request
from addons.loomworks_storage.filestore.restore import Restore
from addons.loomworks_storage.filestore.store import Store
from addons.loomworks_storage.filestore.vault import Vault
from addons.loomworks_storage.reconciler.files import files_work
from botocore.exceptions import ClientError
from factories import tenant_spec
from filestores import (
    AGO,
    BUCKET,
    EventfulStore,
    Killed,
    a_folder,
    contents,
    digest_of,
    killed,
    open_store,
    settle,
    write,
)

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = [f"file {number}".encode() * (number + 1) for number in range(16)]
LARGE = os.urandom(9 * 1024 * 1024)  # two parts
MIDDLE = os.urandom(3 * 1024 * 1024 + 1)


@pytest.fixture
def folder(tmp_path):
    return a_folder(tmp_path / "t_one", *SMALL)


def back_up(vault, folder, name="first", **options):
    return Backup(vault, folder, patience=(0.05,)).run(name, "t_one", **options)


def client_of(vault):
    """Return a client of the store that knows all operations."""
    place = vault.store.location
    account = {"aws_access_key_id": place.key, "aws_secret_access_key": place.key_secret}
    return boto3.client("s3", endpoint_url=place.url, region_name=place.region, verify=place.ca_file, **account)


def tamper(vault, digest, change):
    """Have the object of a digest be what ``change`` makes of it."""
    name = content_name(digest)
    vault.store.put(name, change(vault.store.read(name)), replace=True)


def lose(vault, digest):
    client_of(vault).delete_object(Bucket=BUCKET, Key=vault.store.location.object_key(content_name(digest)))


def keys_of(vault, prefix=""):
    return [one.name for folder in ("objects", "manifests") for one in vault.store.list(folder) if prefix in one.name]


@contextmanager
def troubled_server(answer):
    """Offer the address of a server that knows one answer only: (status, code), ``silence``, or ``half`` of one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if answer == "silence":
                time.sleep(1)
                return
            status, code = (200, "") if answer == "half" else answer
            body = f"<Error><Code>{code}</Code></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) * (2 if answer == "half" else 1)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def wait_until_it_writes(s3):
    """Wait for more than an answer: a server that has just started does not find its own disk at once."""
    deadline = time.monotonic() + 60
    while True:
        try:
            s3.client().put_object(Bucket=BUCKET, Key="awake", Body=b"x")
            return
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


# --- good luck ------------------------------------------------------------------------------------


def test_everything_comes_back_as_it_was(vault, folder, tmp_path):
    for content in (b"", MIDDLE, LARGE):
        write(folder, content)
    report = back_up(vault, folder)
    assert (report.files, report.uploaded, report.whole) == (19, 19, True)
    found = check(vault, vault.manifest("first"), sample=None)
    assert (found.files, found.read, found.whole) == (19, 19, True)
    restored = Folder(tmp_path / "restored")
    report = Restore(vault, restored).run(vault.manifest("first"))
    assert (report.fetched, report.whole) == (19, True)
    assert contents(restored) == contents(folder)


def test_nothing_in_the_store_can_be_read_without_the_key(vault, folder):
    write(folder, b"a secret of the tenant" * 100)
    back_up(vault, folder)
    for name in [*keys_of(vault), "key"]:
        data = vault.store.read(name)
        assert b"secret" not in data
        assert data[:2] != b"\x1f\x8b"


def test_what_is_not_a_file_of_odoo_is_left_alone(vault, folder):
    (folder.root / "checklist" / "ab").mkdir(parents=True)
    (folder.root / "checklist" / "ab" / ("ab" * 20)).touch()
    digest = digest_of(SMALL[0])
    (folder.path(digest).parent / "notes.txt").write_text("x")
    (folder.path(digest).parent / (digest[:2] + "0" * 38)).symlink_to("/etc/hostname")
    assert back_up(vault, folder).files == len(SMALL)


def test_second_backup_sends_what_is_new_and_looks_where_something_changed(vault, folder):
    back_up(vault, folder)
    new = write(folder, b"new")
    os.utime(folder.path(new).parent, (time.time() - AGO / 2,) * 2)
    report = back_up(vault, folder, "second")
    assert (report.uploaded, report.files) == (1, len(SMALL) + 1)
    with_files = {digest_of(one)[:2] for one in [*SMALL, b"new"]}
    assert report.directories_unchanged == len(with_files) - 1


def test_directory_changed_a_moment_ago_is_looked_into_again(vault, folder, monkeypatch):
    monkeypatch.setattr(folders, "SETTLED", 3600.0)  # however slow this machine is just now
    new = write(folder, b"new")
    back_up(vault, folder)
    assert vault.manifest("first").directory(new[:2]).state is None
    assert (
        back_up(vault, folder, "second").directories_scanned
        == 256 - back_up(vault, folder, "third").directories_unchanged
    )


def test_file_that_odoo_removed_is_in_the_older_manifest_only(vault, folder, tmp_path):
    back_up(vault, folder)
    gone = digest_of(SMALL[3])
    folder.remove(gone)
    back_up(vault, folder, "second")
    assert vault.manifest("second").size_of(gone) is None
    assert vault.manifest("first").size_of(gone) == len(SMALL[3])
    restored = Folder(tmp_path / "restored")
    assert Restore(vault, restored, folder).run(vault.manifest("first")).fetched == 1
    assert restored.path(gone).read_bytes() == SMALL[3]


def test_backup_of_a_copy_does_not_trust_times_of_the_original(vault, folder, tmp_path):
    back_up(vault, folder)
    subprocess.run(["cp", "-al", folder.root, tmp_path / "t_two"], check=True)
    report = Backup(vault, Folder(tmp_path / "t_two")).run("second", "t_one")
    assert (report.directories_unchanged, report.uploaded, report.files) == (0, 0, len(SMALL))


def test_same_name_again_changes_nothing(vault, folder):
    first = back_up(vault, folder)
    write(folder, b"new")
    again = back_up(vault, folder)
    assert (again.repeated, again.files, first.repeated) == (True, len(SMALL), False)


def test_audit_hashes_every_file_and_finds_what_has_rotted(vault, folder, tmp_path):
    back_up(vault, folder)
    rotten = write(folder, b"x" * len(SMALL[5]), digest_of(SMALL[5]))
    settle(folder)
    assert back_up(vault, folder, "usual").whole
    report = back_up(vault, folder, "audit", audit=True)
    assert (report.damaged, list(report.mendable), report.whole) == ({}, [rotten], True)
    restored = Folder(tmp_path / "restored")
    assert Restore(vault, restored).run(vault.manifest("audit")).whole
    assert restored.path(rotten).read_bytes() == SMALL[5]


def test_restore_links_what_lives_and_fetches_the_rest(vault, folder, tmp_path):
    back_up(vault, folder)
    write(folder, b"short", digest_of(SMALL[7]))
    write(folder, b"z" * len(SMALL[8]), digest_of(SMALL[8]))
    restored = Folder(tmp_path / "restored")
    report = Restore(vault, restored, folder).run(vault.manifest("first"), verify=True)
    assert (report.linked, report.fetched) == (len(SMALL) - 2, 2)
    assert restored.path(digest_of(SMALL[0])).samefile(folder.path(digest_of(SMALL[0])))
    assert sorted(contents(restored).values()) == sorted(SMALL)


def test_restore_keeps_what_is_there_and_prunes_only_when_asked(vault, folder, tmp_path):
    back_up(vault, folder)
    restored = Folder(tmp_path / "restored")
    Restore(vault, restored).run(vault.manifest("first"))
    other = write(restored, b"other")
    report = Restore(vault, restored).run(vault.manifest("first"))
    assert (report.kept, report.fetched, report.removed) == (len(SMALL), 0, 0)
    assert restored.path(other).exists()
    assert Restore(vault, restored).run(vault.manifest("first"), prune=True).removed == 1
    assert contents(restored) == contents(folder)


def test_restore_over_wrong_files_mends_them(vault, folder, tmp_path):
    back_up(vault, folder)
    restored = Folder(tmp_path / "restored")
    write(restored, b"half", digest_of(SMALL[1]))
    write(restored, b"y" * len(SMALL[2]), digest_of(SMALL[2]))
    assert Restore(vault, restored).run(vault.manifest("first"), verify=True).fetched == len(SMALL)
    assert contents(restored) == contents(folder)


def test_restore_across_volumes_copies(vault, folder, tmp_path, monkeypatch):
    back_up(vault, folder)

    def refused(*_, **__):
        raise OSError(18, "another device")

    monkeypatch.setattr(folders.os, "link", refused)
    restored = Folder(tmp_path / "restored")
    assert Restore(vault, restored, folder).run(vault.manifest("first")).linked == len(SMALL)
    assert contents(restored) == contents(folder)


# --- files in bad luck ----------------------------------------------------------------------------


def test_file_with_another_content_is_reported_and_never_sent(vault, folder):
    wrong = write(folder, b"not that", digest_of(b"that"))
    large = write(folder, LARGE, digest_of(b"large"))
    settle(folder)
    report = back_up(vault, folder)
    assert sorted(report.damaged) == sorted([wrong, large])
    assert not report.whole
    manifest = vault.manifest("first")
    assert sorted(manifest.damaged) == sorted([wrong, large])
    assert manifest.size_of(wrong) is None
    assert not keys_of(vault, wrong)
    assert not keys_of(vault, large)
    uploads = client_of(vault).list_multipart_uploads(Bucket=BUCKET, Prefix=vault.store.location.object_key("objects"))
    assert not uploads.get("Uploads")
    assert list(back_up(vault, folder, "second").damaged) == list(report.damaged)


def test_what_a_file_has_become_since_is_for_an_audit_to_find(vault, folder, tmp_path):
    back_up(vault, folder, "f")
    cut, flipped = digest_of(SMALL[9]), digest_of(SMALL[7])
    write(folder, SMALL[9][:5], cut)
    write(folder, b"x" * len(SMALL[7]), flipped)
    never = write(folder, b"x", cut[:2] + "0" * 38)  # new, and no good
    settle(folder)
    assert damage(back_up(vault, folder, "g")) == ({never}, set())
    assert damage(back_up(vault, folder, "h", audit=True)) == ({never}, {cut, flipped})
    assert damage(back_up(vault, folder, "i")) == ({never}, {cut, flipped})  # until it is mended
    restored = Folder(tmp_path / "restored")
    assert Restore(vault, restored).run(vault.manifest("i")).whole
    for content in (SMALL[9], SMALL[7]):
        assert restored.path(digest_of(content)).read_bytes() == content
    assert Restore(vault, folder).run(vault.manifest("i")).fetched == 2  # in place: what is known to be damaged
    assert damage(back_up(vault, folder, "j")) == ({never}, set())
    assert damage(back_up(vault, folder, "k", audit=True)) == ({never}, set())


def damage(report):
    return set(report.damaged), set(report.mendable)


def test_folder_of_another_database_is_compared_by_size(vault, folder, tmp_path):
    back_up(vault, folder)
    subprocess.run(["cp", "-al", folder.root, tmp_path / "t_two"], check=True)
    other, cut = Folder(tmp_path / "t_two"), digest_of(SMALL[9])
    other.remove(cut)
    write(other, SMALL[9][:5], cut)
    settle(other)
    assert damage(Backup(vault, other).run("second", "t_two")) == (set(), {cut})


def test_damaged_object_is_replaced_once_its_file_is_mended(vault, folder, tmp_path):
    back_up(vault, folder, "f")
    digest = digest_of(SMALL[9])
    (key,) = keys_of(vault, digest)
    client_of(vault).put_object(Bucket=BUCKET, Key=key, Body=bytes(sealed_size(len(SMALL[9]))))
    write(folder, b"x" * len(SMALL[9]), digest)
    settle(folder)
    assert list(Backup(vault, folder).run("g", "t_one", replace=[digest]).damaged) == [digest]
    write(folder, SMALL[9], digest)
    settle(folder)
    assert back_up(vault, folder, "h").whole
    assert check(vault, vault.manifest("h"), sample=None).whole


def test_file_being_written_waits_for_the_next_backup(vault, folder):
    digest = write(folder, b"half", digest_of(b"half and half"), age=0)
    report = back_up(vault, folder)
    assert (report.unfinished, report.damaged) == ([digest], {})
    write(folder, b"half and half", age=0)
    report = back_up(vault, folder, "second")
    assert (report.unfinished, report.uploaded) == ([], 1)


def test_file_written_meanwhile_is_waited_for(vault, folder):
    digest = write(folder, b"half", digest_of(b"half and half"), age=0)
    timer = threading.Timer(0.3, lambda: write(folder, b"half and half", age=0))
    timer.start()
    report = Backup(vault, folder, patience=(0.1, 0.5, 2.0)).run("first", "t_one")
    timer.join()
    assert (report.unfinished, report.damaged) == ([], {})
    assert vault.manifest("first").size_of(digest) == 13


def test_file_that_vanishes_is_not_in_the_manifest(vault, folder, monkeypatch):
    victims = {digest_of(one) for one in SMALL[:5]}
    original = Folder.changes

    def vanishing(self, directory, known):
        found, gone = original(self, directory, known)
        for digest in found.keys() & victims:
            self.remove(digest)
        return found, gone

    monkeypatch.setattr(Folder, "changes", vanishing)
    report = Backup(vault, folder, threads=1).run("first", "t_one")
    assert (report.vanished, report.whole, report.files) == (5, True, len(SMALL) - len(victims))
    assert check(vault, vault.manifest("first"), sample=None).whole


def test_file_that_cannot_be_read_is_reported(vault, folder, monkeypatch):
    broken = digest_of(SMALL[9])
    original = Folder.open

    def failing(self, digest):
        if digest == broken:
            raise OSError(5, "Input/output error")
        return original(self, digest)

    monkeypatch.setattr(Folder, "open", failing)
    assert back_up(vault, folder).damaged == {broken: "Input/output error"}


def test_folder_that_is_not_there_is_an_error_and_not_an_empty_backup(vault, tmp_path):
    with pytest.raises(FolderMissing):
        back_up(vault, Folder(tmp_path / "nothing"))
    with pytest.raises(ObjectMissing):
        vault.manifest("first")


def test_full_volume_is_told_and_nothing_half_has_a_name(vault, folder, tmp_path):
    back_up(vault, folder)
    restored = Folder(tmp_path / "restored")
    done = []

    def full(_):
        done.append(1)
        if len(done) > 5:
            raise OSError(28, "No space left on device")

    original = Vault.get

    def get(self, digest, size):
        yield from original(self, digest, size)
        full(digest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Vault, "get", get)
        with pytest.raises(VolumeFull):
            Restore(vault, restored).run(vault.manifest("first"))
    assert contents(restored).items() <= contents(folder).items()
    assert Restore(vault, restored).run(vault.manifest("first")).whole
    assert contents(restored) == contents(folder)


def test_leftovers_of_a_run_that_died_are_cleared_away(vault, folder, tmp_path):
    back_up(vault, folder)
    digest = digest_of(SMALL[0])
    restored = Folder(tmp_path / "restored")
    restored.make(digest[:2])
    old, young = (restored.path(digest).parent / f".{digest}.{end * 4}.new" for end in ("00", "11"))
    for path in (old, young):
        path.touch()
    os.utime(old, (1, 1))
    Restore(vault, restored).run(vault.manifest("first"))
    assert (old.exists(), young.exists()) == (False, True)


# --- a store in bad luck --------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 9, 17])
def test_killed_between_two_objects_goes_on_where_it_was(location, key, folder, at):
    dying = open_store(location, EventfulStore, at, killed)
    with pytest.raises(Killed):
        Backup(Vault(dying, key), folder).run("first", "t_one")
    with pytest.raises(ObjectMissing):
        Vault(open_store(location), key).manifest("first")
    store = open_store(location, EventfulStore, -1, killed)
    report = Backup(Vault(store, key), folder).run("first", "t_one")
    assert report.uploaded == len(SMALL) - len([one for one in dying.written if one.startswith("objects/")])
    assert not set(store.written) & set(dying.written)
    assert check(Vault(store, key), Vault(store, key).manifest("first"), sample=None).whole


def test_killed_in_the_middle_of_a_large_file_leaves_nothing_of_it(vault, tmp_path, monkeypatch):
    folder = a_folder(tmp_path / "t_one", LARGE)

    def dying(self, upload, number, data):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_put_part", dying)
        with pytest.raises(Killed):
            back_up(vault, folder)
    assert not keys_of(vault)
    assert back_up(vault, folder).uploaded == 1


def test_store_that_dies_half_way_is_told_and_the_next_run_goes_on(s3, location, key, folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(stores, "ATTEMPTS", 2)
        vault = Vault(open_store(location, EventfulStore, 8, s3.stop), key)
    try:
        with pytest.raises(StoreUnreachable, match="does not answer"):
            Backup(vault, folder, threads=4).run("first", "t_one")
    finally:
        s3.start()
        wait_until_it_writes(s3)
    assert [one.name for one in open_store(location).list("manifests")] == []
    report = Backup(Vault(open_store(location), key), folder).run("first", "t_one")
    assert 0 < report.there < len(SMALL)
    assert report.there + report.uploaded == len(SMALL)
    assert check(vault, vault.manifest("first"), sample=None).whole


def test_store_that_dies_during_a_restore_is_told_and_the_next_run_goes_on(vault, folder, tmp_path, monkeypatch):
    back_up(vault, folder)
    manifest = vault.manifest("first")
    restored, original, left = Folder(tmp_path / "restored"), Store.read, iter(range(5))

    def failing(self, name):
        if next(left, None) is None:
            raise StoreUnreachable("it does not answer")
        return original(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", failing)
        with pytest.raises(StoreUnreachable):
            Restore(vault, restored).run(manifest)
    report = Restore(vault, restored).run(manifest)
    assert (report.kept, report.fetched) == (5, len(SMALL) - 5)
    assert contents(restored) == contents(folder)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((503, "SlowDown"), StoreUnreachable),
        ((500, "InternalError"), StoreUnreachable),
        ((507, "InsufficientStorage"), StoreFull),
        ((403, "QuotaExceeded"), StoreFull),
        ((403, "AccessDenied"), StoreDenied),
        ("silence", StoreUnreachable),
        ("half", StoreUnreachable),
    ],
)
def test_what_a_store_in_trouble_answers_is_told(location, key, folder, monkeypatch, answer, expected):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    monkeypatch.setattr(stores, "READ_TIMEOUT", 0.3)
    with troubled_server(answer) as endpoint, pytest.raises(expected):
        back_up(Vault(Store(replace(location, endpoint=endpoint, ca_file="")), key), folder)


def test_wrong_account_and_bucket_are_told(location, key, folder):
    for changes in ({"key_secret": "x"}, {"bucket": "loomworks-elsewhere"}):
        place = type(location)(**{**vars(location), **changes})
        with pytest.raises(StoreDenied):
            back_up(Vault(Store(place), key), folder)
    assert location.key_secret not in repr(location)


def test_another_key_backs_up_and_restores_nothing(vault, location, folder, tmp_path):
    back_up(vault, folder)
    other = Vault(open_store(location), Key.generate())
    with pytest.raises(WrongKey):
        back_up(other, folder, "second")
    with pytest.raises(WrongKey):
        other.manifest("first")


def test_another_key_is_found_out_even_without_the_prefix_saying_so(vault, location, folder):
    back_up(vault, folder)
    client_of(vault).delete_object(Bucket=BUCKET, Key=location.object_key("key"))
    with pytest.raises(WrongKey):
        back_up(Vault(open_store(location), Key.generate()), folder, "second")


def test_first_backup_belongs_to_one_key_even_when_it_was_killed(location, key, folder):
    with pytest.raises(Killed):
        Backup(Vault(open_store(location, EventfulStore, 8, killed), key), folder).run("first", "t_one")
    with pytest.raises(WrongKey):
        back_up(Vault(open_store(location), Key.generate()), folder)


def test_damage_is_found_named_and_mended(vault, folder, tmp_path):
    back_up(vault, folder)
    cut, gone, flipped, swapped = (digest_of(one) for one in SMALL[:4])
    tamper(vault, cut, lambda data: data[:-1])
    lose(vault, gone)
    tamper(vault, flipped, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    tamper(vault, swapped, lambda data: vault.store.read(content_name(digest_of(SMALL[4])))[: len(data)])
    manifest = vault.manifest("first")
    report = check(vault, manifest, sample=None)
    assert (report.missing, sorted(report.damaged)) == ([gone], sorted([cut, flipped, swapped]))
    assert sorted(check(vault, manifest, sample=0).damaged) == [cut]
    restored = Folder(tmp_path / "restored")
    result = Restore(vault, restored).run(manifest)
    assert (result.missing, sorted(result.damaged)) == ([gone], sorted([cut, flipped, swapped]))
    assert len(contents(restored)) == len(SMALL) - 4
    mended = back_up(vault, folder, "second", replace=[flipped, swapped])
    assert (mended.uploaded, mended.replaced) == (4, 3)
    assert check(vault, vault.manifest("second"), sample=None).whole
    assert Restore(vault, restored).run(manifest).whole


def test_object_with_another_content_never_gets_the_name(vault, key, folder, tmp_path):
    back_up(vault, folder)
    digest = digest_of(SMALL[6])
    name = content_name(digest)
    tamper(
        vault,
        digest,
        lambda data: b"".join(encrypt([b"n" * len(SMALL[6])], key, f"loomworks filestore {name}".encode())),
    )
    restored = Folder(tmp_path / "restored")
    assert list(Restore(vault, restored).run(vault.manifest("first")).damaged) == [digest]
    assert not restored.path(digest).exists()
    assert list(check(vault, vault.manifest("first"), sample=None).damaged) == [digest]


def test_damaged_manifest_is_told_and_the_next_backup_does_without(vault, folder):
    back_up(vault, folder)
    name = "manifests/first.jsonl.gz"
    vault.store.put(name, vault.store.read(name)[:-5], replace=True)
    with pytest.raises(ObjectDamaged):
        vault.manifest("first")
    report = back_up(vault, folder, "second")
    assert (report.directories_unchanged, report.uploaded, report.there) == (0, 0, len(SMALL))


def test_store_that_forgets_is_found_out_before_there_is_a_manifest(vault, folder, monkeypatch):
    forgotten = digest_of(SMALL[0])
    original = Vault.objects

    def forgetting(self, *folder):
        return (one for one in original(self, *folder) if one[0] != forgotten)

    monkeypatch.setattr(Vault, "objects", forgetting)
    with pytest.raises(NotProven, match=forgotten):
        back_up(vault, folder)
    with pytest.raises(ObjectMissing):
        vault.manifest("first")


def test_three_at_once_do_not_fight(location, key, folder):
    def run(name):
        return Backup(Vault(open_store(location), key), folder).run(name, "t_one")

    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(run, ("one", "two", "two")))
    assert sum(report.uploaded for report in reports) == len(SMALL)
    assert sorted(report.repeated for report in reports) == [False, False, True]
    vault = Vault(open_store(location), key)
    for name in ("one", "two"):
        assert check(vault, vault.manifest(name), sample=None).whole


# --- manifests and databases ----------------------------------------------------------------------


def test_manifest_is_read_as_it_was_written():
    files = {digest_of(one): len(one) for one in SMALL}
    manifest = Manifest("t_one", "2026-11-21T00:00:00+00:00", damaged={"a" * 40: "why"})
    for digest, size in files.items():
        directory = {**dict(manifest.directory(digest[:2])), digest: size}
        manifest.directories[digest[:2]] = Directory(directory, State(7, 1 << 60))
    again = heads.read(Head.of(manifest, None).to_blocks()).manifest()
    assert again == manifest
    assert dict(again) == files
    assert (len(again), again.size) == (len(files), sum(files.values()))
    assert again.directory(next(iter(files))[:2]).state == State(7, 1 << 60)


@pytest.mark.parametrize("cut_off", [b"", b"x", b'{"format":1'])
def test_what_is_no_manifest_is_told(cut_off):
    with pytest.raises(ObjectDamaged):
        heads.read([cut_off])


def test_name_of_a_manifest_stays_in_its_folder(vault):
    with pytest.raises(SettingMissing):
        vault.manifest("../first")


def test_database_names_what_a_backup_lacks(vault, folder):
    back_up(vault, folder)
    lacking = digest_of(b"never written")
    with psycopg2.connect(os.environ["PG_URL"]) as connection, connection.cursor() as cr:
        cr.execute("CREATE TEMPORARY TABLE ir_attachment (store_fname varchar, file_size integer)")
        names = [*(digest_of(one) for one in SMALL), lacking]
        rows = [(f"{name[:2]}/{name}", 13) for name in names] + [("s3://elsewhere", None), (None, 0)]
        cr.executemany("INSERT INTO ir_attachment VALUES (%s, %s)", rows * 2)
        found = needed.missing(cr, vault.manifest("first"))
    assert sorted((one.name, one.digest) for one in found) == sorted(
        [(f"{lacking[:2]}/{lacking}", lacking), ("s3://elsewhere", "")]
    )
    connection.close()


# --- as a Job -------------------------------------------------------------------------------------


def run_job(location, key, request, **changes):
    environment = {
        "PATH": os.environ["PATH"],
        "LOOMWORKS_ADDONS": str(REPOSITORY),
        "LOOMWORKS_FILESTORE": request.to_json(),
        "LOOMWORKS_FILESTORE_KEY": key.text,
        **location.to_environment(),
        **changes,
    }
    program = REPOSITORY / "infrastructure/docker/odoo/bin/loomworks-filestore"
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=False)
    assert not done.stderr
    assert key.text not in done.stdout
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_job_backs_up_checks_and_restores(location, key, folder, tmp_path):
    request = Request(Command.BACKUP, location.tenant, "first", str(folder.root), "t_one")
    code, lines = run_job(location, key, request)
    assert (code, lines[-1]["report"]["uploaded"], lines[-1]["report"]["whole"]) == (0, len(SMALL), True)
    assert {"stage": "proof", "share": 1.0, "uploaded": len(SMALL)}.items() <= lines[-2].items()
    assert lines[-2]["uploaded_bytes"] == sum(map(len, SMALL))
    assert {line["stage"] for line in lines[:-1]} == {"files", "new files", "proof"}  # the page has a word for each
    lose(Vault(open_store(location), key), digest_of(SMALL[0]))
    code, lines = run_job(location, key, Request(Command.CHECK, location.tenant, "first", sample=None))
    assert (code, lines[-1]["report"]["missing"]) == (2, [digest_of(SMALL[0])])
    restored = tmp_path / "restored"
    request = Request(Command.RESTORE, location.tenant, "first", str(restored), living=str(folder.root))
    code, lines = run_job(location, key, request)
    assert (code, lines[-1]["report"]["linked"]) == (0, len(SMALL))
    assert contents(Folder(restored)) == contents(folder)


def test_restore_in_place_fetches_a_file_of_the_living_folder_with_one_flipped_byte(location, key, folder, tmp_path):
    """It had its size still, and was linked into the restored tenant."""
    back_up(Vault(open_store(location), key), folder)
    rotten = digest_of(SMALL[5])
    write(folder, bytes([SMALL[5][0] ^ 1]) + SMALL[5][1:], rotten)
    files = FilesSpec(object(), location.tenant, "first")
    request = files_work(tenant_spec(files=files, previous_database="t_before")).request
    restored = Folder(tmp_path / "restored")
    here = replace(request, folder=str(restored.root), living=str(folder.root))
    code, lines = run_job(location, key, here)
    report = lines[-1]["report"]
    assert (code, report["linked"], report["fetched"]) == (0, len(SMALL) - 1, 1)
    assert restored.path(rotten).read_bytes() == SMALL[5]


def test_job_says_what_is_wrong_and_whether_it_passes(location, key, folder, monkeypatch, capsys, tmp_path):
    request = Request(Command.BACKUP, location.tenant, "first", str(folder.root), "t_one")
    settings = {
        "LOOMWORKS_FILESTORE": request.to_json(),
        "LOOMWORKS_FILESTORE_KEY": key.text,
        **location.to_environment(),
    }
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    monkeypatch.setattr(job, "TERMINATION_LOG", tmp_path / "termination-log")
    job.TERMINATION_LOG.touch()

    def run(**changes):
        with monkeypatch.context() as patch:
            for name, value in {**settings, **changes}.items():
                patch.setenv(name, value)
            code = job.main()
        last = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert set(json.loads(job.TERMINATION_LOG.read_text())) == set(last)
        error = last.get("error", {})
        return code, error.get("code"), error.get("retryable")

    assert run(LOOMWORKS_FILESTORE_S3_ENDPOINT="https://127.0.0.1:1") == (75, "filestore_unreachable", True)
    for changes in (
        {"LOOMWORKS_FILESTORE_KEY": ""},
        {"LOOMWORKS_FILESTORE": "{}"},
        {"LOOMWORKS_FILESTORE": replace(request, tenant="t_one").to_json()},
        {"LOOMWORKS_FILESTORE": replace(request, folder="").to_json()},
        {"LOOMWORKS_FILESTORE": replace(request, manifest="../x").to_json()},
    ):
        assert run(**changes) == (1, "filestore_setting_missing", False)
    for number in range(30):
        write(folder, b"wrong", digest_of(str(number).encode()))
    assert run() == (2, None, None)
    report = json.loads(job.TERMINATION_LOG.read_text())["report"]
    assert (report["damaged_count"], len(report["damaged"]), report["whole"]) == (30, 10, False)
    check_it = Request(Command.CHECK, location.tenant, "first")
    assert run(LOOMWORKS_FILESTORE=check_it.to_json()) == (0, None, None)
    (tmp_path / "file").touch()
    restore = replace(request, command=Command.RESTORE, folder=str(tmp_path / "file" / "below"))
    assert run(LOOMWORKS_FILESTORE=restore.to_json()) == (1, "volume_failed", False)
