"""A collector among backups that begin, go on, are killed and end at any request: no manifest ever lacks an object."""

import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from addons.loomworks_storage.filestore import backup, check, collect, head, lease
from addons.loomworks_storage.filestore.backup import Backup
from addons.loomworks_storage.filestore.collect import Collector, remove_all
from addons.loomworks_storage.filestore.errors import Busy, LeaseOver, ObjectDamaged, ObjectMissing
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.location import manifest_name
from addons.loomworks_storage.filestore.vault import Vault
from filestores import Killed, a_folder, digest_of, settle, write
from hypothesis import given, settings
from hypothesis import strategies as st
from interleaved import Actor, MemoryStore, run_all

EXAMPLES = int(os.environ.get("LOOMWORKS_COLLECT_EXAMPLES", "200"))
CONTENTS = [f"content {number}".encode() for number in range(4)]
EPOCH = 1_700_000_000  # seconds: directories look alike when they have the same files


@dataclass(frozen=True)
class Choice:
    """Who works on, to before which of its next requests, and whether it dies there."""

    who: int
    until: str
    kill: bool


@dataclass(frozen=True)
class Round:
    """What the folder has, who works, which earlier manifests expire, and in which order all goes."""

    files: frozenset
    backups: int
    collectors: int
    expired: frozenset
    choices: list
    later: bool  # a day passes before it
    few: int  # fewer new files than that are not packed
    audit: bool


REQUESTS = (
    "",
    "put objects",
    "put manifests",
    "list objects",
    "list manifests",
    "list leases",
    "delete objects",
    "put packs",
    "list packs",
    "delete packs",
    "put bases",
    "size bases",
    "delete bases",
)
CHOICES = st.builds(Choice, st.integers(0, 3), st.sampled_from(REQUESTS), st.sampled_from([False] * 9 + [True]))
ROUNDS = st.lists(
    st.builds(
        Round,
        st.frozensets(st.sampled_from(CONTENTS), min_size=1, max_size=3),
        st.integers(1, 2),
        st.integers(1, 2),
        st.frozensets(st.integers(0, 5), max_size=3),
        st.lists(
            st.builds(Choice, st.integers(0, 3), st.integers(1, 25), st.sampled_from([False] * 9 + [True])), max_size=8
        ),
        st.booleans(),
        st.sampled_from([1, 2, 9]),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


@contextmanager
def few_directories(edits):
    """As many directories as there are contents: fewer requests, and more orders of them are tried."""
    found = tuple(sorted({digest_of(content)[:2] for content in CONTENTS}))
    with pytest.MonkeyPatch.context() as patch:
        for module in (backup, check, collect):
            patch.setattr(module, "DIRECTORIES", found)
        patch.setattr(head, "EDITS", edits)
        yield


class World:
    """A store, a folder, and what was promised."""

    def __init__(self, path):
        self.store, self.key, self.folder = MemoryStore(), Key.generate(), a_folder(path / "t_one")
        self.promised = {}  # files of the manifests whose backups have ended well
        self.number = 0

    def vault(self, store=None):
        return Vault(store or self.store, self.key)

    def do(self, one):
        if one.later:
            self.store.pass_time(days=2)
        for content in CONTENTS:
            self.folder.remove(digest_of(content))
        for content in one.files:
            write(self.folder, content)
        settle(self.folder, at=EPOCH + sum(2 ** CONTENTS.index(content) for content in one.files))
        names = sorted(self.promised)
        expired = {names[index] for index in one.expired if index < len(names)}
        backups = [self._backup(one.few, audit=one.audit) for _ in range(one.backups)]
        collectors = [self._collector(expired) for _ in range(one.collectors)]
        run_all([*backups, *collectors], one.choices, self.prove)
        if one.collectors:  # they may have been removed; nobody asks for them again
            self.promised = {name: files for name, files in self.promised.items() if name not in expired}
        for actor in backups:
            if not isinstance(actor.outcome, Exception):
                self.promised[actor.outcome.manifest] = frozenset(map(digest_of, one.files))
            else:
                assert isinstance(actor.outcome, Killed | Busy), actor.outcome
        for actor in collectors:
            assert not isinstance(actor.outcome, Exception) or isinstance(actor.outcome, Killed | Busy), actor.outcome

    def _backup(self, few=9, *, audit=False):
        self.number += 1
        name = f"m{self.number:02}"

        def work(store):
            made = Backup(self.vault(store), self.folder, threads=1, patience=(), wait=0, few=few)
            return made.run(name, "t_one", audit=audit)

        return Actor(self.store, work)

    def _collector(self, expired):
        return Actor(self.store, lambda store: Collector(self.vault(store), threads=1).run(expired))

    def manifests(self):
        return {name: {digest for digest, _ in self.vault().manifest(name)} for name in self.vault().manifests()}

    def prove(self):
        """Every manifest that there is can be restored, at any time."""
        there, packs = {digest for digest, _ in self.vault().objects()}, self.vault().packs()
        for name in self.vault().manifests():
            manifest = self.vault().manifest(name)
            for digest, _ in manifest:
                at = manifest.at(digest)
                assert packs.get(at.pack.identity) == at.pack.size if at else digest in there, f"{name} lacks {digest}"

    def end(self):
        """What was promised is kept; when all who were killed are known to be dead, nothing else is."""
        found = self.manifests()
        assert {name: files for name, files in found.items() if name in self.promised} == {
            name: set(files) for name, files in self.promised.items()
        }
        self.store.pass_time(days=2)
        assert Collector(self.vault(), threads=1).run().finished
        named = {digest for files in self.manifests().values() for digest in files}
        assert {digest for digest, _ in self.vault().objects()} <= named
        manifests = [self.vault().manifest(name) for name in self.vault().manifests()]
        assert set(self.vault().bases()) == {one.base.identity for one in manifests if one.base}
        assert set(self.vault().packs()) == {pack.identity for one in manifests for pack in one.packs.values()}
        assert {at.pack for one in manifests for digest, _ in one if (at := one.at(digest))} == {
            pack for one in manifests for pack in one.packs.values()
        }
        own = {digest for one in manifests for digest, _ in one if not one.at(digest)}
        assert own <= {digest for digest, _ in self.vault().objects()}
        assert all(check.check(self.vault(), self.vault().manifest(name), None).whole for name in self.promised)


@settings(max_examples=EXAMPLES, deadline=None, derandomize="LOOMWORKS_COLLECT_EXAMPLES" not in os.environ)
@given(rounds=ROUNDS, edits=st.integers(0, 3))
def test_no_manifest_ever_lacks_an_object(rounds, edits):
    with tempfile.TemporaryDirectory() as path, few_directories(edits):
        world = World(Path(path))
        for one in rounds:
            world.do(one)
        world.end()


def left_behind(world, few):
    """Have objects without a manifest, of a backup that was killed long ago."""
    killed = world._backup(few)
    while killed.gate.arrived() and killed.gate.next != "put manifests":
        killed.step()
    killed.step(kill=True)
    world.store.pass_time(days=2)


def requests_of(world, actor):
    """Return how many requests somebody makes who is alone."""
    count = 0
    while actor.step():
        count += 1
    return count + 1


@pytest.mark.parametrize("few", [9, 1])
@pytest.mark.parametrize("first", ["backup", "collector"])
def test_two_are_safe_wherever_they_meet(tmp_path, first, few):
    """One does so many requests, the other so many, then the first goes on to its end: every pair of numbers."""
    with few_directories(edits=1):
        alone = World(tmp_path / "alone")
        for content in CONTENTS:
            write(alone.folder, content)
        backup_alone = alone._backup(few)
        counts = {"collector": requests_of(alone, alone._collector(())), "backup": requests_of(alone, backup_alone)}
        second = "collector" if first == "backup" else "backup"
        outcomes = set()
        for before in range(counts[first] + 1):
            for between in range(1, counts[second] + 9):  # there is more to remove than the lone one had
                outcomes.add(meet(World(Path(tempfile.mkdtemp(dir=tmp_path))), first, before, between, few))
    assert outcomes == {("done", "done"), ("done", "busy"), ("busy", "done"), ("busy", "busy")}


def meet(world, first, before, between, few):
    for content in CONTENTS[:2]:
        write(world.folder, content)
    settle(world.folder)
    left_behind(world, few)
    actors = {"backup": world._backup(few), "collector": world._collector(())}
    other = actors["collector" if first == "backup" else "backup"]
    for actor, count in ((actors[first], before), (other, between), (actors[first], 999), (other, 999)):
        for _request in range(count):
            goes_on = actor.step()
            world.prove()
            if not goes_on:
                break
    outcomes = (actors["backup"].outcome, actors["collector"].outcome)
    assert not [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, Busy)]
    return tuple("busy" if isinstance(one, Busy) else "done" for one in outcomes)


# --- by themselves, on a real store -------------------------------------------------------------------


def back_up(vault, folder, name, **options):
    return Backup(vault, folder, patience=()).run(name, "t_one", **options)


def test_what_no_manifest_names_goes(vault, tmp_path):
    folder = a_folder(tmp_path / "t", b"stays", b"goes")
    back_up(vault, folder, "first")
    folder.remove(digest_of(b"goes"))
    settle(folder)
    back_up(vault, folder, "second", audit=True)
    assert Collector(vault).run().removed == 0
    report = Collector(vault).run(["first"])
    assert (report.manifests, report.objects, report.removed, report.finished) == (1, 1, 1, True)
    assert vault.manifests() == ["second"]
    assert check.check(vault, vault.manifest("second"), None).whole
    assert list(vault.store.list("leases")) == []


def test_collector_waits_for_a_backup_and_a_backup_for_a_collector(vault, tmp_path):
    folder = a_folder(tmp_path / "t", b"one")
    with lease.held(vault.store, lease.Kind.BACKUP):
        with pytest.raises(Busy):
            Collector(vault).run()
        back_up(vault, folder, "beside")
    with ExitStack() as stack:
        stack.enter_context(lease.held(vault.store, lease.Kind.COLLECTOR))
        with pytest.raises(Busy):
            Collector(vault).run()
        with pytest.raises(Busy):
            Backup(vault, folder, wait=0).run("second", "t_one")
        seen = []

        def sleep(seconds):
            seen.append(seconds)
            stack.close()

        with lease.held_after_waiting(vault.store, lease.Kind.BACKUP, sleep=sleep):
            assert len(seen) == 1
    assert list(vault.store.list("leases")) == []


def test_lease_of_the_dead_ends_by_itself(monkeypatch, vault):
    vault.store.put("leases/backup.dead", b"")
    with pytest.raises(Busy):
        Collector(vault).run()
    monkeypatch.setitem(lease.LIFE, lease.Kind.BACKUP, 0.0)
    assert Collector(vault).run().finished


def test_whoever_has_taken_too_long_stops(monkeypatch, vault, tmp_path):
    folder = a_folder(tmp_path / "t", b"one", b"two")
    back_up(vault, folder, "first")
    monkeypatch.setitem(lease.LIFE, lease.Kind.COLLECTOR, -1.0)
    assert not Collector(vault).run(["first"]).finished
    assert vault.manifests() == ["first"]
    monkeypatch.setitem(lease.LIFE, lease.Kind.BACKUP, -1.0)
    with pytest.raises(LeaseOver):
        back_up(vault, folder, "second")
    assert vault.manifests() == ["first"]


def test_manifest_that_cannot_be_read_keeps_everything(vault, tmp_path):
    back_up(vault, a_folder(tmp_path / "t", b"one"), "first")
    name = manifest_name("second")
    vault.store.put(name, vault.store.read(manifest_name("first")))
    with pytest.raises(ObjectDamaged):
        Collector(vault).run()
    assert len(list(vault.objects())) == 1


def test_nothing_is_left_of_a_tenant_that_is_erased(vault, tmp_path):
    back_up(vault, a_folder(tmp_path / "t", b"one", b"two"), "first")
    assert remove_all(vault.store) == 4  # the key, too
    with pytest.raises(ObjectMissing):
        vault.store.read("key")
    assert remove_all(vault.store) == 0
