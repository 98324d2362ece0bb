"""Who may do what to a snapshot, tried from the wrong side; and how often."""

import json
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from ..models import restore_work
from .common import SnapshotCase

ACTIONS = ("action_verify", "action_keep", "action_unkeep", "action_delete", "action_create_snapshot")


@tagged("post_install", "-at_install")
class TestAccess(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.mine = self.take_ready()
        self.other_tenant = self.make_active("other")
        self.other = self.take_ready(self.other_tenant)

    def test_tenant_admin_sees_only_their_tenants_snapshots(self):
        self.assertEqual(self.snapshots.with_user(self.customer).search([]), self.mine)
        self.assertFalse(self.snapshots.with_user(self.stranger).search([]))
        with self.assertRaises(AccessError):
            self.other.with_user(self.customer).read(["name"])

    def test_tenant_admin_takes_and_proves_their_own(self):
        made = self.take(user=self.customer, name="Mine")
        self.assertEqual(made.requested_by_id, self.customer)
        self.mine.with_user(self.customer).action_verify()
        self.assertTrue(self.mine.with_user(self.customer).action_create_snapshot())
        self.assertTrue(self.snapshots.with_user(self.customer).action_create_snapshot(tenant_id=self.tenant.id))

    def test_tenant_admin_does_nothing_to_others(self):
        with self.assertRaises(AccessError):
            self.take(self.other_tenant, user=self.customer)
        with self.assertRaises(AccessError):
            self.snapshots.with_user(self.customer).action_create_snapshot(tenant_id=self.other_tenant.id)
        for action in ACTIONS:
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(self.other.with_user(self.customer), action)()

    def test_tenant_admin_may_not_keep_or_delete(self):
        for action in ("action_keep", "action_unkeep", "action_delete"):
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(self.mine.with_user(self.customer), action)()

    def test_auditor_reads_all_and_changes_nothing(self):
        seen = self.snapshots.with_user(self.auditor).search([])
        self.assertEqual(seen & (self.mine + self.other), self.mine + self.other)
        with self.assertRaises(AccessError):
            self.take(user=self.auditor)
        for action in ACTIONS:
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(self.mine.with_user(self.auditor), action)()

    def test_ordinary_user_sees_nothing(self):
        ordinary = new_test_user(self.env, "ordinary@example.test", groups="base.group_user")
        with self.assertRaises(AccessError):
            self.snapshots.with_user(ordinary).search([])

    def test_nobody_makes_changes_or_removes_rows_by_hand(self):
        values = {"tenant_id": self.tenant.id, "server_id": self.server.id, "name": "Forged", "state": "ready"}
        for user in (self.operator, self.customer, self.auditor):
            with self.subTest(user.login):
                with self.assertRaises(AccessError):
                    self.snapshots.with_user(user).create(values)
                with self.assertRaises(AccessError):
                    self.mine.with_user(user).write({"state": "ready"})
                with self.assertRaises(AccessError):
                    self.mine.with_user(user).unlink()

    def test_live_snapshot_is_not_unlinked_even_by_the_system(self):
        with self.assertRaisesRegex(UserError, "Delete"):
            self.mine.sudo().unlink()

    def test_limit_of_an_hour_and_of_a_day_hold_for_admins_only(self):
        self.plan.write({"manual_snapshots_hourly": 2, "manual_snapshots_daily": 3})
        self.take(user=self.customer)  # with the operator's own, two in this hour
        with self.assertRaisesRegex(UserError, "2 snapshots taken by hand in 1 hours.*possible from"):
            self.take(user=self.customer)
        self.take()
        for one in self.tenant.snapshot_ids:
            one.sudo().requested_at -= timedelta(hours=2)
        with self.assertRaisesRegex(UserError, "3 snapshots taken by hand in 24 hours"):
            self.take(user=self.customer)
        for one in self.tenant.snapshot_ids:
            one.sudo().requested_at -= timedelta(hours=24)
        self.take(user=self.customer)

    def test_plan_without_any_by_hand_says_so(self):
        self.plan.manual_snapshots_hourly = 0
        with self.assertRaisesRegex(UserError, "0 snapshots"):
            self.take(user=self.customer)

    def test_each_action_is_audited(self):
        self.mine.with_user(self.operator).action_keep()
        self.mine.with_user(self.operator).action_unkeep()
        self.mine.with_user(self.operator).action_verify()
        self.mine.with_user(self.operator).action_delete()
        words = ["create", "keep", "unkeep", "verify", "delete"]
        self.assertEqual(self.audited(self.mine), [f"snapshot_{word}" for word in words])

    def test_deleted_one_stays_as_an_expired_row(self):
        self.mine.with_user(self.operator).action_delete()
        self.assertEqual((self.mine.state, bool(self.mine.expires_at)), ("expired", True))
        for action in ("action_verify", "action_keep", "action_delete"):
            with self.subTest(action), self.assertRaisesRegex(UserError, "expired"):
                getattr(self.mine.with_user(self.operator), action)()

    def test_kept_one_is_not_deleted(self):
        self.mine.with_user(self.operator).action_keep()
        with self.assertRaisesRegex(UserError, "kept forever"):
            self.mine.with_user(self.operator).action_delete()

    def test_snapshot_of_nothing_is_refused(self):
        with self.assertRaisesRegex(UserError, "tenant_id"):
            self.snapshots.with_user(self.operator).action_create_snapshot()

    def test_everybody_who_may_see_them_can_open_the_views(self):
        for user in (self.operator, self.customer, self.auditor):
            for model, record in (("loomworks.snapshot", self.mine), ("loomworks.tenant", self.tenant)):
                with self.subTest(f"{user.login} {model}"):
                    arch = self.env[model].with_user(user).get_view(view_type="form")
                    record.with_user(user).web_read({name: {} for name in arch["models"][model] if name in record})

    def test_tenant_counts_what_can_be_restored(self):
        self.assertEqual((self.tenant.snapshot_count, self.tenant.failed_snapshot_count), (1, 0))
        self.assertEqual(self.tenant.with_user(self.customer).last_snapshot_at, self.mine.created_at)
        action = self.tenant.with_user(self.customer).action_snapshots()
        self.assertEqual(action["domain"], [("tenant_id", "=", self.tenant.id)])


FORGED = {"state": "done", "old_database": "t_of_a_neighbour", "new_database": "t_of_another", "dropped": True}
FORGED |= {"kept_until": "2020-01-01 00:00:00", "placed_at": "2020-01-01 00:00:00", "purpose": "drill"}


@tagged("post_install", "-at_install")
class TestForgedDefaults(SnapshotCase):
    """What a tenant's administrator keeps as a default, or sends as the context of a call, makes no row of theirs."""

    def assert_own(self, restore):
        values = {name: restore[name] for name in FORGED}
        nothing = dict.fromkeys(("old_database", "new_database", "dropped", "kept_until", "placed_at"), False)
        self.assertEqual(values, {"state": "waiting", "purpose": "in_place", **nothing})
        self.assertEqual(restore.tenant_id, self.tenant)

    def test_context_makes_no_restore_that_is_done_already(self):
        context = {f"default_{name}": value for name, value in FORGED.items()}
        mine = self.tenant.with_user(self.customer).with_context(**context)
        self.assert_own(self.env["loomworks.restore"].browse(mine.restore_to(fields.Datetime.now())))

    def test_personal_defaults_make_none_either(self):
        for name, value in FORGED.items():
            field = self.env["ir.model.fields"].sudo()._get("loomworks.restore", name)
            kept = {"field_id": field.id, "user_id": self.customer.id, "json_value": json.dumps(value)}
            self.env["ir.default"].with_user(self.customer).create(kept)
        mine = self.tenant.with_user(self.customer)
        self.assert_own(self.env["loomworks.restore"].browse(mine.restore_to(fields.Datetime.now())))

    def test_snapshot_brings_no_rows_along(self):
        other = self.make_active("other")
        asked = [[0, 0, {"tenant_id": other.id, "target_kind": "time", "target_value": "x"}]]
        mine = self.tenant.with_user(self.customer).with_context(default_restore_ids=asked, default_state="ready")
        made = self.snapshots.browse(mine.action_create_snapshot())
        self.assertEqual((made.state, len(other.sudo().restore_ids)), ("creating", 0))

    def test_one_tenant_named_many_times_has_one_snapshot(self):
        mine = self.tenant.with_user(self.customer)
        self.assertEqual(len(mine.browse(mine.ids * 50).action_create_snapshot()), 1)

    def test_database_of_another_tenant_is_never_dropped_nor_restored(self):
        restore = self.env["loomworks.restore"].sudo().browse(self.tenant.restore_to(fields.Datetime.now()))
        past = fields.Datetime.now() - timedelta(days=1)
        restore.write({"state": "done", "old_database": "t_" + 32 * "0", "kept_until": past, "dropped": True})
        with patch.object(restore_work, "Server") as server:
            restore._reconcile_step()
        server.return_value.drop_database.assert_not_called()
        self.assertEqual(restore.error_code, "foreign_database")
        restore.write({"placed_at": past, "moment": past, "old_database": "t_" + 32 * "0", "new_database": "x"})
        with self.assertRaisesRegex(restore_work.flow.RestoreFailed, "no database of the tenant's"):
            restore._to_request()

    def test_name_of_a_tenant_is_not_told_to_those_who_may_not_see_it(self):
        theirs = self.make_active("secret-name").with_user(self.stranger)
        calls = {
            "action_clone": {"name": "x", "subdomain": "abc", "moment": "1999-01-01 00:00:00"},
            "action_archive": {},
            "action_erase": {"confirm_name": "x"},
        }
        for name, arguments in calls.items():
            theirs.invalidate_recordset()
            with self.subTest(name), self.assertRaises(AccessError) as refused:
                getattr(theirs, name)(**arguments)
            self.assertNotIn("Secret-Name", str(refused.exception))
        for model in ("loomworks.restore.to", "loomworks.tenant.copy", "loomworks.tenant.export"):
            with self.subTest(model), self.assertRaises(AccessError):
                asked = {"name": "x", "subdomain": "abc"} if model == "loomworks.tenant.copy" else {}
                self.env[model].with_user(self.stranger).create({"tenant_id": theirs.id, **asked})
