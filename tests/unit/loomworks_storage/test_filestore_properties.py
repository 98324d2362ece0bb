"""Backups of random files, with something happening in the middle of each; a set of names is the oracle."""

import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest
from addons.loomworks_storage.filestore.backup import Backup
from addons.loomworks_storage.filestore.check import check
from addons.loomworks_storage.filestore.errors import ObjectMissing
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.restore import Restore
from addons.loomworks_storage.filestore.vault import Vault
from filestores import EventfulStore, Killed, contents, digest_of, killed, location_of, open_store, write
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("LOOMWORKS_FILESTORE_EXAMPLES", "15"))
DAY = 86400  # seconds


def _contents():
    """Return ten contents in five directories, so that files share them."""
    found = {}
    for number in range(10**6):
        content = f"content {number}".encode()
        found.setdefault(digest_of(content)[:2], []).append(content)
        pairs = [ones[:2] for ones in found.values() if len(ones) >= 2]
        if len(pairs) == 5:
            return [content for pair in pairs for content in pair]
    raise AssertionError


CONTENTS = _contents()
SETS = st.sets(st.sampled_from(CONTENTS), max_size=6)
EVENTS = st.one_of(
    st.tuples(st.just("nothing"), st.just(set())),
    st.tuples(st.just("killed"), st.just(set())),
    st.tuples(st.just("another run"), st.just(set())),
    st.tuples(st.sampled_from(["added", "removed", "spoilt"]), SETS),
)


@dataclass(frozen=True)
class Run:
    """What happens to the folder first, and what before the object of this number is written."""

    added: set
    removed: set
    at: int
    event: tuple
    audit: bool
    few: int  # fewer new files than that are not packed


FEW = st.sampled_from([1, 2, 9])
RUNS = st.lists(st.builds(Run, SETS, SETS, st.integers(0, 6), EVENTS, st.booleans(), FEW), min_size=1, max_size=4)


@dataclass
class World:
    """The folder and what is in it; every manifest that was written, and what it named."""

    folder: Folder
    store: EventfulStore
    key: Key
    here: set = field(default_factory=set)  # contents whose files are whole
    spoilt: set = field(default_factory=set)  # contents whose files are something else
    manifests: dict = field(default_factory=dict)
    moment: float = field(default_factory=lambda: time.time() - DAY)

    @property
    def vault(self):
        return Vault(self.store, self.key)

    def change(self, added=frozenset(), removed=frozenset(), spoilt=frozenset()):
        for content in added:
            write(self.folder, content)
        for content in removed:
            self.folder.remove(digest_of(content))
        for content in spoilt:
            write(self.folder, b"something else", digest_of(content))
        self.here = (self.here | added) - removed - spoilt
        self.spoilt = (self.spoilt | spoilt) - added - removed
        self.moment += 10  # directories change once in a while, and long ago
        for content in added | removed:
            path = self.folder.path(digest_of(content)).parent
            if path.exists():
                os.utime(path, (self.moment, self.moment))

    def do(self, number, run):
        self.change(run.added, run.removed)
        kind, which = run.event
        events = {
            "nothing": lambda: None,
            "killed": killed,
            "another run": lambda: self.back_up(f"nested{number}", few=run.few),
            "added": lambda: self.change(added=which),
            "removed": lambda: self.change(removed=which),
            "spoilt": lambda: self.change(spoilt=which & self.here),
        }
        self.store.prepare(run.at, events[kind])
        try:
            self.back_up(f"run{number}", which, audit=run.audit, few=run.few)
        except Killed:
            with pytest.raises(ObjectMissing):
                self.vault.manifest(f"run{number}")
        self.store.prepare(-1, killed)

    def back_up(self, name, which=frozenset(), *, audit=False, few):
        before, seen = set(self.here), self.here | self.spoilt | which
        report = Backup(self.vault, self.folder, threads=1, patience=(), few=few).run(name, "t_one", audit=audit)
        found = {digest for digest, _ in self.vault.manifest(name)}
        assert digests(before & self.here) <= found <= digests(seen)
        if audit and not which:
            assert set(report.damaged) | set(report.mendable) == digests(self.spoilt)
            assert set(report.mendable) == set(report.mendable) & found
        self.manifests[name] = found

    def prove(self, folder):
        """Restore every manifest, each over the one before."""
        for name, found in self.manifests.items():
            manifest = self.vault.manifest(name)
            assert check(self.vault, manifest, sample=None).whole
            assert Restore(self.vault, folder, self.folder, threads=1).run(manifest, verify=True, prune=True).whole
            files = contents(folder)
            assert {path[3:] for path in files} == found
            assert all(digest_of(content) == path[3:] for path, content in files.items())


def digests(those):
    return {digest_of(content) for content in those}


@pytest.fixture(scope="module")
def a_store(s3):
    return open_store(location_of(s3), EventfulStore, -1, killed)


@settings(max_examples=EXAMPLES, deadline=None, derandomize="LOOMWORKS_FILESTORE_EXAMPLES" not in os.environ)
@given(runs=RUNS)
def test_every_manifest_holds_what_was_there_and_can_be_restored(a_store, runs):
    a_store.location = replace(a_store.location, tenant=str(uuid4()))
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(Path(path) / "t_one")
        folder.root.mkdir()
        world = World(folder, a_store, Key.generate())
        for number, run in enumerate(runs):
            world.do(number, run)
        world.prove(Folder(Path(path) / "restored"))
