"""The manifest of a base backup, read as it comes: compared with reading it whole, line by line."""

import hypothesis.strategies as st
import pytest
from addons.loomworks_snapshot.pitr.manifest import Manifest
from addons.loomworks_snapshot.repository.errors import RepositoryDamaged
from addons.loomworks_snapshot.repository.info_file import InfoFile
from hypothesis import given

FACTS = '{"bni":1,"bno":7,"checksum":"00ff","repo-size":30,"size":8192,"timestamp":1764030000}'
KNOWN = {"t_mine": 16384, "t_other": 16385, "t_longer": 163840}
ALWAYS = ("1", "4", "5")
FILE = st.one_of(
    st.sampled_from(["pg_data/PG_VERSION", "pg_data/backup_label", "pg_data/global/1262", "pg_data/pg_xact/0000"]),
    st.builds(
        "pg_data/base/{}/{}".format, st.sampled_from([1, 5, *KNOWN.values()]), st.integers(1000, 1004) | st.just("PG=1")
    ),
    st.builds("pg_tblspc/99/PG_17_2/{}/{}".format, st.sampled_from(list(KNOWN.values())), st.integers(1, 4)),
)
FILES = st.sets(FILE).map(lambda names: sorted(names | {"pg_data/PG_VERSION"}))


def text(files):
    """Return a manifest as pgBackRest writes it."""
    lines = [f"{name}={FACTS}" for name in files]
    sections = {
        "backrest": ["backrest-format=5", 'backrest-version="2.55"'],
        "backup": ['backup-label="20261125-000000F"'],
        "db": [f'{name}={{"db-id":{number},"db-last-system-id":5}}' for name, number in KNOWN.items()],
        "target:file": lines,
        "target:file:default": ['group="postgres"'],
        "target:path": ["pg_data={}", "pg_data/base={}"],
    }
    return InfoFile(sections).render().encode()


def cut(data, size):
    """Return it in pieces."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def wanted(name, numbers):
    """Tell, looking at one line alone, whether it is to be kept."""
    words = name.split("/")
    if name.startswith("pg_data/base/"):
        return words[2] in (*ALWAYS, *numbers)
    return not name.startswith("pg_tblspc/") or words[3] in numbers


def kept(manifest):
    """Return the names of its files."""
    return [file.name for file in manifest.files()]


@given(FILES, st.integers(1, 400), st.sets(st.sampled_from(sorted(KNOWN.values())), max_size=2))
def test_it_keeps_what_looking_at_each_line_keeps(files, size, numbers):
    manifest = Manifest.read(cut(text(files), size), lambda known: numbers)
    assert kept(manifest) == [name for name in files if wanted(name, {str(number) for number in numbers})]
    assert manifest.databases() == KNOWN


@given(FILES, st.integers(1, 400))
def test_what_it_writes_is_read_again(files, size):
    once = Manifest.read(cut(text(files), size), lambda known: [known["t_mine"]]).render()
    assert Manifest.read([once], lambda known: [known["t_mine"]]).render() == once
    assert once == text([name for name in files if wanted(name, {"16384"})])


@given(FILES, st.data())
def test_a_changed_byte_is_found(files, data):
    whole = bytearray(text(files))
    at = data.draw(st.integers(whole.index(b"[db]") + 5, len(whole) - 60))
    if whole[at] in b'\n[]{}"=:,':  # what holds the text together: another error, never a manifest that is believed
        whole[at] = ord("x")
    else:
        whole[at] ^= 1
    with pytest.raises(RepositoryDamaged):
        Manifest.read(cut(bytes(whole), 64), lambda known: [])


@pytest.mark.parametrize("end", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_manifest_is_not_believed(end):
    whole = text([f"pg_data/base/16384/{number}" for number in range(100)])
    with pytest.raises(RepositoryDamaged):
        Manifest.read([whole[: int(len(whole) * end)]], lambda known: [])
