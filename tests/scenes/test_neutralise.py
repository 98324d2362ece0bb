"""A copy that is for tests reaches nobody outside: the modules' own rules, and the look from outside afterwards."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from agents import Office
from conftest import MODULES, _close_odoo
from harness import engines
from harness.databases import OdooDatabases
from psycopg2.extras import RealDictCursor
from stack.settings import Settings

engines.register()

from addons.loomworks_snapshot.restoring import neutral  # noqa: E402  (only importable once registered)

SCRIPT = Path(__file__).resolve().parents[2] / "infrastructure/docker/odoo/bin/loomworks-neutralise"
UUID = "7f1c0b9e-0000-4000-8000-000000000000"


class Server:
    """The database server boundary, on the test database's own address."""

    def __init__(self, parameters):
        self._parameters = parameters

    @contextlib.contextmanager
    def connect(self, database, owner=None):
        connection = psycopg2.connect(**{**self._parameters, "database": database}, cursor_factory=RealDictCursor)
        try:
            with connection, connection.cursor() as cr:
                yield cr
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server():
    from odoo.sql_db import connection_info_for

    return Server(connection_info_for("postgres")[1])


@pytest.fixture(scope="module")
def made(database):
    """A database of its own: what is done to it is not undone."""
    with OdooDatabases(Settings.from_environment()).cloned_with("loomworks_ai", MODULES, suffix="_copy") as made:
        yield made
        _close_odoo(made.name)


@pytest.fixture(scope="module")
def busy(made):
    """A company that mails, fetches, is paid, calls others and is called."""
    with Office(made.name).person() as env:
        env["ir.mail_server"].create({"name": "own", "smtp_host": "smtp.example.com", "smtp_port": 25})
        env["fetchmail.server"].create({"name": "in", "server": "imap.example.com", "server_type": "imap"}).write(
            {"state": "done", "active": True}
        )
        model = env["ir.model"]._get_id("res.partner")
        hook = {"name": "call", "model_id": model, "state": "webhook", "webhook_url": "https://example.com/hook"}
        env["ir.actions.server"].create(hook)
        env["mail.mail"].create({"subject": "waits", "email_to": "a@example.com", "state": "outgoing"})
        env["sms.sms"].create({"number": "+32470000000", "body": "waits"})
        env.cr.execute(
            "UPDATE payment_provider SET state = 'enabled' WHERE id = (SELECT min(id) FROM payment_provider)"
        )
        # Its file is all that is needed of it here.
        env.cr.execute("UPDATE ir_module_module SET state = 'installed' WHERE name = 'loomworks_client'")
        assert env.cr.rowcount == 1
        env.cr.execute("INSERT INTO res_users_apikeys (name, user_id, index, key) VALUES ('old', 2, '12345678', 'x')")
    return made.name


def said(server, database):
    with server.connect(database) as cr:
        return neutral.live(cr)


def test_everything_that_is_on_is_seen_and_then_switched_off(made, busy, server):
    before = " ".join(said(server, busy))
    for name in (
        "not marked",
        "scheduled action",
        "outgoing mail server",
        "incoming mail server",
        "webhook",
        "payment provider",
        "mail that waits",
        "SMS that waits",
        "API key",
    ):
        assert name in before, name
    with pytest.raises(neutral.NotNeutralised, match="webhook"):
        neutral.finish(server, None, busy, UUID)
    assert not neutral.is_finished(server, None, busy, UUID)

    for _twice in range(2):  # it may be killed after its commit, and run again
        environment = {**os.environ, "ODOO_RC": str(made.configuration)}
        done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    assert [name for name in said(server, busy) if "API key" not in name] == []

    with server.connect(busy) as cr:  # what gives the copy its own identity takes them away
        cr.execute("DELETE FROM res_users_apikeys WHERE name = 'old'")
    neutral.finish(server, None, busy, UUID)
    assert neutral.is_finished(server, None, busy, UUID)
    assert not neutral.is_finished(server, None, busy, "another")
    with server.connect(busy) as cr:
        cr.execute(
            "SELECT active FROM ir_cron c JOIN ir_model_data d ON d.res_id = c.id AND d.model = 'ir.cron'"
            " WHERE d.module = 'loomworks_ai'"
        )
        assert all(row["active"] for row in cr.fetchall())
        cr.execute("SELECT active FROM ir_ui_view WHERE key = 'web.neutralize_banner'")
        assert cr.fetchone()["active"]
