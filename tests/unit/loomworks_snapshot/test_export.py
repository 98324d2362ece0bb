"""A file for the customer: what psql and unzip make of it is what there was, and nothing of it is in clear in S3."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import zipfile
from uuid import uuid4

import pytest
from addons.loomworks_snapshot.export import sealed
from addons.loomworks_snapshot.export.archive import Archive
from addons.loomworks_snapshot.export.contents import ABSENT, DAMAGED, NO_NAME, Contents
from addons.loomworks_snapshot.export.errors import FileGone, FilesChanged, FileTooLarge, NotAnOdoo
from addons.loomworks_snapshot.export.export import MISSING, Export
from addons.loomworks_snapshot.export.place import ExportLocation, object_name, part_sizes
from addons.loomworks_snapshot.export.sealed import Sealed, _parts
from addons.loomworks_snapshot.pitr.errors import ProgramFailed
from addons.loomworks_snapshot.pitr.programs import Programs
from addons.loomworks_snapshot.pitr.request import Request
from addons.loomworks_storage.filestore import container
from addons.loomworks_storage.filestore.backup import Backup
from addons.loomworks_storage.filestore.errors import ObjectDamaged, StoreUnreachable, WrongKey
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.location import Location, content_name, pack_name
from addons.loomworks_storage.filestore.store import Store
from addons.loomworks_storage.filestore.vault import Vault
from harness.cell import PATHS
from harness.restoring import a_restore, named, whole
from harness.s3_server import REGION

BUCKET = "loomworks-filestores"
NUMBER = 7
FILES = [b"", b"small", b"x" * 3_000_000, bytes(range(256)) * 40_000]
# Of Odoo's tables, the columns that count.
ODOO = r"""
CREATE TABLE ir_module_module (name text, state text, latest_version text);
INSERT INTO ir_module_module VALUES ('base', 'installed', '19.0.1.3'), ('web', 'installed', '19.0.1.0'),
    ('loomworks_ai', 'installed', '19.0.1.0'), ('crm', 'uninstalled', NULL);
CREATE TABLE ir_model_data (module text, name text, model text, res_id int);
INSERT INTO ir_model_data VALUES ('loomworks_client', 'user_service', 'res.users', 3),
    ('loomworks_ai', 'a_view', 'ir.ui.view', 10), ('loomworks_ai', 'a_cron', 'ir.cron', 20),
    ('loomworksXai', 'not_ours', 'ir.ui.view', 11), ('base', 'user_admin', 'res.users', 2);
CREATE TABLE res_users (id int PRIMARY KEY, login text, active bool, password text);
INSERT INTO res_users VALUES (2, 'admin', true, '$hash$'), (3, 'loomworks-service', true, 'a service password');
CREATE TABLE res_users_apikeys (id int, user_id int REFERENCES res_users, key text);
INSERT INTO res_users_apikeys VALUES (1, 2, 'the customers own key'), (2, 3, 'the platforms key');
CREATE TABLE ir_config_parameter (key text, value text);
INSERT INTO ir_config_parameter VALUES ('database.secret', 'the living secret'), ('loomworks.max_users', '5 users'),
    ('web.base.url.freeze', 'True'), ('loomworksx', 'own'), ('database.uuid', 'its uuid');
CREATE TABLE ir_ui_view (id int, active bool);
INSERT INTO ir_ui_view VALUES (10, true), (11, true);
CREATE TABLE ir_cron (id int, active bool);
INSERT INTO ir_cron VALUES (20, true), (21, true);
CREATE TABLE ir_attachment (id serial, store_fname text, file_size int);
CREATE TABLE line (id serial PRIMARY KEY, name text UNIQUE, note jsonb, big text);
INSERT INTO line (name, note, big)
    SELECT E'n\\' || g || E'\n', jsonb_build_object('g', g), repeat(md5(g::text), 100) FROM generate_series(1, 3000) g;
CREATE TABLE child (id serial PRIMARY KEY, line_id int REFERENCES line ON DELETE CASCADE);
INSERT INTO child (line_id) SELECT id FROM line;
CREATE EXTENSION hstore;
CREATE TABLE "Odd ""name"" %" (a int, b bytea, h hstore);
INSERT INTO "Odd ""name"" %" VALUES (1, '\x00ff', 'a=>1');
SELECT lo_from_bytea(0, 'a large object');
"""
ATTACH = "INSERT INTO ir_attachment (store_fname, file_size) VALUES (%s, %s)"
SECRETS = ("the platforms key", "the living secret", "5 users", "a service password")
CHANGED = {  # tables in which something of the platform is taken out
    f"public.{table}"
    for table in ("ir_module_module", "res_users", "res_users_apikeys", "ir_config_parameter", "ir_ui_view", "ir_cron")
}


class Tenant:
    """A tenant with a database and files in S3."""

    def __init__(self, cell, uuid):
        self.cell = cell
        self.key = Key.generate()
        account = {"key": cell.s3.key, "key_secret": cell.s3.key_secret, "ca_file": str(cell.s3.ca_file)}
        self.location = Location(uuid, cell.s3.endpoint, BUCKET, REGION, **account)
        self.vault = Vault(Store(self.location), self.key)
        self.sealed = self.open()

    def open(self, store=Store, key=None):
        return Sealed(store(ExportLocation.beside(self.location)), key or self.key, object_name(NUMBER))

    def put(self, content):
        digest = hashlib.sha1(content).hexdigest()
        self.vault.put(digest, io.BytesIO(content), len(content), replace=True)
        return digest

    def export(self, target, into=None, database="t_mine", tell=lambda stage, share: None, programs=None):
        """Restore to ``target``, and make the file of it; return the report."""
        restore = a_restore(
            self.cell, Request(database, target, download=f"{self.location.tenant}/{NUMBER}"), tell=tell
        )
        programs = programs or Programs(lambda argv: self.cell.command(*argv), PATHS)
        export = Export(programs, self.vault, into or self.sealed, tell)

        def deliver(server, stage):
            return dataclasses.asdict(export.deliver(server, database, stage))

        report = restore.hand_over(deliver)
        assert report.tables
        return report.export

    def unsealed(self, report):
        self.sealed.require(report["size"])
        data = b"".join(self.sealed.read(report["size"]))
        assert (len(data), hashlib.sha256(data).hexdigest()) == (report["size"], report["sha256"])
        return zipfile.ZipFile(io.BytesIO(data))

    def stored(self):
        """Return all objects and uploads that were begun below ``exports/``."""
        client = self.cell.s3.client()
        objects = client.list_objects_v2(Bucket=BUCKET, Prefix="exports/").get("Contents", [])
        uploads = client.list_multipart_uploads(Bucket=BUCKET, Prefix="exports/").get("Uploads", [])
        return [one["Key"] for one in objects], [one["Key"] for one in uploads]


@pytest.fixture(scope="module")
def server(own_cell):
    """A server with a tenant whose database was changed after its backup."""
    own_cell.s3.client().create_bucket(Bucket=BUCKET)
    own_cell.ask("CREATE DATABASE t_mine STRATEGY wal_log")
    own_cell.ask(ODOO, "t_mine")
    for content in FILES:
        digest = hashlib.sha1(content).hexdigest()
        own_cell.ask(ATTACH, "t_mine", [f"{digest[:2]}/{digest}", len(content)])
    own_cell.ask(ATTACH, "t_mine", [f"{digest[:2]}/{digest}", None])  # another attachment of the same content
    own_cell.backup("full")
    own_cell.ask("DELETE FROM line WHERE id % 7 = 0", "t_mine")
    own_cell.target = named(own_cell, "point")
    own_cell.before = whole(own_cell, "t_mine")
    own_cell.ask("DROP TABLE child; UPDATE ir_attachment SET store_fname = NULL", "t_mine")
    own_cell.archive()
    return own_cell


@pytest.fixture
def tenant(server):
    one = Tenant(server, str(uuid4()))
    for content in FILES:
        one.put(content)
    yield one
    client = server.s3.client()
    for key in one.stored()[0]:
        client.delete_object(Bucket=BUCKET, Key=key)


def load(cell, dump, database="t_back"):
    """Load ``dump.sql`` as Odoo does, but stop at errors."""
    cell.ask(f'DROP DATABASE IF EXISTS "{database}"')
    cell.ask(f'CREATE DATABASE "{database}" TEMPLATE template0 STRATEGY wal_log')
    address = ["-h", str(cell.folder / "socket"), "-p", str(cell.port), "-U", "postgres", "-d", database]
    argv = cell.command("psql", "-q", "-v", "ON_ERROR_STOP=1", *address, "-f", "-")
    done = subprocess.run(argv, env=cell.environment(), input=dump, capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()[-2000:]
    return database


def test_what_is_loaded_from_it_is_what_there_was(server, tenant):
    report = tenant.export(server.target)
    archive = tenant.unsealed(report)
    assert archive.testzip() is None
    found = whole(server, load(server, archive.read("dump.sql")))
    same = {name: value for name, value in found.items() if name not in CHANGED}
    assert same == {name: value for name, value in server.before.items() if name not in CHANGED}
    assert found.keys() == server.before.keys()
    assert archive.namelist()[:2] == ["dump.sql", "manifest.json"]
    names = {
        f"filestore/{digest[:2]}/{digest}": content
        for content in FILES
        if (digest := hashlib.sha1(content).hexdigest())
    }
    assert {name: archive.read(name) for name in archive.namelist()[2:]} == names
    assert report["missing"] == {}
    assert (report["files"], report["files_size"]) == (len(FILES), sum(map(len, FILES)))
    assert report["dump"] == len(archive.read("dump.sql"))


def test_files_in_packs_are_in_it_too(server, tenant, tmp_path):
    folder = Folder(tmp_path / "t_mine")
    for content in FILES:
        path = folder.path(hashlib.sha1(content).hexdigest())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for content in FILES:
        tenant.vault.store.delete(content_name(hashlib.sha1(content).hexdigest()))
    assert Backup(tenant.vault, folder, few=1).run("packed", "t_mine").packs == 1
    report = tenant.export(server.target)
    assert (report["missing"], report["files"]) == ({}, len(FILES))
    archive = tenant.unsealed(report)
    for content in FILES:
        digest = hashlib.sha1(content).hexdigest()
        assert archive.read(f"filestore/{digest[:2]}/{digest}") == content
    [identity] = tenant.vault.packs()
    tenant.vault.store.put(pack_name(identity), b"x" * 1000, replace=True)
    report = tenant.export(server.target)
    assert set(report["missing"].values()) == {DAMAGED}
    assert report["files"] == len(FILES) - 2


def test_what_is_the_platforms_is_not_in_it(server, tenant):
    archive = tenant.unsealed(tenant.export(server.target))
    text = archive.read("dump.sql").decode()
    assert not [secret for secret in SECRETS if secret in text]
    assert "OWNER TO" not in text
    load(server, text.encode())
    ask = lambda query: server.ask(query, "t_back")  # noqa: E731
    assert ask("SELECT user_id, key FROM res_users_apikeys") == [(2, "the customers own key")]
    assert ask("SELECT id, active, password FROM res_users ORDER BY id") == [(2, True, "$hash$"), (3, False, None)]
    parameters = dict(ask("SELECT key, value FROM ir_config_parameter"))
    assert len(parameters.pop("database.secret")) == 36
    assert parameters == {"loomworksx": "own", "database.uuid": "its uuid"}
    assert ask("SELECT id, active FROM ir_ui_view ORDER BY id") == [(10, False), (11, True)]
    assert ask("SELECT id, active FROM ir_cron ORDER BY id") == [(20, False), (21, True)]
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["modules"] == {"base": "19.0.1.3", "web": "19.0.1.0"}
    assert (manifest["major_version"], manifest["version_info"]) == ("19.0", [19, 0, 0, "final", 0, ""])
    assert (manifest["odoo_dump"], manifest["pg_version"], manifest["db_name"]) == ("1", "17.0", "t_mine")


def test_nothing_is_in_clear_in_the_store_and_only_the_tenants_key_opens_it(server, tenant):
    report = tenant.export(server.target)
    [key] = tenant.stored()[0]
    assert key == f"exports/{tenant.location.tenant}/{NUMBER}.zip"
    data = server.s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert not [word for word in (b"dump.sql", b"manifest.json", b"filestore/", b"PK\3\4") if word in data]
    with pytest.raises(WrongKey):
        list(tenant.open(key=Key.generate()).read(report["size"]))
    server.s3.client().put_object(Bucket=BUCKET, Key=key.replace("/7.", "/8."), Body=data)
    other = Sealed(Store(ExportLocation.beside(tenant.location)), tenant.key, object_name(8))
    with pytest.raises(ObjectDamaged):  # it is not the file that its name says
        list(other.read(report["size"]))


def test_file_that_goes_between_two_reads_is_named_by_the_next_run(server, tenant):
    """A large file is read twice. Nothing of it says that the repository lacks anything."""
    gone = hashlib.sha1(FILES[2]).hexdigest()
    read = tenant.vault.get

    def get(digest, size):
        yield from read(digest, size)
        if digest == gone:
            tenant.vault.store.delete(content_name(gone))

    tenant.vault.get = get
    with pytest.raises(FilesChanged, match="went while it was read"):
        tenant.export(server.target)
    assert tenant.stored() == ([], [])
    report = tenant.export(server.target)
    assert report["missing"] == {f"{gone[:2]}/{gone}": ABSENT}


class Attachments:
    """A cursor on a database with these attachments."""

    def __init__(self, *rows):
        self._rows = list(rows)

    def execute(self, query):
        """All of them are asked for."""

    def fetchmany(self, _count):
        found, self._rows = self._rows, []
        return found


class Directory:
    """A tenant's objects, as far as they are listed, and no backup that has packed any."""

    def __init__(self, digests):
        self._digests = digests

    def sizes(self, directory):
        return {one: container.sealed_size(0) for one in self._digests if one.startswith(directory)}

    def get(self, digest, size):
        yield b""


def test_file_of_attachments_that_say_different_sizes_is_in_it_once():
    digests = [hashlib.sha1(content).hexdigest() for content in FILES]
    names = [f"{digest[:2]}/{digest}" for digest in digests]
    contents = Contents(Directory(digests))
    contents.ask(Attachments((names[0], 0), (names[1], 5), (names[0], None), (names[1], 6), ("elsewhere", None)))
    assert contents.count == 2
    assert sorted(one.name for one in contents) == sorted(names[:2])
    assert contents.missing == {"elsewhere": NO_NAME}


def test_files_that_are_nowhere_are_named_and_the_rest_is_there(server, tenant):
    absent, damaged = (hashlib.sha1(content).hexdigest() for content in FILES[1:3])
    tenant.vault.store.delete(content_name(absent))
    sound = tenant.vault.store.read(content_name(damaged))
    tenant.vault.store.put(content_name(damaged), sound[:-9] + bytes(9), replace=True)
    report = tenant.export(server.target)
    reasons = {f"{absent[:2]}/{absent}": "not in S3", f"{damaged[:2]}/{damaged}": "damaged in S3"}
    assert report["missing"] == reasons
    archive = tenant.unsealed(report)
    assert sum(name.startswith("filestore/") for name in archive.namelist()) == report["files"] == len(FILES) - 2
    text = archive.read(MISSING).decode()
    assert all(f"{name}: {why}\n" in text for name, why in reasons.items())


class Killed(BaseException):
    """The run ends here."""


@pytest.mark.parametrize("stage", ["replay", "check", "dump", "files", "wipe"])
def test_a_run_that_was_killed_leaves_no_file_and_another_one_makes_it(server, tenant, stage):
    def tell(name, share):
        if name == stage:
            raise Killed

    with pytest.raises(Killed):
        tenant.export(server.target, tell=tell)
    objects, _uploads = tenant.stored()
    assert objects == [] or stage == "wipe"
    report = tenant.export(server.target)
    assert tenant.unsealed(report).testzip() is None
    assert len(tenant.stored()[0]) == 1


def test_a_dump_that_breaks_off_is_no_file(server, tenant):
    def wrap(argv):
        return server.command("sh", "-c", "echo 'SELECT 1;'; echo 'the disk is gone' >&2; exit 3")

    with pytest.raises(ProgramFailed, match="the disk is gone"):
        tenant.export(server.target, programs=Programs(wrap, PATHS))
    assert tenant.stored() == ([], [])


def test_a_store_that_goes_away_is_worth_another_try(server, tenant):
    def tell(name, share):
        if (name, share) == ("files", 0.0):
            server.s3.stop()

    try:
        with pytest.raises(StoreUnreachable):
            tenant.export(server.target, tell=tell)
    finally:
        server.s3.start()
    assert tenant.stored()[0] == []
    assert tenant.unsealed(tenant.export(server.target)).testzip() is None


def test_a_key_that_does_not_fit_the_files_is_an_error_and_not_a_file_without_them(server, tenant):
    tenant.vault = Vault(Store(tenant.location), Key.generate())
    with pytest.raises(WrongKey):
        tenant.export(server.target)
    assert tenant.stored()[0] == []


def test_what_is_no_odoo_is_refused(server, tenant):
    with pytest.raises(NotAnOdoo):
        tenant.export(server.target, database="postgres")


def test_another_file_than_was_made_is_not_handed_out(server, tenant):
    with pytest.raises(FileGone, match="not in the object store"):
        tenant.sealed.require(1)
    report = tenant.export(server.target)
    with pytest.raises(FileGone, match="another one"):
        tenant.sealed.require(report["size"] + 1)


@pytest.mark.parametrize(("content", "share"), [(b"same " * 400_000, 0.01), (os.urandom(2_000_000), 1.001), (b"", 99)])
def test_a_zip_is_as_small_as_it_can_be_and_no_larger_than_what_is_in_it(content, share):
    made = Archive()
    blocks = (content[start : start + 300_000] for start in range(0, len(content), 300_000))
    data = b"".join([*made.member("x", blocks), *made.end()])
    assert len(data) <= share * len(content) + 1000
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert (found.testzip(), found.read("x") == content) == (None, True)


def test_parts_grow_and_end(monkeypatch):
    sizes = list(part_sizes())
    assert (sizes[0], sizes[-1], len(sizes)) == (8 << 20, 80 << 20, 10_000)
    blocks = [bytes(3 << 20)] * 6
    assert [len(part) >> 20 for part in _parts(blocks)] == [9, 9]
    monkeypatch.setattr(sealed, "part_sizes", lambda: iter([1, 2]))
    assert list(_parts([b"a", b"bc"])) == [b"a", b"bc"]
    with pytest.raises(FileTooLarge):
        list(_parts([b"a", b"bc", b"d"]))


@pytest.mark.parametrize("number", ["../1", "", "1/2", "x"])
def test_names_are_numbers(number):
    with pytest.raises(ValueError, match="no restore's number"):
        object_name(number)
