import os
from unittest.mock import patch

from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.tests import HttpCase, tagged

from .looks import info_of, look, work

PARAMETER = "loomworks.metrics_token_reference"
URL = "/loomworks/metrics"


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
