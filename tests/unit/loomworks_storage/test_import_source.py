"""A source of another platform: what is in it, that nothing in it is believed, and that all of it arrives."""

import io
import os
import zipfile
from threading import Barrier
from uuid import uuid4

import psycopg2
import pytest
from addons.loomworks_storage.filestore import folder as folders
from addons.loomworks_storage.filestore.errors import VolumeFull
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.importing import source as sources
from addons.loomworks_storage.importing.arrived import Wanted, compare, wanted_by
from addons.loomworks_storage.importing.bring import Bringing
from addons.loomworks_storage.importing.errors import DumpMissing, DumpRefused, SourceRefused, SourceUnreadable
from addons.loomworks_storage.importing.place import SourceLocation, StoredFolder
from addons.loomworks_storage.importing.source import Dump, DumpKind, ZipSource, inventory
from filestores import contents, digest_of, location_of, open_store

FILES = [b"", b"small", b"x" * 3_000_000, *(f"file {number}".encode() for number in range(30))]
PLAIN = b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n"
CUSTOM = b"PGDMP\x01\x0e\x00" + bytes(100)


def name_of(content):
    digest = digest_of(content)
    return f"{digest[:2]}/{digest}"


def members(below="filestore/", files=FILES, **more):
    return {"dump.sql": PLAIN, **{f"{below}{name_of(one)}": one for one in files}, **more}


def a_zip(found, **options):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    stream.seek(0)
    return ZipSource(stream)


def a_folder(store, found):
    for name, content in found.items():
        store.put(f"old/{name}", content)
    return StoredFolder(store, "old")


def snapshot(store):
    """Return all that can be seen of a place of sources."""
    return list(store.list(""))


@pytest.fixture
def store(s3):
    """A place of sources."""
    return open_store(SourceLocation.of(location_of(s3), f"sources/{uuid4()}"))


@pytest.fixture(params=["zip", "folder"])
def make(request, store):
    """What makes a source of names and contents."""
    return a_zip if request.param == "zip" else lambda found: a_folder(store, found)


# --- what is in it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("below", "database"), [("filestore/", ""), ("filestore/old_db/", "old_db"), ("", ""), ("old_db/", "old_db")]
)
def test_layouts_of_odoo_are_known(make, below, database):
    found = inventory(make(members(below, **{"manifest.json": b"{}", "readme/notes.txt": b"x"})))
    assert found.dump == Dump("dump.sql", DumpKind.PLAIN, len(PLAIN))
    assert (found.database, found.others, found.bytes) == (database, 1, sum(map(len, FILES)))
    assert set(found.files) == {digest_of(one) for one in FILES}


def test_custom_dump_is_known_by_what_is_in_it(make):
    found = members()
    del found["dump.sql"]
    assert inventory(make({**found, "old.dump": CUSTOM})).dump.kind == DumpKind.CUSTOM


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (PLAIN, DumpKind.PLAIN),
        (b"--\n\n\\restrict abc\n\nSET x = 1;", DumpKind.PLAIN),
        (b"\xef\xbb\xbfSET x", None),
        (b"\\! rm -rf /\n", None),
        (b"/**/" * 10_000, None),
        (b"--\n" * 20_000, None),
        (b" \n" * 30_000, None),
        (b"\x1f\x8b\x08", None),
        (b"", None),
        (b"PK\x03\x04", None),
    ],
)
def test_dump_that_is_none_is_refused(make, beginning, kind):
    source = make({"dump.sql": beginning})
    if kind:
        assert inventory(source).dump.kind == kind
    else:
        with pytest.raises(DumpRefused, match="neither"):
            inventory(source)


def test_no_dump_or_several_are_refused(make):
    with pytest.raises(DumpMissing, match="none"):
        inventory(make({name_of(b"x"): b"x"}))


def test_several_dumps_are_named():
    with pytest.raises(DumpMissing, match=r"a\.sql, b\.dump"):
        inventory(a_zip({"b.dump": CUSTOM, "a.sql": PLAIN}))


def test_files_of_two_databases_are_refused(make):
    found = {**members("filestore/one/"), f"filestore/two/{name_of(b'y')}": b"y"}
    with pytest.raises(SourceRefused, match="one, two"):
        inventory(make(found))


# --- what is believed of it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        f"filestore/../{name_of(b'x')}",
        f"filestore/a/b/{name_of(b'x')}",
        f"filestore/00/{digest_of(b'x')}",
        f"filestore/{name_of(b'x')}.sh",
        f"filestore/{name_of(b'x').upper()}",
        f"filestore\\{name_of(b'x')}",
    ],
)
def test_names_that_odoo_does_not_write_are_passed_over(tmp_path, name):
    source = a_zip({**members(), name: b"x"})
    found = inventory(source)
    assert (len(found.files), found.others) == (len(FILES), 1)
    Bringing(source, Folder(tmp_path / "volume" / "t")).run(found)
    assert {path.name for path in (tmp_path / "volume").rglob("*") if path.is_file()} == set(found.files)


def test_archive_that_unpacks_to_more_than_it_can_is_refused():
    source = a_zip(members())
    for one in source._zip.infolist():
        one.file_size = 1 << 40
    with pytest.raises(SourceRefused, match="far larger"):
        inventory(source)


def test_archive_with_a_password_or_a_name_twice_is_refused():
    source = a_zip(members())
    source._zip.infolist()[3].flag_bits |= 1
    with pytest.raises(SourceRefused, match="encrypted"):
        inventory(source)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("dump.sql", PLAIN)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("dump.sql", PLAIN)
    with pytest.raises(SourceRefused, match="more than once"):
        inventory(ZipSource(stream))


def test_source_with_more_files_than_any_is_refused(monkeypatch, make):
    monkeypatch.setattr(sources, "MOST_MEMBERS", 5)
    with pytest.raises(SourceRefused, match="more than 5 files"):
        inventory(make(members()))


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
@pytest.mark.parametrize("at", [0, 4, 10, 40, 60])
def test_archive_that_is_spoilt_is_told_wherever_it_is_read(method, at):
    """A folder that was copied badly breaks at its header, its beginning or its end; each has an error of its own."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("dump.sql", PLAIN + os.urandom(1000))
    stream.seek(at)
    stream.write(b"\xff" * 30)
    with pytest.raises(SourceUnreadable, match=r"dump\.sql of the archive cannot be read: \S"):
        inventory(ZipSource(stream))


def test_file_of_an_archive_without_a_name_is_passed_over():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("dump.sql", PLAIN)
        archive.writestr("nameless", b"x")
        archive.getinfo("nameless").filename = ""
    assert inventory(ZipSource(stream)).others == 1


def test_what_is_no_archive_is_told():
    with pytest.raises(SourceUnreadable, match="no zip"):
        ZipSource(io.BytesIO(b"not a zip"))


# --- on the volume --------------------------------------------------------------------------------


def test_files_arrive_as_they_were_and_the_source_is_untouched(make, store, tmp_path):
    source = make(members())
    before = snapshot(store)
    folder, shares = Folder(tmp_path / "volume" / "t"), []
    report = Bringing(source, folder, lambda stage, share: shares.append((stage, share))).run(inventory(source))
    assert (report.files, report.brought, report.bytes, report.whole) == (
        len(FILES), len(FILES), sum(map(len, FILES)), True,
    )  # fmt: skip
    assert contents(folder) == {name_of(one): one for one in FILES}
    assert shares[-1] == ("files", 1.0)
    assert snapshot(store) == before
    again = Bringing(source, folder).run(inventory(source))
    assert (again.brought, again.kept) == (0, len(FILES))


def test_file_with_another_content_gets_no_name(make, tmp_path):
    found = {**members(), f"filestore/{name_of(b'right')}": b"wrong", f"filestore/{name_of(b'long')}": b"x" * 10}
    source, folder = make(found), Folder(tmp_path / "t")
    report = Bringing(source, folder).run(inventory(source))
    assert set(report.wrong) == {digest_of(b"right"), digest_of(b"long")}
    assert (report.whole, report.brought) == (False, len(FILES))
    assert contents(folder) == {name_of(one): one for one in FILES}


def test_half_of_what_is_there_is_written_over(make, tmp_path):
    source, folder = make(members()), Folder(tmp_path / "t")
    folder.make(digest_of(b"small")[:2])
    folder.path(digest_of(b"small")).write_bytes(b"smell")
    assert Bringing(source, folder).run(inventory(source)).brought == len(FILES)
    assert folder.path(digest_of(b"small")).read_bytes() == b"small"


def test_damaged_archive_names_what_could_not_be_read(tmp_path):
    source = a_zip(members())
    stream = source._zip.fp
    victim = source._zip.getinfo(f"filestore/{name_of(FILES[2])}")
    stream.seek(victim.header_offset + 200)
    stream.write(b"\xff" * 300)
    report = Bringing(source, Folder(tmp_path / "t")).run(inventory(source))
    assert list(report.wrong) == [digest_of(FILES[2])]
    assert report.brought == len(FILES) - 1


def test_file_that_changes_or_goes_after_it_was_listed_is_left(store, tmp_path):
    source = a_folder(store, members())
    found = inventory(source)
    for content, now in ((b"small", b"smell"), (b"file 2", b"fi"), (b"file 3", b"")):
        store.put(f"old/filestore/{name_of(content)}", now, replace=True)
    store.delete(f"old/filestore/{name_of(b'file 1')}")
    report = Bringing(source, Folder(tmp_path / "t")).run(found)
    spoilt = {digest_of(one) for one in (b"small", b"file 1", b"file 2", b"file 3")}
    assert set(report.wrong) == spoilt
    assert report.brought == len(FILES) - len(spoilt)


def test_full_volume_is_told(make, tmp_path, monkeypatch):
    source = make(members())

    def full(*_):
        raise OSError(28, "No space left on device")

    found = inventory(source)
    monkeypatch.setattr(folders.os, "write", full)
    with pytest.raises(VolumeFull):
        Bringing(source, Folder(tmp_path / "t")).run(found)


# --- whether all has arrived ----------------------------------------------------------------------


@pytest.fixture
def attachments():
    """A cursor on a database with attachments of these contents, and a way to add a name."""
    connection = psycopg2.connect(os.environ["PG_URL"])
    with connection, connection.cursor() as cr:
        cr.execute("CREATE TEMPORARY TABLE ir_attachment (store_fname varchar, file_size integer)")
        rows = [(name_of(one), len(one)) for one in FILES]
        cr.executemany("INSERT INTO ir_attachment VALUES (%s, %s)", [*rows, *rows[:5], (None, 0)])
        yield cr
    connection.close()


def arrive(make, tmp_path, files=FILES):
    source, folder = make(members(files=files)), Folder(tmp_path / "t")
    found = inventory(source)
    Bringing(source, folder).run(found)
    return folder, found


def test_all_that_the_database_needs_has_arrived(make, tmp_path, attachments):
    folder, found = arrive(make, tmp_path, [*FILES, b"unneeded"])
    arrival = compare(wanted_by(attachments), folder, found)
    assert (arrival.needed, arrival.there, arrival.unneeded, arrival.whole) == (len(FILES), len(FILES), 1, True)


def test_what_has_not_arrived_is_told_apart(make, tmp_path, attachments):
    folder, found = arrive(make, tmp_path, FILES[:-1])
    wrong, lost = digest_of(FILES[2]), digest_of(FILES[3])
    folder.path(wrong).write_bytes(b"y" * len(FILES[2]))
    folder.remove(lost)
    attachments.execute("UPDATE ir_attachment SET file_size = 7 WHERE store_fname = %s", [name_of(FILES[4])])
    attachments.execute("INSERT INTO ir_attachment VALUES ('s3://elsewhere/x', 1)")
    arrival = compare(wanted_by(attachments), folder, found)
    assert (arrival.missing, arrival.lost, arrival.wrong) == ([digest_of(FILES[-1])], [lost], [wrong])
    assert (arrival.elsewhere, arrival.other_size) == (["s3://elsewhere/x"], [digest_of(FILES[4])])
    assert (arrival.needed, arrival.there, arrival.whole) == (len(FILES) + 1, len(FILES) - 3, False)


def test_files_are_hashed_by_several_threads(tmp_path, monkeypatch):
    source, folder = a_zip(members()), Folder(tmp_path / "t")
    found = inventory(source)
    Bringing(source, folder).run(found)
    together, has_content = Barrier(2), Folder.has_content

    def meeting(self, digest):
        together.wait(timeout=20)
        return has_content(self, digest)

    monkeypatch.setattr(Folder, "has_content", meeting)
    arrival = compare(Wanted(dict.fromkeys(map(digest_of, FILES[:2]))), folder, found)
    assert (arrival.needed, arrival.there, arrival.unneeded) == (2, 2, len(FILES) - 2)
