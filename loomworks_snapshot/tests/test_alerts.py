"""The alerts, on figures of rows: none where all is well, and each where what it is for is so."""

import operator
import re
from datetime import timedelta
from pathlib import Path
from unittest import skipUnless

import yaml
from odoo import fields
from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.tests import tagged

from .looks import info_of, look

ALERTS = Path(__file__).resolve().parents[2] / "infrastructure" / "monitoring" / "alerts.yaml"
COMPARISON = re.compile(r"(\w+)(?:\{(\w+)(=~?)\"([^\"]+)\"\})? (>|>=|==) ([\d* ]+)")
OPERATORS = {">": operator.gt, ">=": operator.ge, "==": operator.eq}
# Of more than one moment, or of nothing: infrastructure/monitoring/alerts_test.yaml has series for these.
IN_TIME = {"LoomworksArchiveFails", "LoomworksRepositoryGrows", "LoomworksMetricsAreAbsent"}
NAMES = re.compile(r"\bloomworks_\w+")


@skipUnless(ALERTS.exists(), "alerts are the repository's, not the addon's")
@tagged("post_install", "-at_install")
class TestAlerts(TenantCase):
    def setUp(self):
        super().setUp()
        self.env["loomworks.cluster"].search([("id", "!=", self.cluster.id)]).active = False
        self.rules = {
            rule["alert"]: rule["expr"]
            for group in yaml.safe_load(ALERTS.read_text())["groups"]
            for rule in group["rules"]
        }
        self.tenant = self.make_active().sudo()
        self.server._record_look(look(info_of()), self.server._to_order())
        now = fields.Datetime.now()
        fine = {"archive_lag_seconds": 1, "backup_state": "fit", "work_failures": {}}
        self.server.write({**fine, "backup_checked_at": now, "last_backup_at": now})
        self.cluster.write({"volumes_read_at": now, "bucket_state": "good"})
        self.backup = self.env["loomworks.files.backup"].create(
            {"tenant_id": self.tenant.id, "state": "done", "began_at": now, "manifest": "m"}
        )
        other = {"plan_id": self.plan.id, "cluster_id": self.cluster.id, "name": "old", "subdomain": "old"}
        self.imported = self.env["loomworks.import"].sudo().create({**other, "source": "old.zip", "state": "done"})
        proven = {"server_id": self.server.id, "name": "s", "state": "ready", "verified_at": now}
        self.snapshot = self.env["loomworks.snapshot"].create({"tenant_id": self.tenant.id, **proven})
        self.server.forget_days = 100
        self.gone = self.make_active("gone").sudo()
        self.volume = self.env["loomworks.volume"].create(
            {"tenant_id": self.tenant.id, "phase": "Bound", "growth": "none"}
        )

    def firing(self):
        """Return the names of the alerts that fire for what the metrics page says now."""
        self.env.flush_all()
        self.env.invalidate_all()
        told = {one.name: one.samples for one in self.env["loomworks.database.server"].sudo()._metrics()}
        compared = {name: expr for name, expr in self.rules.items() if name not in IN_TIME}
        return {name for name, expr in compared.items() if any(self.holds(one, told) for one in expr.split(" or "))}

    def holds(self, comparison, told):
        name, label, how, wanted, sign, number = COMPARISON.fullmatch(comparison).groups()
        limit = 1
        for factor in number.split("*"):
            limit *= int(factor)
        found = [value for labels, value in told[name] if not label or self.matches(labels[label], how, wanted)]
        return any(OPERATORS[sign](value, limit) for value in found)

    def matches(self, value, how, wanted):
        return re.fullmatch(wanted, value) if how == "=~" else value == wanted

    def ago(self, **span):
        return fields.Datetime.now() - timedelta(**span)

    def failures(self, kind, count):
        return {"work_failures": {kind: count}}

    def test_all_that_alerts_name_is_told(self):
        told = {one.name for one in self.env["loomworks.database.server"].sudo()._metrics()}
        named = {name for expr in self.rules.values() for name in NAMES.findall(expr)}
        self.assertEqual(named - told, set())

    def test_none_fires_while_all_is_well(self):
        self.assertEqual(self.firing(), set())

    def test_each_fires_for_what_it_is_for(self):
        cases = (
            ("LoomworksArchiveLags", self.server, {"archive_lag_seconds": 601}),
            ("LoomworksBackupIsOld", self.server, {"last_backup_at": self.ago(days=2, minutes=1)}),
            ("LoomworksBackupFails", self.server, self.failures("incr", 3)),
            ("LoomworksRepositoryIsDamaged", self.server, self.failures("verify", 1)),
            ("LoomworksExpiryFails", self.server, self.failures("expire", 3)),
            ("LoomworksRepositoryHasAProblem", self.server, {"backup_state": "problem"}),
            ("LoomworksServerCannotBeAsked", self.server, {"backup_checked_at": self.ago(minutes=16)}),
            ("LoomworksSnapshotsAreNotProven", self.snapshot, {"verified_at": self.ago(hours=6, minutes=1)}),
            ("LoomworksFilesAreNotBackedUp", self.backup, {"began_at": self.ago(days=3)}),
            ("LoomworksFilesAreDamaged", self.backup, {"lost": 1}),
            ("LoomworksFilesAreNotChecked", self.backup, {"finished_at": self.ago(days=4)}),
            ("LoomworksVolumesAreNearlyFull", self.volume, {"warning": "90"}),
            ("LoomworksVolumesDoNotGrow", self.volume, {"growth": "infeasible"}),
            ("LoomworksVolumesAreNotBound", self.volume, {"phase": "Pending"}),
            ("LoomworksVolumesAreNotLookedAt", self.cluster, {"volumes_read_at": self.ago(minutes=31)}),
            ("LoomworksImportsFail", self.imported, {"state": "failed"}),
            ("LoomworksErasedIsNotForgotten", self.gone, {"erased_at": self.ago(days=101)}),
            ("LoomworksBucketIsSetWrong", self.cluster, {"bucket_state": "wrong"}),
        )
        self.assertEqual({case[0] for case in cases}, self.rules.keys() - IN_TIME - {"LoomworksRestoreDrillIsOld"})
        for alert, row, values in cases:
            with self.subTest(alert):
                before = {name: row[name] for name in values}
                row.write(values)
                self.assertEqual(self.firing(), {alert})
                row.write(before)
        older = "UPDATE loomworks_tenant SET create_date = create_date - interval '4 days' WHERE id = %s"
        self.env.cr.execute(older, [self.tenant.id])
        self.assertEqual(self.firing(), {"LoomworksRestoreDrillIsOld"})
