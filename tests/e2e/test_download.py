"""A tenant as a file for its customer, on the running stack: asked for, downloaded by its link, loaded elsewhere."""

import base64
import hashlib
import io
import json
import os
import subprocess
import time
import zipfile
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests
from conftest import Refused, business, names
from harness.cell import PATHS
from psycopg2 import sql
from stack import postgres_root
from stack.settings import Settings
from test_killed_control_plane import kill, wait_back
from test_restore import wait_for

RESTORE = "loomworks.restore"
SAME = (
    "res_partner",
    "res_company",
    "ir_attachment",
    "ir_sequence",
    "ir_model_data",
)  # nothing of the platform in them
CONTENT = os.urandom(2_500_000)
ENDED = ("done", "failed", "cancelled", "expired")


@pytest.fixture
def file_of(call):
    """Have a file made, and return its restore's row once it has ended."""

    def make(model, number, **values):
        restore = call(model, "action_export", ids=[number], **values)
        fields = ["state", "stage", "error_message", "files_manifest", "missing_files", "file_size", "file_sha256"]

        def row():
            return call(RESTORE, "read", ids=[restore], fields=[*fields, "expires_at", "report_text"])[0]

        wait_for(lambda: row()["state"] in ENDED, otherwise=row)
        assert row()["state"] == "done", row()
        return row()

    return make


def download(call, stack, restore):
    """Follow a new link; return the answer, its content included, and the link's path."""
    path = urlsplit(call(RESTORE, "action_download_link", ids=[restore])["url"]).path
    return requests.get(f"{stack['LOOMWORKS_URL']}{path}", timeout=60), path


@contextmanager
def loaded(server, dump):
    """Offer the name of a new database with what ``psql``, as Odoo calls it, makes of ``dump``."""
    name = f"e2e_download_{os.getpid()}"
    server.drop_database(name)
    with server.connect(autocommit=True) as cr:
        cr.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 STRATEGY wal_log").format(sql.Identifier(name)))
        parameters = cr.connection.get_dsn_parameters()
    try:
        address = {
            "PGHOST": parameters["host"],
            "PGPORT": parameters["port"],
            "PGUSER": parameters["user"],
            "PGPASSWORD": os.environ["LOOMWORKS_E2E_PROVISIONER"],
            "PGSSLMODE": "require",
            "PATH": PATHS,
        }
        settings = Settings.from_environment()
        argv = postgres_root.inside(
            settings, ["psql", "-q", "-v", "ON_ERROR_STOP=1", f"--dbname={name}", "-f", "-"], {}
        )
        done = subprocess.run(argv, input=dump, env={**os.environ, **address}, capture_output=True, check=False)
        assert not done.returncode, done.stderr.decode()[-2000:]
        yield name
    finally:
        server.drop_database(name)


def one_value(server, database, query):
    with server.connect(database) as cr:
        cr.execute(query)
        return next(iter((cr.fetchone() or {None: None}).values()))


def test_file_of_now_holds_everything_of_the_customer_and_nothing_of_ours(
    make_tenant, call, stack, server, administrator, file_of, secret
):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    partner = work("res.partner", "create", [{"name": "Ours to keep"}])[0]
    data = {"name": "plan.bin", "datas": base64.b64encode(CONTENT).decode(), "res_model": "res.partner"}
    work("ir.attachment", "create", [{**data, "res_id": partner}])
    before = business(server, tenant.database)

    began = time.monotonic()
    row = file_of("loomworks.tenant", tenant.id)
    print(f"a file of {row['file_size'] / 2**20:.1f} MiB was made in {time.monotonic() - began:.1f} s")
    print(row["report_text"])
    assert (row["missing_files"], bool(row["files_manifest"])) == (0, True)
    work("res.partner", "write", [partner], {"name": "later"})

    answer, path = download(call, stack, row["id"])
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert f"{tenant.subdomain}_" in answer.headers["Content-Disposition"]
    assert hashlib.sha256(answer.content).hexdigest() == row["file_sha256"]
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    digest = hashlib.sha1(CONTENT).hexdigest()
    assert archive.read(f"filestore/{digest[:2]}/{digest}") == CONTENT
    assert json.loads(archive.read("manifest.json"))["major_version"] == "19.0"

    dump = archive.read("dump.sql")
    assert secret(tenant.namespace, names.SERVICE_KEY_SECRET, "api-key").encode() not in dump
    living = one_value(server, tenant.database, "SELECT value FROM ir_config_parameter WHERE key = 'database.secret'")
    assert living.encode() not in dump
    with loaded(server, dump) as copy:
        found = business(server, copy)
        assert {table: found[table] for table in SAME} == {table: before[table] for table in SAME}
        keys = "SELECT count(*) AS count FROM res_users_apikeys"
        assert (one_value(server, tenant.database, keys), one_value(server, copy, keys)) == (1, 0)

    assert requests.get(f"{stack['LOOMWORKS_URL']}{path[:-3]}xyz", timeout=60).status_code == 404
    call(RESTORE, "action_delete_file", ids=[row["id"]])
    assert requests.get(f"{stack['LOOMWORKS_URL']}{path}", timeout=60).status_code == 410
    wait_for(lambda: not call(RESTORE, "read", ids=[row["id"]], fields=["reconcile_at"])[0]["reconcile_at"])
    with pytest.raises(Refused, match="There is no file"):
        call(RESTORE, "action_download_link", ids=[row["id"]])
    domain = [["record_id", "=", tenant.id], ["model_name", "=", "loomworks.tenant"]]
    audited = {one["action"] for one in call("loomworks.audit", "search_read", domain=domain, fields=["action"])}
    assert audited >= {"export", "export_done", "export_link", "export_download", "export_delete"}


@pytest.mark.alone
def test_file_is_finished_by_the_next_control_plane(make_tenant, call, stack, kube, server, administrator):
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    data = {"name": "plan.bin", "datas": base64.b64encode(CONTENT).decode()}
    work("ir.attachment", "create", [data])
    before = business(server, tenant.database)
    restore = tenant.act("action_export")

    def row():
        return call(RESTORE, "read", ids=[restore], fields=["state", "error_message", "file_sha256"])[0]

    wait_for(lambda: row()["state"] == "restoring", otherwise=row)
    kill(kube, stack)
    wait_back(stack)
    wait_for(lambda: row()["state"] in ENDED, otherwise=row)
    assert row()["state"] == "done", row()
    answer, _path = download(call, stack, restore)
    assert hashlib.sha256(answer.content).hexdigest() == row()["file_sha256"]
    with loaded(server, zipfile.ZipFile(io.BytesIO(answer.content)).read("dump.sql")) as copy:
        found = business(server, copy)
        assert {table: found[table] for table in SAME} == {table: before[table] for table in SAME}
