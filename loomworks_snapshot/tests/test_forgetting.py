"""What was erased is gone from a server's backups, too: promised, kept, and told."""

from datetime import timedelta

import psycopg2
from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from ..backup import metrics
from ..models.base_backup import moment
from .common import SnapshotCase
from .looks import NOW, info_of, look


@tagged("post_install", "-at_install")
class TestForgetting(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.now = fields.Datetime.now()
        self.patch(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **options: 1.0)
        self.server.write({"window_days": 5, "full_every_days": 3})

    def base(self, days):
        """Add a base backup that began so many days ago."""
        values = {"server_id": self.server.id, "backup_type": "full", "state": "done", "label": f"made {days} days ago"}
        return self.env["loomworks.base.backup"].create({**values, "started_at": self.now - timedelta(days=days)})

    def erased(self, days):
        tenant = self.make_active(subdomain="erased")
        tenant.sudo().write({"state": "archived", "erased_at": self.now - timedelta(days=days)})
        return tenant

    def test_promise_that_cannot_be_kept_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "before 10 days"):
            self.server.forget_days = 9
        self.server.forget_days = 10
        with self.assertRaisesRegex(ValidationError, "before 11 days"):
            self.server.full_every_days = 4

    def test_snapshots_are_kept_for_no_longer_than_the_promise_allows(self):
        old, young = self.take_ready(), self.take_ready()
        old.created_at = self.now - timedelta(days=6)
        young.created_at = self.now - timedelta(days=4)
        self.snapshots._cron_expire()
        self.assertEqual((old | young).mapped("state"), ["ready", "ready"])
        self.server.forget_days = 10
        self.snapshots._cron_expire()
        self.assertEqual((old.state, young.state), ("expired", "ready"))
        self.assertLessEqual(self.take().expires_at, self.now + timedelta(days=5, minutes=1))

    def test_nothing_is_kept_forever_where_the_server_forgets(self):
        kept = self.take_ready()
        kept.with_user(self.operator).action_keep()
        with self.assertRaisesRegex(ValidationError, kept.name):
            self.server.forget_days = 10
        kept.with_user(self.operator).action_unkeep()
        self.server.forget_days = 10
        with self.assertRaisesRegex(UserError, "gone after 10 days"):
            kept.with_user(self.operator).action_keep()
        self.assertFalse(kept.kept_forever)

    def test_it_is_noted_when_the_last_backup_of_the_time_is_gone(self):
        tenant = self.erased(4)
        old, _new = self.base(6), self.base(2)
        self.server._note_forgotten()
        self.assertFalse(tenant.forgotten_at)
        old.state = "expired"
        self.server._note_forgotten()
        self.assertTrue(tenant.forgotten_at)
        self.assertEqual(self.audited(tenant)[-1:], ["forgotten"])

    def test_look_at_the_repository_notes_it(self):
        tenant = self.erased(0)
        tenant.sudo().erased_at = moment(NOW - 7200)
        self.server._record_look(look(info_of()), self.server._to_order())
        self.assertTrue(tenant.forgotten_at)

    def test_without_any_backup_nobody_says_that_it_is_gone(self):
        tenant = self.erased(4)
        self.server._note_forgotten()
        self.assertFalse(tenant.forgotten_at)

    def test_customer_is_told_by_when(self):
        tenant = self.erased(1)
        self.assertEqual((tenant.forget_by - tenant.erased_at).days, 10)
        self.assertFalse(tenant.forget_promised)
        self.server.forget_days = 30
        self.assertEqual((tenant.forget_by - tenant.erased_at).days, 30)
        self.assertTrue(tenant.forget_promised)

    def tables_with(self, text):
        """Return the tables of which a row has the text, in whatever column."""
        self.env.flush_all()
        self.env.cr.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = set()
        for (table,) in self.env.cr.fetchall():
            query = SQL("SELECT 1 FROM %s one WHERE one::text ILIKE %s LIMIT 1", SQL.identifier(table), f"%{text}%")
            if self.env.execute_query(query):
                found.add(table)
        return found

    def much_written_about(self):
        """Return a tenant that has been erased, with rows of all kinds about it."""
        tenant = self.make_active(name="Quixotic Ltd", subdomain="quixotic", admin_ids=[(6, 0, self.customer.ids)])
        snapshot = self.take_ready(tenant)
        self.take(tenant, name="before Quixotic's move")
        self.env["loomworks.restore"]._request(tenant, {**snapshot._restore_values(), "purpose": "drill"})
        tenant.action_suspend("Quixotic has not paid")
        tenant.message_post(body="Quixotic called")
        tenant._raise_alarm("loomworks_snapshot.activity_snapshot_failed", "Quixotic cannot be restored")
        values = {"tenant_id": tenant.id, "configuration": {"tenant": {"name": "Quixotic"}}, "state": "done"}
        self.env["loomworks.reset"].sudo().create(values)
        brought = {"name": "Quixotic Ltd", "subdomain": "quixotic", "source": "quixotic.zip", "tenant_id": tenant.id}
        brought |= {"plan_id": tenant.plan_id.id, "cluster_id": self.cluster.id, "state": "done"}
        self.env["loomworks.import"].sudo().create(brought)
        mirrored = {"user_id": self.env.uid, "tenant_id": tenant.id, "state": "done", "agent_name": "bot@quixotic"}
        self.env["loomworks.ai.operation.log"].sudo().create({**mirrored, "operation_type": "write"})
        tenant.sudo().write({"state": "archived", "erased_at": self.now - timedelta(days=9)})
        return tenant

    def copy_of(self, tenant):
        """Return a tenant that lives on, and that a restore of this one has filled."""
        copy = self.make_active(name="Heir", subdomain="heir")
        moment = {"tenant_id": tenant.id, "purpose": "copy", "copy_id": copy.id, "state": "done", "moment": self.now}
        moment |= {"server_id": self.server.id, "target_kind": "lsn", "target_value": "0/1"}
        restore = self.env["loomworks.restore"].sudo().create({**moment, "error_message": "of Quixotic"})
        copy.sudo().write({"origin_id": tenant.id, "copied_moment": self.now, "copied_by_id": restore.id})
        return copy

    def test_who_it_was_is_forgotten_once_no_backup_holds_the_data(self):
        own = {"module": "loomworks_tenant", "name": "own_server", "model": self.server._name, "res_id": self.server.id}
        self.env["ir.model.data"].search([("module", "=", own["module"]), ("name", "=", own["name"])]).unlink()
        self.env["ir.model.data"].create(own)
        tenant = self.much_written_about()
        copy = self.copy_of(tenant)
        before = self.tables_with("quixotic")
        self.assertGreaterEqual(len(before), 8, before)
        entries = self.env["loomworks.audit"].search([("tenant_id", "=", tenant.id)])
        actions = entries.mapped("action")
        tenants = self.env["loomworks.tenant"]
        tenants._cron_forget_names()
        self.assertEqual(tenant.name, "Quixotic Ltd", "backups hold its data yet")
        tenant.sudo().forgotten_at = self.now
        tenants._cron_forget_names()
        self.assertEqual(self.tables_with("quixotic"), set())
        self.assertEqual(tenant.name, f"Erased tenant {tenant.uuid[:8]}")
        self.assertTrue(tenant.names_forgotten_at)
        self.assertEqual((copy.origin_id, copy.copied_by_id.copy_id), (tenant, copy), "it stays what it is")
        self.assertEqual(tenant.name_forget_by - tenant.names_forgotten_at, timedelta(days=10))
        entries.invalidate_recordset()
        self.assertEqual(entries.mapped("action"), actions, "who did what stays")
        self.assertIn("suspend", actions)
        self.assertEqual(set(entries.mapped("record_name")), {tenant.name})

    def test_files_in_s3_keep_the_name_until_they_are_gone(self):
        tenant = self.erased(9)
        tenant.sudo().forgotten_at = self.now
        row = {"tenant_id": tenant.id, "state": "expired", "manifest": "m", "began_at": self.now}
        backup = self.env["loomworks.files.backup"].sudo().create(row)
        tenant._cron_forget_names()
        self.assertFalse(tenant.names_forgotten_at)
        backup.removed = True
        tenant._cron_forget_names()
        self.assertTrue(tenant.names_forgotten_at)

    def test_who_a_living_tenant_is_cannot_be_forgotten(self):
        with self.assertRaisesRegex(UserError, "has not been erased"):
            self.tenant._forget_names()
        with mute_logger("odoo.sql_db"), self.assertRaisesRegex(psycopg2.Error, "final"), self.cr.savepoint():
            self.env.cr.execute(
                "UPDATE loomworks_audit SET record_name = %s, result = '' WHERE tenant_id = %s",
                [f"Erased tenant {self.tenant.uuid[:8]}", self.tenant.id],
            )

    def test_broken_promise_is_a_figure(self):
        self.server.forget_days = 10
        self.erased(9)
        figure = f'loomworks_erased_not_forgotten{{server="{self.server.name}"}}'
        self.assertIn(f"{figure} 0", self.figures())
        self.env["loomworks.tenant"].search([("erased_at", "!=", False)]).erased_at = self.now - timedelta(days=11)
        self.assertIn(f"{figure} 1", self.figures())

    def figures(self):
        return metrics.render(self.env["loomworks.database.server"]._metrics()).splitlines()

    def test_nobody_sets_it_by_hand(self):
        with self.assertRaisesRegex(UserError, "forgotten_at"):
            self.tenant.with_user(self.operator).forgotten_at = self.now
