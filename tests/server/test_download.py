"""A tenant's file in somebody else's Odoo, which knows nothing of this platform: it restores it, and users work on."""

import base64
import dataclasses
import hashlib
import io
import os
import subprocess
import sys
from uuid import uuid4

import psycopg2
import pytest
from harness import engines
from harness.cell import PATHS, a_cell
from odoo_server import OdooServer, TenantRole

engines.register()

from addons.loomworks_snapshot.export.export import Export  # noqa: E402  (only importable once registered)
from addons.loomworks_snapshot.export.place import ExportLocation, object_name  # noqa: E402
from addons.loomworks_snapshot.export.sealed import Sealed  # noqa: E402
from addons.loomworks_snapshot.pitr.programs import Programs  # noqa: E402
from addons.loomworks_snapshot.pitr.request import Request  # noqa: E402
from addons.loomworks_storage.filestore.key import Key  # noqa: E402
from addons.loomworks_storage.filestore.location import Location  # noqa: E402
from addons.loomworks_storage.filestore.store import Store  # noqa: E402
from addons.loomworks_storage.filestore.vault import Vault  # noqa: E402
from harness.restoring import a_restore, named  # noqa: E402

MODULES = ("base", "web", "mail", "loomworks_client", "loomworks_ai")
BUCKET = "loomworks-filestores"
CONTENT = os.urandom(300_000)
SERVICE_KEY = "INSERT INTO res_users_apikeys (name, user_id, scope, index, key) SELECT 'x', id, 'rpc', '12345678', %s"

# The file goes in by standard input: below the other root it would have another name.
PSQL = """#!{python}
import os, subprocess, sys
from stack import postgres_root
from stack.settings import Settings
*argv, option, dump = sys.argv[1:]
assert option == "-f"
os.environ["PATH"] = "{paths}"
command = postgres_root.inside(Settings.from_environment(), ["psql", *argv, "-f", "-"], {{}})
with open(dump, "rb") as stream, open("{said}", "wb") as said:
    sys.exit(subprocess.run(command, stdin=stream, stdout=subprocess.DEVNULL, stderr=said).returncode)
"""


@pytest.fixture(scope="module")
def cell():
    with a_cell() as one:
        yield one


def address(cell):
    """Return where the superuser comes in."""
    return f"postgresql://postgres@127.0.0.1:{cell.port}/postgres"


@pytest.fixture(scope="module")
def tenant(cell, tmp_path_factory):
    """A tenant's Odoo in which somebody has worked, and an agent has; stopped."""
    role = TenantRole(address(cell), "t_tenant")
    role.create()
    server = OdooServer(role, tmp_path_factory.mktemp("tenant"), address(cell))
    server.install(*MODULES)
    cell.backup()
    server.start()
    server.login("admin", "admin", role.name)
    partner = server.call("res.partner", "create", [{"name": "Made in the tenant"}])
    values = {"name": "notes.bin", "datas": base64.b64encode(CONTENT).decode(), "res_model": "res.partner"}
    server.call("ir.attachment", "create", [{**values, "res_id": partner[0]}])
    server.call("res.users", "write", [2], {"login": "boss@customer.example"})
    cell.ask(f"{SERVICE_KEY} FROM res_users WHERE login = 'loomworks-service'", role.name, ["the platforms key"])
    cell.ask("UPDATE ir_config_parameter SET value = 'the living secret' WHERE key = 'database.secret'", role.name)
    server.stop()
    return role, server


@pytest.fixture(scope="module")
def archive(cell, tenant, tmp_path_factory):
    """The tenant's file, made as a Job makes it."""
    role, server = tenant
    account = {"key": cell.s3.key, "key_secret": cell.s3.key_secret, "ca_file": str(cell.s3.ca_file)}
    cell.s3.client().create_bucket(Bucket=BUCKET)
    location, key = Location(str(uuid4()), cell.s3.endpoint, BUCKET, "us-east-1", **account), Key.generate()
    vault = Vault(Store(location), key)
    for path in (server.data / "filestore" / role.name).glob("??/*"):
        content = path.read_bytes()
        vault.put(hashlib.sha1(content).hexdigest(), io.BytesIO(content), len(content))
    sealed = Sealed(Store(ExportLocation.beside(location)), key, object_name(1))
    export = Export(Programs(lambda argv: cell.command(*argv), PATHS), vault, sealed, lambda *_: None)
    request = Request(role.name, named(cell, "handed over"), download=f"{location.tenant}/1")

    def deliver(scratch, stage):
        return dataclasses.asdict(export.deliver(scratch, role.name, stage))

    report = a_restore(cell, request).hand_over(deliver).export
    assert report["missing"] == {}
    path = tmp_path_factory.mktemp("download") / "tenant.zip"
    path.write_bytes(b"".join(sealed.read(report["size"])))
    return path


@pytest.fixture(scope="module")
def elsewhere(cell, archive, tmp_path_factory):
    """An Odoo without any of our addons, into which its own ``odoo db load`` has brought the file."""
    role = TenantRole(address(cell), "elsewhere")
    role.create()
    role.allow_databases()
    folder = tmp_path_factory.mktemp("elsewhere")
    database = f"{role.name}_loaded"
    options = {"db_name": database, "addons_path": "", "server_wide_modules": "base,web"}
    server = OdooServer(role, folder, address(cell), **options)
    environment = {**os.environ, "PATH": f"{psql_in(folder)}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", "from odoo.cli import main; main()", "db", "-c", str(server.configuration)]
    done = subprocess.run([*command, "load", database, str(archive)], env=environment, capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()[-3000:]
    assert (folder / "psql.log").read_text() == ""  # Odoo does not look
    server.start()
    yield role, server, database
    server.stop()


def psql_in(folder):
    """Return a folder with a ``psql``: this machine has PostgreSQL's programs only below a root of their own."""
    path = folder / "bin"
    path.mkdir()
    script = path / "psql"
    script.write_text(PSQL.format(python=sys.executable, paths=PATHS, said=folder / "psql.log"))
    script.chmod(0o755)
    return path


def test_users_and_data_and_files_are_there(elsewhere, tenant):
    _role, server, database = elsewhere
    server.login("boss@customer.example", "admin", database)
    [partner] = server.call("res.partner", "search_read", [["name", "=", "Made in the tenant"]], ["id"])
    [found] = server.call("ir.attachment", "search_read", [["res_id", "=", partner["id"]]], ["datas"])
    assert base64.b64decode(found["datas"]) == CONTENT
    server.call("res.partner", "write", [partner["id"]], {"name": "Changed elsewhere"})


def test_its_pages_and_forms_work_without_our_modules(elsewhere):
    _role, server, database = elsewhere
    server.login("boss@customer.example", "admin", database)
    assert b"odoo" in server.get("/odoo")
    _model, form = server.call("ir.model.data", "check_object_reference", "base", "view_users_form")
    for model, view in (("res.users", form), ("res.partner", False), ("ir.cron", False)):
        views = server.call(model, "get_views", [[view, "form"], [False, "list"]])["views"]
        assert "ai_agent" not in str(views)
    names = server.call("ir.module.module", "search", [["state", "=", "installed"], ["name", "like", "loomworks"]])
    assert names == []
    assert [line for line in server.errors() if "loomworks" in line] == []


def test_what_is_the_platforms_has_stayed_there(elsewhere, archive):
    role, _server, database = elsewhere
    with psycopg2.connect(role.url(database)) as connection, connection.cursor() as cr:
        cr.execute("SELECT count(*) FROM res_users_apikeys")
        assert cr.fetchone() == (0,)
        cr.execute("SELECT key, value FROM ir_config_parameter")
        parameters = dict(cr.fetchall())
        cr.execute("SELECT active FROM res_users WHERE login = 'loomworks-service'")
        assert cr.fetchone() == (False,)
    assert parameters["database.secret"] != "the living secret"
    assert not [key for key in parameters if key.startswith("loomworks.")]
