"""What the program of imports says when it cannot begin, and whether another try may help."""

import io
import json
import zipfile
from uuid import uuid4

import pytest
from addons.loomworks_storage.filestore import store as stores
from addons.loomworks_storage.importing import __main__ as program
from addons.loomworks_storage.importing.errors import SourceUnreadable
from addons.loomworks_storage.importing.place import SourceLocation, opened
from addons.loomworks_storage.importing.source import inventory
from filestores import location_of, open_store

PLAIN = b"SET x.y = 1;\n"


@pytest.fixture
def ask(location, monkeypatch, capsys):
    """What runs the program on a request, and returns its exit code and the last that it said."""
    for name, value in location.to_environment().items():
        monkeypatch.setenv(name, value)

    def run(request, **environment):
        monkeypatch.setenv("LOOMWORKS_IMPORT", request if isinstance(request, str) else json.dumps(request))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = program.main()
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def store_of(s3, prefix):
    return open_store(SourceLocation.of(location_of(s3), prefix))


@pytest.mark.parametrize("request_", ["", "[]", "{", '{"prefix": "x", "unknown": 1}', "{}"])
def test_request_that_cannot_be_read_is_told(ask, request_):
    code, said = ask(request_)
    assert (code, said["error"]["code"], said["error"]["retryable"]) == (1, "filestore_setting_missing", False)


@pytest.mark.parametrize("request_", [{"folder": "relative"}, {"folder": "/tmp/files"}])
def test_what_the_request_or_the_environment_lacks_is_named(ask, request_, monkeypatch):
    monkeypatch.delenv("PGHOST", raising=False)
    code, said = ask({"prefix": "nothing", "source": "x.zip", **request_})
    assert code == 1
    assert said["error"]["code"] in ("filestore_setting_missing", "import_source_unreadable")


def test_list_that_is_none_is_told(ask):
    code, said = ask({"prefix": "x", "lines": "name\n"})
    assert (code, said["error"]["code"]) == (1, "import_list_unreadable")


def test_store_that_is_away_is_worth_another_try(ask, monkeypatch):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    text = "name,subdomain,plan,source\nA,acme,Basic,a.zip"
    away = {"LOOMWORKS_FILESTORE_S3_ENDPOINT": "https://127.0.0.1:1"}
    code, said = ask({"prefix": "x", "lines": text, "plans": ["Basic"]}, **away)
    assert (code, said["error"]["retryable"]) == (75, True)


def test_list_of_good_lines_ends_well(s3, ask):
    prefix = f"sources/{uuid4()}"
    store_of(s3, prefix).put("acme/dump.sql", PLAIN)
    text = "name,subdomain,plan,source\nA,acme,Basic,acme"
    code, said = ask({"prefix": prefix, "lines": text, "plans": ["Basic"]})
    assert (code, said["report"]) == (0, {"lines": 1, "good": 1, "whole": True})


def test_archive_that_is_spoilt_is_not_worth_another_try(s3, ask):
    archive, prefix = io.BytesIO(), f"sources/{uuid4()}"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("dump.sql", PLAIN * 100)
    spoilt = bytearray(archive.getvalue())
    spoilt[40:60] = b"\xff" * 20
    store_of(s3, prefix).put("acme.zip", bytes(spoilt))
    code, said = ask({"prefix": prefix, "source": "acme.zip", "folder": "/tmp/files"})
    assert (code, said["error"]["code"], said["error"]["retryable"]) == (1, "import_source_unreadable", False)


def test_sources_of_other_prefixes_are_out_of_reach(s3):
    prefix = f"sources/{uuid4()}"
    for name in ("one/acme", "one-more/acme"):
        store_of(s3, prefix).put(f"{name}/dump.sql", PLAIN)
    store = store_of(s3, f"/{prefix}/one/")
    with opened(store, "acme/") as source:
        assert inventory(source).dump.size == len(PLAIN)
    for name in ("more/acme", "nowhere.zip"):
        with pytest.raises(SourceUnreadable), opened(store, name):
            pass
