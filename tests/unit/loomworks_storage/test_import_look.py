"""A look at a source: at once where somebody waits, with its dump elsewhere, and with numbers that have to be right."""

import io
import zipfile
from uuid import uuid4

import pytest
from addons.loomworks_storage.importing import looking
from addons.loomworks_storage.importing.errors import SourceUnreadable
from addons.loomworks_storage.importing.lines import Line
from addons.loomworks_storage.importing.looking import looked_into
from addons.loomworks_storage.importing.place import SourceLocation, opened
from addons.loomworks_storage.importing.source import inventory
from filestores import digest_of, location_of, open_store

PLAIN = b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n"
CONTENTS = [b"one", b"two", b"three"]


def name_of(content):
    digest = digest_of(content)
    return f"filestore/{digest[:2]}/{digest}"


@pytest.fixture
def store(s3):
    """A place of sources with a folder, a zip without a dump, and the dump."""
    made = open_store(SourceLocation.of(location_of(s3), f"sources/{uuid4()}"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        for content in CONTENTS:
            made.put(f"acme/{name_of(content)}", content)
            stream.writestr(name_of(content), content)
    made.put("acme.zip", archive.getvalue())
    made.put("dumps/acme.sql", PLAIN)
    return made


def line(source, **values):
    return Line(2, "Acme", "acme", "Basic", source, **values)


@pytest.mark.parametrize("source", ["acme", "acme.zip"])
def test_dump_may_lie_elsewhere(store, source):
    problems, found = looked_into(store, line(source, dump="dumps/acme.sql"))
    assert problems == []
    assert (found["files"], found["bytes"], found["dump"]["size"]) == (3, 11, len(PLAIN))
    with opened(store, source, "dumps/acme.sql") as opened_source:
        dump = inventory(opened_source).dump
        member = next(one for one in opened_source.members() if one.name == dump.name)
        with opened_source.open(member) as stream:
            assert stream.read() == PLAIN
        file = next(iter(inventory(opened_source).files.values()))
        with opened_source.open(file) as stream:
            assert stream.read() in CONTENTS


def test_dump_that_is_nowhere_or_there_twice_is_told(store):
    assert "no dump dumps/none.sql" in str(looked_into(store, line("acme", dump="dumps/none.sql"))[0])
    with pytest.raises(SourceUnreadable), opened(store, "acme", "dumps/none.sql"):
        pass
    store.put("acme/own.sql", PLAIN)
    assert "found: acme.sql, own.sql" in str(looked_into(store, line("acme", dump="dumps/acme.sql"))[0])


@pytest.mark.parametrize(
    ("values", "wrong"), [({"files": 4}, "3 files, and 4"), ({"bytes": 1}, "11 bytes of files, and 1")]
)
def test_number_that_is_expected_has_to_be_there(store, values, wrong):
    dump = {"dump": "dumps/acme.sql"}
    assert looked_into(store, line("acme", files=3, bytes=11, **dump))[0] == []
    [problem] = looked_into(store, line("acme", **values, **dump))[0]
    assert wrong in problem


def test_archive_that_is_spoilt_is_a_problem_of_its_line_only(store):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("dump.sql", PLAIN * 100)
    spoilt = bytearray(archive.getvalue())
    spoilt[40:60] = b"\xff" * 20
    store.put("spoilt.zip", bytes(spoilt))
    sources = [line("spoilt.zip"), line("acme.zip", dump="dumps/acme.sql")]
    for quick in (True, False):
        (problems, contents), (none, found) = [looked_into(store, one, quick=quick) for one in sources]
        assert (len(problems), contents) == (1, {})
        assert "dump.sql of the archive cannot be read" in problems[0]
        assert (none, found["files"]) == ([], 3)


def test_large_source_is_left_for_later_where_somebody_waits(store, monkeypatch):
    monkeypatch.setattr(looking, "QUICK_FILES", 2)
    monkeypatch.setattr(looking, "QUICK_BYTES", 100)
    for source in ("acme", "acme.zip"):
        wanted = line(source, dump="dumps/acme.sql")
        assert looked_into(store, wanted, quick=True) == ([], {})
        assert looked_into(store, wanted)[1]["files"] == 3
