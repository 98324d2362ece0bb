"""What makes backups that have little to do quick and restores short: the same results as the long way."""

import errno
import threading

import botocore.session
import pytest
from addons.loomworks_storage.filestore import head as heads
from addons.loomworks_storage.filestore import vault as vaults
from addons.loomworks_storage.filestore.client import client
from addons.loomworks_storage.filestore.crew import AHEAD, Crew, grouped
from addons.loomworks_storage.filestore.directory import DIRECTORIES, Directory, Place, State
from addons.loomworks_storage.filestore.errors import ObjectDamaged, ObjectMissing, ObjectShort
from addons.loomworks_storage.filestore.flushing import Flushing
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.filestore.location import Location, manifest_name
from addons.loomworks_storage.filestore.manifest import Base, Manifest
from hypothesis import given
from hypothesis import strategies as st

DIGESTS = st.sampled_from([f"ab{number:038x}" for number in range(12)])
PLACES = st.none() | st.builds(Place, st.integers(0, 3), st.integers(0, 9))
FILES = st.dictionaries(DIGESTS, st.tuples(st.integers(0, 3), PLACES))
STATE = State(1, 2)


def directory(files, state=None):
    sizes = {digest: size for digest, (size, _) in files.items()}
    return Directory(sizes, state, {digest: place for digest, (_, place) in files.items() if place})


# --- directories ----------------------------------------------------------------------------------


@given(FILES, FILES, st.sets(DIGESTS))
def test_changed_directory_is_as_if_it_were_made_anew(files, others, gone):
    found = directory(files).changed(gone, directory(others), STATE)
    expected = {digest: one for digest, one in files.items() if digest not in gone} | others
    assert found == directory(expected)
    assert found.names() == expected.keys()
    assert (found.state, found.packs) == (STATE, directory(expected).packs)
    assert dict(found.own()) == {digest: size for digest, (size, place) in expected.items() if not place}


@given(FILES, st.lists(FILES, max_size=3))
def test_merged_directory_has_the_files_of_all(files, parts):
    found = directory(files, STATE).merged([directory(part, STATE) for part in parts])
    for part in parts:
        files = files | part
    assert (found, found.state) == (directory(files), STATE)


def test_merged_directory_is_looked_into_again_when_any_part_is():
    assert directory({}, STATE).merged([directory({}, STATE), directory({}), directory({}, STATE)]).state is None


# --- threads --------------------------------------------------------------------------------------


def test_no_more_items_are_taken_than_threads_work_on():
    taken, done = [], 0
    for _ in Crew(2).each(lambda item: item, (taken.append(number) or number for number in range(100))):
        done += 1
        assert len(taken) - done < 2 * AHEAD
    assert (done, taken) == (100, list(range(100)))


def test_threads_work_beside_each_other():
    """One item at a time would be right, and slow: two meet here, or the barrier breaks."""
    meeting = threading.Barrier(2, timeout=10)
    assert sorted(number for number, _ in Crew(2).each(lambda item: meeting.wait(), range(6))) == list(range(6))


def test_first_failure_ends_the_work_on_the_others():
    crew, begun = Crew(2), []

    def work(item):
        begun.append(item)
        if item == 1:
            raise KeyError(item)

    with pytest.raises(KeyError):
        list(crew.each(work, range(100)))
    assert crew.stopped
    assert len(begun) <= 2 * AHEAD + 2


def test_groups_hold_every_directory_once():
    assert [name for names in grouped(DIRECTORIES) for name in names] == list(DIRECTORIES)


# --- the volume -----------------------------------------------------------------------------------


class WatchedFolder(Folder):
    """A folder that tells when it is flushed, and fails at it when it should."""

    def __init__(self, root, error=None):
        super().__init__(root)
        self.flushed, self._error = threading.Event(), error

    def flush(self):
        self.flushed.set()
        if self._error:
            raise self._error
        super().flush()


def written(folder, *sizes, every, error=None):
    """Have as many bytes be written, wait for the flush that this makes, and end with ``error``."""
    with Flushing(folder, every=every) as flushing:
        for size in sizes:
            flushing.wrote(size)
        assert sum(sizes) < every or folder.flushed.wait(10)
        if error:
            raise error


def test_volume_is_flushed_when_enough_was_written_and_not_before(tmp_path):
    little, much = WatchedFolder(tmp_path), WatchedFolder(tmp_path)
    written(little, 90, 9, every=100)
    written(much, 90, 10, every=100)
    assert (little.flushed.is_set(), much.flushed.is_set()) == (False, True)


def test_volume_that_could_not_write_is_told_at_the_end(tmp_path):
    folder = WatchedFolder(tmp_path, OSError(errno.EIO, "it could not be written"))
    with pytest.raises(OSError, match="could not be written"):
        written(folder, 1, every=1)


def test_what_went_wrong_first_is_told_and_not_the_volume(tmp_path):
    folder = WatchedFolder(tmp_path, OSError(errno.EIO, "it could not be written"))
    with pytest.raises(KeyError):
        written(folder, 1, every=1, error=KeyError())


# --- the store ------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "garage"])
@pytest.mark.parametrize("endpoint", ["https://s3.example.org:9000", "https://s3.eu-west-1.amazonaws.com"])
def test_client_signs_as_one_that_knows_all_services(region, endpoint):
    location = Location("0d3c8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11", endpoint, "bucket", region, "key", "secret")
    ours = client(location, connect_timeout=1, read_timeout=1, attempts=1)
    usual = botocore.session.Session().create_client(
        "s3", endpoint_url=endpoint, region_name=region, aws_access_key_id="key", aws_secret_access_key="secret"
    )
    assert signing(ours) == signing(usual)


def signing(one):
    signer = one._request_signer
    return one.meta.endpoint_url, signer.region_name, signer.signing_name, signer.signature_version


@pytest.mark.parametrize("in_one_piece", [True, False])
def test_base_longer_than_what_is_fetched_at_once_comes_back(vault, monkeypatch, in_one_piece):
    monkeypatch.setattr(vaults, "FILES_IN_ONE_PIECE", 10_000 * in_one_piece)
    monkeypatch.setattr(heads, "EDITS", 10)
    manifest = Manifest("t_one", "now", {"ab": Directory({f"ab{number:038x}": number for number in range(1000)})})
    vault.put_manifest("one", manifest)
    [(identity, size)] = vault.bases().items()
    assert vault.head("one").base == Base(identity, size)
    for part in (size // 3, size // 2, size - 1, size, size + 1):
        monkeypatch.setattr(vaults, "MANIFEST_PART", part)
        assert vault.manifest("one") == manifest


def test_manifest_that_was_cut_where_a_part_ends_is_damaged(vault, monkeypatch):
    manifest = Manifest("t_one", "now", {"ab": Directory({f"ab{number:038x}": number for number in range(1000)})})
    vault.put_manifest("one", manifest)
    sealed = vault.store.read(manifest_name("one"))
    for size in (0, 1000, 2000):
        vault.store.put(manifest_name("one"), sealed[:size], replace=True)
        monkeypatch.setattr(vaults, "MANIFEST_PART", 1000)
        with pytest.raises(ObjectDamaged):
            vault.manifest("one")


def test_range_behind_the_end_is_told_from_an_object_that_is_missing(vault):
    vault.store.put("one", b"content")
    with pytest.raises(ObjectShort):
        vault.store.read_range("one", 7, 1)
    with pytest.raises(ObjectMissing, match="not in the object store"):
        vault.store.read_range("two", 7, 1)
