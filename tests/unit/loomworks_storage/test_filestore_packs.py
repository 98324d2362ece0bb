"""Small files in packs on a real S3 server: fewer requests, and every promise that objects of their own keep."""

import gzip
import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from addons.loomworks_storage.filestore import head as heads
from addons.loomworks_storage.filestore import pack
from addons.loomworks_storage.filestore.backup import Backup
from addons.loomworks_storage.filestore.blocks import Blocks
from addons.loomworks_storage.filestore.check import check
from addons.loomworks_storage.filestore.collect import Collector, remove_all
from addons.loomworks_storage.filestore.container import encrypt, sealed_size
from addons.loomworks_storage.filestore.errors import NotProven, ObjectDamaged, ObjectMissing, UnknownFormat
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.filestore.head import Head
from addons.loomworks_storage.filestore.location import manifest_name, pack_name
from addons.loomworks_storage.filestore.manifest import Directory, Manifest, Pack, Place, State, write_packs
from addons.loomworks_storage.filestore.places import Places
from addons.loomworks_storage.filestore.restore import Restore
from addons.loomworks_storage.filestore.store import Store
from addons.loomworks_storage.filestore.vault import Vault
from filestores import EventfulStore, Killed, a_folder, contents, digest_of, killed, open_store, settle, write

SMALL = [f"file {number}".encode() * (number + 1) for number in range(100)]
LARGE = os.urandom(pack.SMALL + 1)


@pytest.fixture
def folder(tmp_path):
    return a_folder(tmp_path / "t_one", *SMALL, LARGE)


@pytest.fixture
def small_packs(monkeypatch):
    """Packs of some ten files, so that there are many."""
    monkeypatch.setattr(pack, "USUAL", 4000)
    monkeypatch.setattr(pack, "MOST", 8000)


def back_up(vault, folder, name="first", **options):
    few = options.pop("few", pack.FEW)
    return Backup(vault, folder, patience=(), few=few).run(name, "t_one", **options)


def restored(vault, name, path, **options):
    """Restore a manifest into an empty folder, and return the report and what is there."""
    target = Folder(Path(tempfile.mkdtemp(dir=path)) / "restored")
    return Restore(vault, target).run(vault.manifest(name), **options), contents(target)


def pack_of(vault, name, content):
    return vault.manifest(name).at(digest_of(content))


def tamper(vault, identity, change):
    """Have a pack be what ``change`` makes of it."""
    vault.store.put(pack_name(identity), change(vault.store.read(pack_name(identity))), replace=True)


# --- good luck ------------------------------------------------------------------------------------


def test_small_files_are_packed_and_come_back_as_they_were(vault, folder, tmp_path):
    write(folder, b"")
    report = back_up(vault, folder)
    assert (report.files, report.uploaded, report.packs, report.whole) == (102, 102, 1, True)
    assert len(list(vault.objects())) == 1
    found = check(vault, vault.manifest("first"), sample=None)
    assert (found.read, found.whole) == (102, True)
    report, there = restored(vault, "first", tmp_path)
    assert (report.fetched, report.whole) == (102, True)
    assert there == contents(folder)


def test_few_small_files_have_objects_of_their_own(vault, tmp_path):
    report = back_up(vault, a_folder(tmp_path / "t", *SMALL[: pack.FEW - 1]))
    assert (report.packs, report.uploaded) == (0, pack.FEW - 1)
    assert not vault.packs()


def test_pack_of_the_last_backup_is_named_by_the_next_one(vault, folder, tmp_path):
    back_up(vault, folder)
    write(folder, b"new")
    settle(folder)
    assert (back_up(vault, folder, "second").uploaded, len(vault.packs())) == (1, 1)
    manifest = vault.manifest("second")
    assert manifest.at(digest_of(b"new")) is None
    assert {at.pack for one in SMALL if (at := manifest.at(digest_of(one)))} == set(manifest.packs.values())
    assert restored(vault, "second", tmp_path)[1] == contents(folder)


def test_nothing_in_a_pack_can_be_read_without_the_key(vault, folder):
    back_up(vault, folder)
    [identity] = vault.packs()
    assert b"file 9" not in vault.store.read(pack_name(identity))


def test_restore_of_few_files_does_not_fetch_the_pack(vault, folder, monkeypatch):
    back_up(vault, folder)
    gone = digest_of(SMALL[3])
    folder.remove(gone)
    monkeypatch.setattr(Vault, "read_pack", lambda *_: pytest.fail("the whole pack was fetched"))
    report = Restore(vault, folder).run(vault.manifest("first"))
    assert (report.kept, report.fetched) == (len(SMALL), 1)
    assert folder.path(gone).read_bytes() == SMALL[3]


def test_backup_of_a_copy_names_the_packs_that_there_are(vault, folder, tmp_path):
    back_up(vault, folder)
    subprocess.run(["cp", "-al", folder.root, tmp_path / "t_two"], check=True)
    report = back_up(vault, Folder(tmp_path / "t_two"), "second")
    assert (report.directories_unchanged, report.uploaded, report.packs) == (0, 0, 0)


# --- backups by the version before packs ----------------------------------------------------------


def in_lines(manifest):
    """Return a manifest as the first format has it."""
    header = {"format": 1, "database": manifest.database, "taken_at": manifest.taken_at, "damaged": manifest.damaged}
    lines = [header]
    for name, one in sorted(manifest.directories.items()):
        state = {"inode": one.state and one.state.inode, "modified": one.state and one.state.modified}
        lines.append({"directory": name, **state, "files": dict(one)})
    lines.append({"files": len(manifest), "bytes": manifest.size})
    return gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode())


def whole(manifest):
    """Return a manifest as the second format has it."""
    lines = [
        [name, one.state and one.state.inode, one.state and one.state.modified, len(one)]
        for name, one in sorted(manifest.directories.items())
    ]
    header = {"format": 2, "database": manifest.database, "taken_at": manifest.taken_at, "damaged": manifest.damaged}
    header |= {"packs": len(manifest.packs), "directories": lines, "files": len(manifest), "bytes": manifest.size}
    blocks = [f"{json.dumps(header)}\n".encode(), *write_packs(manifest.packs)]
    for _, one in sorted(manifest.directories.items()):
        blocks += one.to_blocks()
    return b"".join(blocks)


@pytest.mark.parametrize(("old", "few"), [(in_lines, 1000), (whole, 1000), (whole, 1)])
def test_old_backup_can_be_read_restored_and_gone_on_from(vault, key, folder, tmp_path, old, few):
    back_up(vault, folder, few=few)
    manifest, name = vault.manifest("first"), manifest_name("first")
    sealed = encrypt([old(manifest)], key, f"loomworks filestore {name}".encode())
    vault.store.put(name, b"".join(sealed), replace=True)
    assert vault.manifest("first") == manifest
    assert check(vault, vault.manifest("first"), sample=None).whole
    assert restored(vault, "first", tmp_path)[1] == contents(folder)
    packs = len(vault.packs())
    for number in range(pack.FEW):
        write(folder, f"new {number}".encode())
    settle(folder)
    report = back_up(vault, folder, "second")
    assert (report.uploaded, report.packs, len(vault.packs())) == (pack.FEW, 1, packs + 1)
    assert restored(vault, "second", tmp_path)[1] == contents(folder)
    assert Collector(vault).run().removed == 0
    assert restored(vault, "first", tmp_path)[0].whole


def test_manifest_of_an_unknown_format_or_without_its_packs_is_refused():
    digest = digest_of(b"x")
    directory = Directory({digest: 1}, State(1, 2), {digest: Place(7, 0)})
    manifest = Manifest("t", "2026-11-21T00:00:00+00:00", {digest[:2]: directory}, packs={7: Pack("a" * 40, 65)})
    whole = b"".join(Head.of(manifest, None).to_blocks())
    assert heads.read([whole]).manifest() == manifest
    for data in (whole[:-1], whole + b"x"):
        with pytest.raises(ObjectDamaged):
            heads.read([data])
    with pytest.raises(UnknownFormat):
        heads.read([whole.replace(b'"format":3', b'"format":4')])
    manifest.packs.clear()
    with pytest.raises(ObjectDamaged, match="does not name the packs"):
        heads.read(Head.of(manifest, None).to_blocks()).manifest()


def test_stream_over_blocks_ends_where_they_do():
    stream = Blocks([b"one\ntw", b"o", b"three"])
    assert (stream.line(), stream.read(3), stream.rest()) == (b"one", b"two", b"three")
    for read in (lambda: Blocks([b"ab"]).read(3), lambda: Blocks([b"ab"]).line()):
        with pytest.raises(EOFError):
            read()


# --- which files go together ----------------------------------------------------------------------


def by_directory(digests):
    found = {}
    for digest in digests:
        found.setdefault(digest[:2], {})[digest] = 1000
    return {name: Directory(files) for name, files in found.items()}


def test_one_file_more_changes_one_batch(small_packs):
    digests = [digest_of(str(number).encode()) for number in range(200)]
    before = {pack.packed(one) for one in pack.batches(by_directory(digests))}
    after = {pack.packed(one) for one in pack.batches(by_directory([*digests, digest_of(b"one more")]))}
    assert len(before) > 30
    assert len(before - after) == 1


def test_no_batch_is_larger_than_it_may_be(monkeypatch, small_packs):
    monkeypatch.setattr(pack, "MOST_FILES", 5)
    digests = [f"ab{number:038x}" for number in range(100)]
    found = list(pack.batches(by_directory(digests)))
    assert [digest for one in found for digest, _ in one] == digests
    assert max(len(one) for one in found) == 5
    assert max(one.size for one in found) <= pack.MOST


def test_pack_begins_each_content_where_the_one_before_ends():
    files = [(digest_of(b"a"), 0), (digest_of(b"b"), 10), (digest_of(b"c"), pack.SMALL)]
    assert pack.offsets(files) == [0, sealed_size(0), sealed_size(0) + sealed_size(10), pack.packed(files).size]
    assert pack.packed(files) != pack.packed(files[::-1])


# --- files in bad luck ----------------------------------------------------------------------------


def test_files_that_are_not_what_they_should_be_are_left_out_of_the_pack(vault, folder, tmp_path, monkeypatch):
    wrong = write(folder, b"not that", digest_of(b"that"))
    settle(folder)
    vanished, unreadable = digest_of(SMALL[5]), digest_of(SMALL[6])
    original = Folder.open

    def opened(self, digest):
        if digest == vanished:
            raise FileNotFoundError
        if digest == unreadable:
            raise OSError(5, "Input/output error")
        return original(self, digest)

    monkeypatch.setattr(Folder, "open", opened)
    report = back_up(vault, folder)
    assert sorted(report.damaged) == sorted([wrong, unreadable])
    assert (report.vanished, report.packs, report.files) == (1, 1, len(SMALL) - 1)
    assert vault.manifest("first").directory(wrong[:2]).state is None
    assert restored(vault, "first", tmp_path)[0].whole


def test_volume_that_fails_ends_the_backup(vault, folder, monkeypatch):
    def failing(self, digest):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Folder, "open", failing)
    with pytest.raises(OSError, match="Stale"):
        back_up(vault, folder)
    assert not vault.manifests()


def test_audit_finds_what_has_rotted_and_keeps_it_from_the_pack(vault, folder, tmp_path):
    back_up(vault, folder)
    rotten = write(folder, b"x" * len(SMALL[5]), digest_of(SMALL[5]))
    settle(folder)
    assert list(back_up(vault, folder, "audit", audit=True).mendable) == [rotten]
    there = restored(vault, "audit", tmp_path)[1]
    assert there[f"{rotten[:2]}/{rotten}"] == SMALL[5]


# --- a store in bad luck --------------------------------------------------------------------------


@pytest.mark.parametrize("at", [3, 5, 9])
def test_killed_between_two_packs_goes_on_where_it_was(location, key, folder, tmp_path, small_packs, at):
    dying = open_store(location, EventfulStore, at, killed)
    with pytest.raises(Killed):
        Backup(Vault(dying, key), folder, threads=1, patience=()).run("first", "t_one")
    sent = [name for name in dying.written if name.startswith("packs/")]
    assert sent
    write(folder, b"one more")
    settle(folder)
    store = open_store(location, EventfulStore, -1, killed)
    report = Backup(Vault(store, key), folder, threads=1).run("first", "t_one")
    again = [name for name in store.written if name.startswith("packs/")]
    assert not set(again) & set(sent)
    assert report.there >= len(sent) - 1
    assert restored(Vault(store, key), "first", tmp_path)[1] == contents(folder)


def test_several_at_once_send_each_pack_once(location, key, folder, small_packs):
    def run(name):
        return back_up(Vault(open_store(location), key), folder, name)

    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(run, ("one", "two", "two")))
    assert sum(report.uploaded for report in reports) == len(SMALL) + 1
    vault = Vault(open_store(location), key)
    assert len(vault.packs()) == sum(report.packs for report in reports)
    for name in ("one", "two"):
        assert check(vault, vault.manifest(name), sample=None).whole


@pytest.mark.parametrize(
    "change", [lambda data: data[: len(data) // 2], lambda data: b"", None], ids=["cut", "empty", "gone"]
)
def test_pack_that_is_lost_is_found_out_and_brought_again(vault, folder, tmp_path, change):
    back_up(vault, folder)
    [identity] = vault.packs()
    if change:
        tamper(vault, identity, change)
    else:
        vault.store.delete(pack_name(identity))
    report = check(vault, vault.manifest("first"), sample=None)
    assert len(report.damaged if change else report.missing) == len(SMALL)
    lost, there = restored(vault, "first", tmp_path)
    assert not lost.whole
    assert len(lost.missing) + len(lost.damaged) == len(contents(folder)) - len(there)
    mended = back_up(vault, folder, "second")
    assert (mended.uploaded, mended.packs) == (len(SMALL), 1)
    for name in ("first", "second"):
        assert restored(vault, name, tmp_path)[1] == contents(folder)


def test_damage_in_a_pack_is_named_and_mended_for_every_manifest(vault, folder, tmp_path):
    back_up(vault, folder)
    victim = digest_of(SMALL[50])
    at = pack_of(vault, "first", SMALL[50])
    place = at.offset + sealed_size(len(SMALL[50])) - 1
    tamper(vault, at.pack.identity, lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert list(check(vault, vault.manifest("first"), sample=None).damaged) == [victim]
    report, there = restored(vault, "first", tmp_path)
    assert (list(report.damaged), len(there)) == ([victim], len(SMALL))
    assert back_up(vault, folder, "second", replace=[victim]).uploaded == 1
    assert vault.manifest("second").at(victim) is None
    for name in ("first", "second"):
        assert check(vault, vault.manifest(name), sample=None).whole
        assert restored(vault, name, tmp_path)[1] == contents(folder)
    folder.remove(victim)
    settle(folder)
    back_up(vault, folder, "third")
    assert Collector(vault).run(["second"]).finished
    assert restored(vault, "first", tmp_path)[0].whole, "what mends it stays as long as the first names the content"


def test_content_cannot_take_the_place_of_another_one(vault, tmp_path):
    folder = a_folder(tmp_path / "t", *(f"{number:06}".encode() for number in range(100)))
    back_up(vault, folder)
    [identity] = vault.packs()
    length = sealed_size(6)
    tamper(vault, identity, lambda data: data[length : 2 * length] + data[:length] + data[2 * length :])
    assert len(check(vault, vault.manifest("first"), sample=None).damaged) == 2
    report, there = restored(vault, "first", tmp_path)
    assert (len(report.damaged), len(there)) == (2, 98)


def test_store_that_forgets_a_pack_is_found_out_before_there_is_a_manifest(vault, folder, monkeypatch):
    original = Vault.objects

    def forgetting(self, kind="objects"):
        return iter(()) if kind.startswith("packs") else original(self, kind)

    monkeypatch.setattr(Vault, "objects", forgetting)
    with pytest.raises(NotProven):
        back_up(vault, folder)
    assert not vault.manifests()


# --- what nobody needs ----------------------------------------------------------------------------


def test_pack_stays_as_long_as_any_manifest_names_anything_in_it(vault, folder, tmp_path):
    back_up(vault, folder)
    for content in [*SMALL[1:], LARGE]:
        folder.remove(digest_of(content))
    settle(folder)
    back_up(vault, folder, "second")
    assert Collector(vault).run(["first"]).removed == 1  # the large one's
    assert len(vault.packs()) == 1
    assert list(restored(vault, "second", tmp_path)[1].values()) == [SMALL[0]]


def test_audit_packs_anew_what_is_left_of_a_dead_pack(vault, folder, tmp_path):
    back_up(vault, folder)
    [old] = vault.packs()
    for content in SMALL[66:]:
        folder.remove(digest_of(content))
    settle(folder)
    back_up(vault, folder, "second")
    assert back_up(vault, folder, "usual").packs == 0
    report = back_up(vault, folder, "audit", audit=True)
    assert (report.packs, report.uploaded, len(vault.packs())) == (1, 66, 2)
    assert Collector(vault).run(["first", "usual"]).packs == 2, "the second still names the old one"
    report = Collector(vault).run(["second"])
    assert (report.packs, report.removed) == (1, 1)
    assert old not in vault.packs()
    assert restored(vault, "audit", tmp_path)[1] == contents(folder)


def test_rotten_file_in_a_dead_pack_keeps_its_place(vault, folder, tmp_path):
    back_up(vault, folder)
    for content in SMALL[66:]:
        folder.remove(digest_of(content))
    rotten = write(folder, b"x" * len(SMALL[5]), digest_of(SMALL[5]))
    settle(folder)
    back_up(vault, folder, "second")
    assert list(back_up(vault, folder, "audit", audit=True).mendable) == [rotten]
    Collector(vault).run(["first", "second"])
    report, there = restored(vault, "audit", tmp_path)
    assert report.whole
    assert there[f"{rotten[:2]}/{rotten}"] == SMALL[5]


def test_nothing_is_left_of_a_tenant_that_is_erased(vault, folder):
    back_up(vault, folder)
    assert remove_all(vault.store) == 4  # the key, too
    assert not vault.packs()


# --- where a content is, whichever manifest says so -----------------------------------------------


def test_content_is_found_by_any_manifest_that_is_left(vault, location, folder):
    back_up(vault, folder)
    folder.remove(digest_of(SMALL[1]))
    settle(folder)
    back_up(vault, folder, "second")
    places = Places(Vault(open_store(location), vault._key))
    for content in SMALL[:2]:
        assert places.read(digest_of(content)) == content
    with pytest.raises(ObjectMissing):
        places.read(digest_of(b"never"))
    client = Store(replace(location))
    for identity in vault.packs():
        client.delete(pack_name(identity))
    with pytest.raises(ObjectMissing):
        places.read(digest_of(SMALL[0]))
