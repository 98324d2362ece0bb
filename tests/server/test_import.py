"""A real Odoo's database and files, taken from a bucket into another role's database, where an Odoo serves them."""

import base64
import io
import json
import os
import subprocess
import zipfile
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from harness import engines
from harness.s3_server import REGION, serving
from odoo_server import OdooServer, TenantRole
from stack import postgres_root
from stack.settings import Settings

engines.register()

from addons.loomworks_storage.filestore.location import Location  # noqa: E402  (only importable once registered)
from addons.loomworks_storage.importing import __main__ as importing  # noqa: E402
from addons.loomworks_storage.importing.errors import DatabaseAway, DumpRefused  # noqa: E402
from addons.loomworks_storage.importing.place import NO_TENANT  # noqa: E402

BUCKET = "sources"
CONTENT = os.urandom(2_500_000)


def wrap(argv):
    """Run a program of PostgreSQL 17 where it is on this machine."""
    settings = Settings.from_environment()
    return postgres_root.inside(settings, [f"{postgres_root.BINARIES}/{argv[0]}", *argv[1:]], {})


@pytest.fixture(scope="module")
def s3():
    """A bucket for sources."""
    with serving(BUCKET) as server:
        yield server


@pytest.fixture(scope="module")
def original(odoo, session_cookie):
    """The Odoo that is left, with a file of its user's; the files below its volume."""
    odoo.call("ir.attachment", "create", [{"name": "photograph", "datas": encoded(CONTENT)}])
    return odoo


def encoded(content):
    return base64.b64encode(content).decode()


def address_of(role):
    url = urlsplit(role.url())
    return {
        "PGHOST": url.hostname,
        "PGPORT": str(url.port),
        "PGUSER": role.name,
        "PGPASSWORD": role.password,
        "PGDATABASE": role.name,
    }


def dump(role, *options):
    """Return a dump of the role's database."""
    argv = wrap(["pg_dump", "--no-owner", "--no-privileges", *options, f"--dbname={role.name}"])
    environment = {"PATH": os.environ["PATH"], **address_of(role)}
    return subprocess.run(argv, env=environment, capture_output=True, check=True).stdout


def files_of(odoo, role):
    """Return the files of an Odoo, by the names that they have below its filestore."""
    root = odoo.data / "filestore" / role.name
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("[0-9a-f][0-9a-f]/*")}


def as_odoo_packs(role, files):
    """Return a zip as Odoo's own backup."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"filestore/{name}", content)
        archive.writestr("manifest.json", json.dumps({"odoo_dump": "1"}))
        archive.writestr("dump.sql", dump(role))
    return stream.getvalue()


def put(s3, name, content):
    s3.client().put_object(Bucket=BUCKET, Key=f"old platform/{name}", Body=content)


def stored(s3):
    """Return all that can be seen of the bucket."""
    found = s3.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {one["Key"]: (one["ETag"], one["Size"], one["LastModified"]) for one in found}


def ask(s3, role=None, **request):
    """Ask for an import; return whether all is well, and what was said."""
    account = {"key": s3.key, "key_secret": s3.key_secret, "ca_file": str(s3.ca_file)}
    location = Location(NO_TENANT, s3.endpoint, BUCKET, REGION, **account)
    environment = {
        **location.to_environment(),
        **(address_of(role) if role else {}),
        "LOOMWORKS_IMPORT": json.dumps({"prefix": "old platform", **request}),
    }
    said = []
    return importing.run(environment, said.append, wrap), said


@pytest.fixture
def newcomer(server_url):
    """A tenant's role with an empty database."""
    one = TenantRole(server_url, f"loomworks_test_newcomer_{os.getpid()}")
    one.create()
    yield one
    one.drop()


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_odoo_that_was_brought_in_serves_what_it_had(s3, original, role, newcomer, server_url, tmp_path, kind):
    files = files_of(original, role)
    assert CONTENT in files.values()
    if kind == "zip":
        source = "acme.zip"
        put(s3, source, as_odoo_packs(role, files))
    else:
        source = "acme/2026"
        put(s3, f"{source}/acme.dump", dump(role, "--format=custom"))
        for name, content in files.items():
            put(s3, f"{source}/filestore/acme/{name}", content)
    before = stored(s3)
    served = OdooServer(newcomer, tmp_path, server_url)
    whole, said = ask(s3, newcomer, source=source, folder=str(served.data / "filestore" / newcomer.name))
    report = said[-1]["report"]
    assert whole, report
    assert report["database"]["version"].startswith("19.0.")
    assert (report["files"]["brought"], report["files"]["wrong"]) == (len(files), {})
    arrival = report["arrival"]
    assert arrival["needed"] == arrival["there"] > 0
    assert files_of(served, newcomer) == files
    assert stored(s3) == before, "a source is only read"
    served.start()
    try:
        served.login("admin", "admin", newcomer.name)
        [found] = served.call("ir.attachment", "search_read", [["name", "=", "photograph"]], ["datas"])
        assert found["datas"] == encoded(CONTENT)
        assert served.errors() == []
    finally:
        served.stop()


def test_list_is_looked_at_before_anything_is_done(s3, original, role):
    put(s3, "good.zip", as_odoo_packs(role, files_of(original, role)))
    put(s3, "broken.zip", b"not a zip")
    put(s3, "empty/readme.txt", b"no dump")
    before = stored(s3)
    rows = [
        "Good,good,Basic,good.zip",
        "Broken,broken,Basic,broken.zip",
        "Empty,empty,Basic,empty",
        "Nowhere,nowhere,Basic,nowhere",
        "Taken,taken,Basic,good.zip",
    ]
    text = "\n".join(["name,subdomain,plan,source", *rows[:4], rows[4].replace("good.zip", "other.zip")])
    whole, said = ask(s3, lines=text, plans=["Basic"], taken=["taken"])
    problems = {one["line"]["subdomain"]: one["line"]["problems"] for one in said[:-1]}
    assert not whole
    assert said[-1]["report"] == {"lines": 5, "good": 1, "whole": False}
    assert problems.pop("good") == []
    assert [len(one) for one in problems.values()] == [1, 1, 1, 1]
    assert ["no zip" in str(problems["broken"]), "dump" in str(problems["empty"])] == [True, True]
    assert "nothing below" in str(problems["nowhere"])
    assert said[0]["line"]["dump"]["kind"] == "plain"
    assert stored(s3) == before


def test_dump_that_reaches_beyond_its_database_leaves_nothing(s3, role, newcomer, tmp_path, original):
    head, end, tail = dump(role).rpartition(b"--\n-- PostgreSQL database dump complete")
    put(s3, "evil/dump.sql", head + b"COPY ir_cron TO PROGRAM 'id';\n" + end + tail)
    with pytest.raises(DumpRefused, match="permission denied"):
        ask(s3, newcomer, source="evil", folder=str(tmp_path / "files"))
    with closing(newcomer.connect()) as connection, connection.cursor() as cr:
        cr.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert cr.fetchone() == (0,)
    assert not (tmp_path / "files").exists()


def test_missing_file_is_named_and_the_import_is_not_whole(s3, original, role, newcomer, tmp_path):
    files = files_of(original, role)
    gone = next(name for name, content in files.items() if content == CONTENT)
    put(s3, "lacking.zip", as_odoo_packs(role, {name: one for name, one in files.items() if name != gone}))
    whole, said = ask(s3, newcomer, source="lacking.zip", folder=str(tmp_path / "files"))
    assert not whole
    assert said[-1]["report"]["arrival"]["missing"] == [gone[3:]]


def test_database_that_is_away_may_come_back(s3, role, newcomer, tmp_path):
    put(s3, "some/dump.sql", b"SET x.y = 1;\n")
    newcomer.password = "wrong"
    with pytest.raises(DatabaseAway):
        ask(s3, newcomer, source="some", folder=str(tmp_path / "files"))
