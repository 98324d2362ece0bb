"""Rows, a real PostgreSQL that archives, and a real S3: nothing between them is replaced."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from harness.cell import BUCKET, CIPHER_PASS, Cell
from harness.s3_server import REGION, S3Server
from odoo import fields
from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.tests import tagged
from stack.settings import Settings

FUNCTIONS = "pg_create_restore_point(text), pg_switch_wal()"
POLL = 0.05  # seconds; the worker's own is 0.15 at most
TIMEOUT = 60


@tagged("post_install", "-at_install")
class TestWithAServer(TenantCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = Path(tempfile.mkdtemp(prefix="loomworks-cell-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        settings = Settings.from_environment()
        s3 = S3Server(settings, folder / "s3")
        cls.addClassCleanup(s3.stop)
        s3.start()
        cls.cell = Cell(settings, folder / "cell", s3)
        cls.addClassCleanup(cls.cell.stop)
        cls.cell.make()
        cls.cell.ask("CREATE ROLE loomworks_provisioner LOGIN")
        cls.cell.ask(f"GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO loomworks_provisioner")
        secrets = {
            "CELL_PASSWORD": "trusted",
            "CELL_KEY": s3.key,
            "CELL_SECRET": s3.key_secret,
            "CELL_PASS": CIPHER_PASS,
        }
        environment = patch.dict(os.environ, secrets)
        environment.start()
        cls.addClassCleanup(environment.stop)
        cls.server.write(
            {
                "host": "127.0.0.1",
                "port": cls.cell.port,
                "sslmode": "disable",
                "password_reference": "env:CELL_PASSWORD",
                "repository_endpoint": s3.endpoint,
                "repository_bucket": BUCKET,
                "repository_region": REGION,
                "repository_ca_file": str(s3.ca_file),
                "repository_key_reference": "env:CELL_KEY",
                "repository_key_secret_reference": "env:CELL_SECRET",
                "repository_cipher_pass_reference": "env:CELL_PASS",
            }
        )
        cls.server.capacity = 1000
        cls.tenant = cls.make_active()

    def work_until(self, condition):
        """Do what the worker does, over and over."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            for row in self.env["loomworks.snapshot"].sudo()._due_rows(64):
                while row._reconcile_step() == 0:
                    pass
            time.sleep(POLL)

    def request(self, count=1):
        tenants = self.tenant.browse().concat(*[self.tenant] * count)
        return self.env["loomworks.snapshot"]._request(tenants, "manual").sudo()

    def test_snapshots_are_ready_in_time_and_what_breaks_them_is_seen(self):
        early = self.request()
        self.work_until(lambda: early.error_code == "no_base_backup")
        self.cell.backup()
        early.reconcile_at = fields.Datetime.now()
        self.work_until(lambda: early.state == "ready")
        self.assertTrue(
            self.cell.ask("SELECT %s = pg_walfile_name(%s::pg_lsn)", parameters=[early.wal_file, early.wal_position])
        )
        one = self.request()
        self.work_until(lambda: one.state == "ready")
        self.assertLess(one.ready_seconds, 5)
        many = self.request(500)
        self.work_until(lambda: set(many.mapped("state")) == {"ready"})
        self.assertLess(max(many.mapped("ready_seconds")), 30)
        self.assertEqual(len(set(many.mapped("wal_file"))), 1)
        self.lose(one.wal_file)
        self.env["loomworks.snapshot"]._cron_verify()
        self.work_until(lambda: one.state == "failed")
        self.assertEqual((early.state, set(many.mapped("state"))), ("ready", {"failed"}))
        self.assertIn(one.wal_file, one.error_message)

    def lose(self, segment):
        store, client = self.server._repository_store(), self.cell.s3.client()
        [name] = [item.name for item in store.list("archive") if segment in item.name]
        client.delete_object(Bucket=BUCKET, Key=store.location.object_key(name))
