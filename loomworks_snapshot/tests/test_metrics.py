import os
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.tests import HttpCase, tagged

from .looks import info_of, look, work

PARAMETER = "loomworks.metrics_token_reference"
URL = "/loomworks/metrics"
TOLERANCE = 60  # seconds that a test may take


@tagged("post_install", "-at_install")
class TestMetrics(HttpCase, TenantCase):
    def setUp(self):
        super().setUp()
        self.startPatcher(patch.dict(os.environ, {"METRICS_TOKEN": "s3cret"}))
        self.env["ir.config_parameter"].set_param(PARAMETER, "env:METRICS_TOKEN")

    def read(self, token="s3cret"):
        return self.url_open(URL, headers={"Authorization": f"Bearer {token}"})

    def test_page_is_not_there_until_a_token_is_named(self):
        self.env["ir.config_parameter"].set_param(PARAMETER, False)
        self.assertEqual(self.read().status_code, 404)

    def test_page_is_not_there_while_the_token_cannot_be_read(self):
        self.env["ir.config_parameter"].set_param(PARAMETER, "file:/nowhere")
        self.assertEqual(self.read("").status_code, 404)

    def test_wrong_token_is_refused(self):
        for token in ("", "other", "s3cret2", "ü"):
            self.assertEqual(self.read(token.encode().decode("latin-1")).status_code, 401)
        self.assertEqual(self.url_open(URL).status_code, 401)

    def test_figures_of_each_server(self):
        server = self.make_server('d"b')
        server._record_look(look(info_of(), work=(work(kind="verify", code=1),)), server._to_order())
        answer = self.read()
        self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        for line in (
            r'loomworks_archive_lag_seconds{server="d\"b"} 12',
            r'loomworks_archive_waiting_bytes{server="d\"b"} 33554432',
            r'loomworks_archive_failed_total{server="d\"b"} 3',
            r'loomworks_repository_bytes{server="d\"b",part="archive"} 9000000',
            r'loomworks_repository_work_failures{server="d\"b",kind="verify"} 1',
            r'loomworks_repository_problem{server="d\"b"} 1',
            "# TYPE loomworks_archive_failed_total counter",
        ):
            self.assertIn(line, answer.text.splitlines())
        self.assertNotIn('loomworks_archive_lag_seconds{server="db1"}', answer.text)

    def figures(self, server):
        """Return what the page says of a server in figures without other labels, by name without the prefix."""
        label = f'{{server="{server.name}"}} '
        lines = (line for line in self.read().text.splitlines() if label in line)
        return {name.removeprefix("loomworks_"): float(value) for name, _, value in (x.partition(label) for x in lines)}

    def drill(self, tenant, finished_at, **values):
        now = fields.Datetime.now()
        values = {"tenant_id": tenant.id, "purpose": "drill", "moment": now, "finished_at": finished_at, **values}
        target = {"target_kind": "time", "target_value": str(now)}
        return self.env["loomworks.restore"].create({"state": "done", **target, **values})

    def test_age_of_the_last_base_backup(self):
        server, without = self.make_server("db2"), self.make_server("db3")
        server.last_backup_at = fields.Datetime.now() - timedelta(days=2)
        self.assertAlmostEqual(self.figures(server)["last_backup_age_seconds"], 2 * 86400, delta=TOLERANCE)
        self.assertNotIn("last_backup_age_seconds", self.figures(without))

    def test_age_of_the_oldest_proof_of_what_is_said_to_be_restorable(self):
        tenant, now = self.make_active(), fields.Datetime.now()
        self.assertNotIn("snapshot_proof_age_seconds", self.figures(self.server))
        for state, hours in (("ready", 1), ("restoring", 3), ("failed", 5), ("expired", 7), ("creating", 0)):
            values = {"name": state, "state": state, "verified_at": hours and now - timedelta(hours=hours)}
            self.env["loomworks.snapshot"].create({"tenant_id": tenant.id, "server_id": self.server.id, **values})
        found = self.figures(self.server)["snapshot_proof_age_seconds"]
        self.assertAlmostEqual(found, 3 * 3600, delta=TOLERANCE)

    def test_figures_of_the_last_drill_that_went_well(self):
        now, tenant = fields.Datetime.now(), self.make_active()
        self.drill(tenant, now - timedelta(days=2), total_seconds=99, lost_seconds=88)
        self.drill(tenant, now - timedelta(days=1), total_seconds=42.5, lost_seconds=17)
        self.drill(tenant, now, total_seconds=77, lost_seconds=66, state="failed")
        self.drill(tenant, now, total_seconds=55, lost_seconds=44, purpose="in_place")
        found = self.figures(tenant.sudo().server_id)
        self.assertEqual((found["restore_drill_seconds"], found["restore_drill_lost_seconds"]), (42.5, 17))
        self.assertAlmostEqual(found["restore_drill_age_seconds"], 86400, delta=TOLERANCE)

    def test_server_on_which_no_drill_ever_went_well_is_as_old_as_its_first_tenant(self):
        self.assertNotIn("restore_drill_age_seconds", self.figures(self.server))  # there is nothing to restore
        tenant = self.make_active()
        self.make_active("younger")
        self.env.cr.execute(
            "UPDATE loomworks_tenant SET create_date = create_date - interval '4 days' WHERE id = %s", [tenant.id]
        )
        self.drill(tenant, fields.Datetime.now(), total_seconds=77, state="failed")
        found = self.figures(self.server)
        self.assertAlmostEqual(found["restore_drill_age_seconds"], 4 * 86400, delta=TOLERANCE)
        self.assertNotIn("restore_drill_seconds", found)
        self.assertNotIn("restore_drill_lost_seconds", found)
