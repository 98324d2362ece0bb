"""Manifests whose heads share a base: they come back as they were written, and a base is never missed unnoticed."""

import os

import pytest
from addons.loomworks_storage.filestore import head as heads
from addons.loomworks_storage.filestore.backup import Backup
from addons.loomworks_storage.filestore.check import check
from addons.loomworks_storage.filestore.collect import Collector, remove_all
from addons.loomworks_storage.filestore.errors import NotProven, ObjectDamaged
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.location import base_name, manifest_name, pack_name
from addons.loomworks_storage.filestore.manifest import DIRECTORIES, NOTHING, Directory, Manifest, Pack, Place, State
from addons.loomworks_storage.filestore.restore import Restore
from addons.loomworks_storage.filestore.vault import Vault
from filestores import a_folder, contents, digest_of, settle, write
from hypothesis import given, settings
from hypothesis import strategies as st
from interleaved import MemoryStore

EXAMPLES = int(os.environ.get("LOOMWORKS_HEADS_EXAMPLES", "300"))
PACKS = {number: Pack(f"{number:040x}", 1000) for number in range(4)}
FILES = [f"{name}{number:038x}" for name in ("00", "7f", "ff") for number in range(5)]
CONTENTS = [f"file {number}".encode() * (number + 1) for number in range(40)]


class WatchedStore(MemoryStore):
    """A store that tells what was asked of it, and in which time passes."""

    def __init__(self):
        super().__init__()
        self.read_names, self.put_names = [], []

    def read(self, name):
        self.read_names.append(name)
        return super().read(name)

    def put(self, name, data, *, replace=False):
        self.put_names.append(name)
        self.pass_time(seconds=1)
        return super().put(name, data, replace=replace)

    def forget(self):
        self.read_names.clear()
        self.put_names.clear()


@pytest.fixture
def store():
    return WatchedStore()


@pytest.fixture
def vault(store):
    return Vault(store, Key.generate())


@pytest.fixture
def few_edits(monkeypatch):
    monkeypatch.setattr(heads, "EDITS", 10)


@pytest.fixture
def folder(tmp_path):
    """Files, and all 256 directories, so that one look can tell that nothing has changed."""
    made = a_folder(tmp_path / "t_one", *CONTENTS)
    for name in DIRECTORIES:
        made.make(name)
    settle(made)
    return made


def back_up(vault, folder, name, database="t_one", **options):
    return Backup(vault, folder, patience=(), few=options.pop("few", 1)).run(name, database, **options)


def written(store, folder):
    """Return how many objects of a kind have been written since they were last forgotten."""
    return sum(name.startswith(f"{folder}/") for name in store.put_names)


def entries(manifest):
    return {name: (one.state, list(one.entries())) for name, one in manifest.directories.items()}


# --- as they were written -------------------------------------------------------------------------


PLACES = st.one_of(st.none(), st.builds(Place, st.integers(0, 3), st.integers(0, 99)))
CHANGE = st.tuples(st.sampled_from(FILES), st.one_of(st.none(), st.tuples(st.integers(0, 9), PLACES)))
# what changes in a step; whether a directory is looked into as if nothing were known of it, whether one goes wholly,
# whether the next step begins with what was stored
STEPS = st.lists(
    st.tuples(st.lists(CHANGE, max_size=6), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6
)


def changed(manifest, step, moment):
    """Return the manifest after a step, changed as a backup does it."""
    changes, anew, goes, _ = step
    found = Manifest("t_one", str(moment), dict(manifest.directories), packs=PACKS, base=manifest.base)
    for name in {digest[:2] for digest, _ in changes}:
        known = found.directory(name)
        new = {digest: what for digest, what in changes if digest[:2] == name}
        files = {digest: what[0] for digest, what in new.items() if what}
        places = {digest: what[1] for digest, what in new.items() if what and what[1]}
        gone = [digest for digest, what in new.items() if what is None]
        found.directories[name] = known.changed(gone, Directory(files, None, places), State(7, moment))
        if anew:
            one = found.directories[name]
            places = {digest: place for digest, _, place in one.entries() if place}
            found.directories[name] = Directory(dict(one), one.state, places)
    if goes and changes:
        found.directories.pop(changes[0][0][:2])
    return found


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps=STEPS, edits=st.integers(0, 8))
def test_whatever_was_edited_comes_back(steps, edits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "EDITS", edits)
        vault, manifest, known = Vault(WatchedStore(), Key.generate()), Manifest("t_one", "0", packs=PACKS), {}
        for moment, step in enumerate(steps, 1):
            manifest = changed(manifest, step, moment)
            name = f"m{moment}"
            vault.put_manifest(name, manifest)
            known[name] = entries(manifest)
            head, again = vault.head(name), vault.manifest(name)
            assert head.edits <= max(edits, head.own_count)
            assert (len(head), head.size, head.own_count) == (len(again), again.size, again.own_count)
            assert not head.tells_all_objects or dict(own_of(head)) == dict(own_of(again))
            if step[3]:
                manifest = again  # as the next backup has it; or else as two steps of one
        assert {name: entries(vault.manifest(name)) for name in known} == known


def own_of(one):
    parts = [line.more for line in one.lines.values()] if isinstance(one, heads.Head) else one.directories.values()
    return [pair for part in parts for pair in part.own()]


def test_base_that_is_not_the_heads_is_told():
    digest = "ab" + "0" * 38
    manifest = Manifest("t_one", "now", {"ab": Directory({digest: 1}, State(1, 2))})
    head = heads.rebased(manifest, heads.Base("a" * 40, 1))
    base = b"".join(heads.write_base(manifest))
    with pytest.raises(ObjectDamaged):
        heads.rebased(manifest, heads.Base("a" * 40, 1)).manifest([base[:-1]])
    other = Manifest("t_one", "now", {"ab": Directory({digest: 2}, State(1, 2), {digest: Place(1, 0)})})
    head.lines["ab"] = heads.Line(State(1, 2), 1, 1, frozenset(), NOTHING, anew=False)
    with pytest.raises(ObjectDamaged, match="not what its head was written for"):
        head.manifest(heads.write_base(other))


# --- backups --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few_edits")
def test_backup_without_changes_reads_and_writes_a_head(vault, store, folder, tmp_path):
    first = back_up(vault, folder, "first")
    assert (written(store, "bases"), written(store, "manifests"), first.packs) == (1, 1, 1)
    [base] = vault.bases()
    store.forget()
    report = back_up(vault, folder, "second")
    assert (report.files, report.bytes, report.uploaded) == (len(CONTENTS), sum(map(len, CONTENTS)), 0)
    assert (report.directories_scanned, report.directories_unchanged) == (0, len(DIRECTORIES))
    assert (written(store, "bases"), written(store, "manifests")) == (0, 1)
    assert store.read_names.count(base_name(base)) == 1  # its size was asked for; MemoryStore.size reads
    assert len(store.objects[manifest_name("second")][0]) < len(store.objects[manifest_name("first")][0]) * 1.01
    assert entries(vault.manifest("second")) == entries(vault.manifest("first"))
    assert vault.head("second").taken_at > vault.head("first").taken_at
    assert check(vault, vault.manifest("second"), sample=None).whole
    target = a_folder(tmp_path / "restored")
    assert Restore(vault, target).run(vault.manifest("second")).whole
    assert contents(target) == contents(folder)


@pytest.mark.usefixtures("few_edits")
def test_few_changes_are_edits_and_many_are_a_new_base(vault, store, folder, tmp_path):
    back_up(vault, folder, "first")
    store.forget()
    folder.remove(digest_of(CONTENTS[0]))
    write(folder, b"new")
    settle(folder)
    back_up(vault, folder, "second")
    assert (written(store, "bases"), vault.head("second").edits in (1, 2)) == (0, True)
    for number in range(10):
        write(folder, f"more {number}".encode())
    settle(folder)
    back_up(vault, folder, "third")
    assert (written(store, "bases"), vault.head("third").edits) == (1, 0)
    for name in ("first", "second", "third"):
        assert check(vault, vault.manifest(name), sample=None).whole
    target = a_folder(tmp_path / "restored")
    assert Restore(vault, target).run(vault.manifest("third")).whole
    assert contents(target) == contents(folder)
    assert Collector(vault).run({"first"}).removed == 0
    assert len(vault.bases()) == 2
    assert Collector(vault).run({"second"}).removed == 1
    assert len(vault.bases()) == 1
    assert check(vault, vault.manifest("third"), sample=None).whole
    remove_all(store)
    assert not store.objects


@pytest.mark.parametrize("few", [1, 1000])
def test_what_has_gone_from_the_store_is_noticed_when_nothing_has_changed(vault, store, folder, few):
    back_up(vault, folder, "first", few=few)
    assert vault.head("first").tells_all_objects
    victim = next(name for name in store.objects if name.startswith(("packs/", "objects/")))
    store.delete(victim)
    report = back_up(vault, folder, "second", few=few)
    assert report.uploaded == (len(CONTENTS) if few == 1 else 1)
    assert check(vault, vault.manifest("second"), sample=None).whole


@pytest.mark.usefixtures("few_edits")
@pytest.mark.parametrize("damage", ["gone", "short", "other"])
def test_base_that_is_lost_costs_its_manifests_and_no_more(vault, store, folder, damage):
    back_up(vault, folder, "first")
    [base] = vault.bases()
    name = base_name(base)
    sealed = store.objects[name][0]
    store.delete(name)
    if damage != "gone":
        store.put(name, sealed[:-1] if damage == "short" else sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(ObjectDamaged):
        vault.manifest("first")
    if damage == "other":  # of the right size: who does not read it does not see it, and a check does
        back_up(vault, folder, "copy")
        with pytest.raises(ObjectDamaged):
            vault.manifest("copy")
        store.delete(manifest_name("copy"))
        write(folder, b"new")
        settle(folder)
    report = back_up(vault, folder, "second")
    assert report.directories_scanned == len(DIRECTORIES)
    assert check(vault, vault.manifest("second"), sample=None).whole
    with pytest.raises(ObjectDamaged):
        Collector(vault).run()
    assert Collector(vault).run({"first"}).finished
    assert vault.bases().keys() == {vault.head("second").base.identity}


@pytest.mark.usefixtures("few_edits")
def test_where_a_base_is_lost_another_one_tells_what_is_known(vault, store, folder):
    """So that a file that is damaged on the volume meanwhile is not lost."""
    back_up(vault, folder, "first")
    back_up(vault, folder, "audit", audit=True)
    for number in range(4):
        back_up(vault, folder, f"copy{number}")
    [first], [second] = ({vault.head(name).base} for name in ("first", "copy3"))
    assert first != second
    store.delete(base_name(second.identity))
    victim = digest_of(CONTENTS[7])
    write(folder, b"nonsense", victim)
    settle(folder)
    report = back_up(vault, folder, "after", audit=True)
    assert (list(report.mendable), report.damaged, report.uploaded) == ([victim], {}, 0)
    assert check(vault, vault.manifest("after"), sample=None).whole
    assert vault.head("after").base not in {first, second}


@pytest.mark.usefixtures("few_edits")
def test_base_that_the_store_does_not_keep_is_no_manifest(vault, store, folder, monkeypatch):
    original = store.put
    monkeypatch.setattr(
        store, "put", lambda name, *more, **options: not name.startswith("bases/") and original(name, *more, **options)
    )
    with pytest.raises(NotProven):
        back_up(vault, folder, "first")
    assert not vault.manifests()


def test_last_manifest_without_files_is_gone_on_from(vault, folder):
    back_up(vault, folder, "first")
    for content in CONTENTS:
        folder.remove(digest_of(content))
    settle(folder)
    assert back_up(vault, folder, "none").files == 0
    victim = digest_of(CONTENTS[3])
    write(folder, b"nonsense", victim)
    settle(folder)
    assert back_up(vault, folder, "after").damaged.keys() == {victim}


@pytest.mark.usefixtures("few_edits")
def test_audit_another_database_and_what_is_to_be_written_again_are_no_look(vault, folder):
    back_up(vault, folder, "first")
    victim = digest_of(CONTENTS[3])
    assert back_up(vault, folder, "audit", audit=True).directories_scanned == len(DIRECTORIES)
    assert back_up(vault, folder, "other", "t_two").directories_scanned == len(DIRECTORIES)
    assert back_up(vault, folder, "again", "t_two", replace={victim}).uploaded == 1
    assert vault.manifest("again").at(victim) is None
    for name in ("first", "audit", "other", "again"):
        assert check(vault, vault.manifest(name), sample=None).whole


@pytest.mark.usefixtures("few_edits")
def test_audit_keeps_no_edits(vault, folder):
    """They would take as much memory as all files."""
    back_up(vault, folder, "first")
    manifest = vault.manifest("first")
    name, known = next(iter((name, one) for name, one in manifest.directories.items() if one))
    assert known.origin
    found = known.changed([digest for digest, _ in known], Directory(dict(known)), known.state)
    assert (found.origin, found.gone, found.more) == ("", frozenset(), None), name


@pytest.mark.usefixtures("few_edits")
def test_damaged_file_is_looked_at_until_it_is_mended(vault, folder):
    digest = digest_of(CONTENTS[5])
    write(folder, b"nonsense", digest)
    settle(folder)
    assert list(back_up(vault, folder, "first").damaged) == [digest]
    assert list(back_up(vault, folder, "second").damaged) == [digest]
    write(folder, CONTENTS[5], digest)
    settle(folder)
    assert back_up(vault, folder, "third").whole
    assert vault.manifest("third").size_of(digest) == len(CONTENTS[5])


@pytest.mark.usefixtures("few_edits")
def test_many_objects_of_their_own_are_in_the_base(vault, store, folder):
    back_up(vault, folder, "first", few=1000)
    head = vault.head("first")
    assert (head.edits, head.own_count, head.tells_all_objects) == (0, len(CONTENTS), False)
    store.forget()
    report = back_up(vault, folder, "second", few=1000)
    assert (report.uploaded, report.directories_unchanged, written(store, "bases")) == (0, len(DIRECTORIES), 0)
    assert entries(vault.manifest("second")) == entries(vault.manifest("first"))


def test_small_tenant_has_no_base(vault, folder):
    back_up(vault, folder, "first")
    back_up(vault, folder, "second")
    write(folder, b"new")
    settle(folder)
    back_up(vault, folder, "third")
    assert not vault.bases()
    assert [len(vault.manifest(name)) for name in vault.manifests()] == [40, 40, 41]
    assert pack_name(vault.manifest("third").at(digest_of(b"new")).pack.identity)
