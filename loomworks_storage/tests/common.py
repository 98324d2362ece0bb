"""Tenants whose cluster has a place for files, and Jobs that end as a test says."""

import socket
from contextlib import contextmanager
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_tenant.reconciler.step import Boundaries
from odoo.addons.loomworks_tenant.tests.common import TenantCase

from ..files import flow, keys
from ..filestore.key import Key
from ..models import files_work

PLACE = {
    "files_endpoint": "s3.example",
    "files_bucket": "files",
    "files_region": "region",
    "files_key_reference": "env:FILES_KEY",
    "files_key_secret_reference": "env:FILES_SECRET",
}
REPORT = {"files": 7, "bytes": 70, "uploaded": 3, "uploaded_bytes": 30, "damaged": {}, "mendable": {}, "whole": True}


@contextmanager
def silent_store():
    """Offer the address of a store that accepts and never answers, and what counts how often it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield f"http://127.0.0.1:{server.getsockname()[1]}", lambda: _accepted(server)


def _accepted(server):
    count = 0
    while True:
        try:
            connection, _address = server.accept()
        except BlockingIOError:
            return count
        connection.close()
        count += 1


class Server:
    """A database server whose databases name files, or none."""

    def __init__(self, case):
        self._case = case

    def connect(self, database=None, owner=None):
        """Be the connection as well."""
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def execute(self, query):
        """Take any query."""

    def fetchone(self):
        """Return a row when there are files."""
        return (1,) if self._case.has_files else None


class FilesCase(TenantCase):
    """An active tenant with an administrator; Jobs and keys are known by what was asked of them."""

    def setUp(self):
        super().setUp()
        self.cluster.write(PLACE)
        self.progress, self.works, self.events = flow.Progress("files", 0.5), [], []
        self.has_files = True
        tenants = type(self.env["loomworks.tenant"])
        for target, name, value in (
            (flow, "advance", self._advance),
            (flow, "clean_up", self._noting("clean_up")),
            (keys, "ensure", self._noting("ensure")),
            (keys, "read", self._noting("read")),
            (files_work, "owner", lambda world, spec: None),
            (tenants, "_world", lambda tenant, spec: Boundaries(None, Server(self), None)),
        ):
            patcher = patch.object(target, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.tenant = self.make_active(admin_ids=[(6, 0, self.customer.ids)])

    def _advance(self, work, key, world):
        self.works.append(work)
        if isinstance(self.progress, Exception):
            raise self.progress
        return self.progress

    def _noting(self, kind):
        def note(*args):
            self.events.append(kind)
            return Key(bytes(32))

        return note

    def ask(self, user=None):
        return self.env["loomworks.files.backup"].browse(
            self.tenant.with_user(user or self.customer).action_back_up_files()
        )

    def step(self, backup):
        backup.sudo().reconcile_at = fields.Datetime.now()
        return backup.sudo()._reconcile_step()

    def finish(self, backup, **report):
        """Bring a backup to its end."""
        self.progress = flow.Progress("done", 1.0, {**REPORT, **report})
        for _step in range(3):
            self.step(backup)
        return backup

    def a_backup(self, began_at, **values):
        """Return a backup that is done, and began at this moment."""
        rows = self.env["loomworks.files.backup"].sudo()
        name = f"m{rows.search_count([])}"
        return rows.create(
            {"tenant_id": self.tenant.id, "state": "done", "manifest": name, "began_at": began_at, **values}
        )

    @property
    def alarms(self):
        alarm = self.env.ref("loomworks_storage.activity_files")
        return self.tenant.sudo().activity_ids.filtered(lambda one: one.activity_type_id == alarm)
