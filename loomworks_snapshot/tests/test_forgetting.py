"""What was erased is gone from a server's backups, too: promised, kept, and told."""

from datetime import timedelta

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged

from ..backup import metrics
from ..models.base_backup import moment
from .common import SnapshotCase
from .looks import NOW, info_of, look


@tagged("post_install", "-at_install")
class TestForgetting(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.now = fields.Datetime.now()
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
