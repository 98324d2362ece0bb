from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from psycopg2.errors import SerializationFailure

from ..models.tenant_actions import ALARM
from .common import TenantCase


@tagged("post_install", "-at_install")
class TestActions(TenantCase):
    def test_provision_places_and_asks_for_the_reconciler(self):
        tenant = self.make_tenant()
        tenant.action_provision()
        self.assertEqual((tenant.state, tenant.server_id), ("provisioning", self.server))
        self.assertTrue(tenant.working)

    def test_tenant_becomes_active_when_every_step_is_done(self):
        tenant = self.make_active()
        self.assertEqual((tenant.state, tenant.progress, tenant.working), ("active", 100, False))

    def test_suspend_and_resume_lead_back_to_active(self):
        tenant = self.make_active()
        tenant.action_suspend("not paid")
        self.assertEqual((tenant.state, tenant.state_reason), ("suspended", "not paid"))
        self.finish_steps(tenant)
        self.assertEqual(tenant.state, "suspended")
        tenant.action_resume()
        self.assertEqual((tenant.state, tenant.state_reason), ("provisioning", False))
        self.finish_steps(tenant)
        self.assertEqual(tenant.state, "active")

    def test_impossible_actions_are_refused_and_say_the_state(self):
        draft, active = self.make_tenant("draft-one"), self.make_active("active-one")
        for tenant, action in (
            (draft, "action_suspend"),
            (draft, "action_resume"),
            (draft, "action_restart"),
            (active, "action_provision"),
            (active, "action_resume"),
        ):
            state = tenant.state
            with self.subTest(action), self.assertRaisesRegex(UserError, f"is {state}"):
                getattr(tenant, action)()
            self.assertEqual(tenant.state, state)

    def test_restart_leaves_only_the_runtime_to_do(self):
        tenant = self.make_active()
        tenant.action_restart()
        todo = tenant.step_ids.filtered(lambda step: step.state != "done").mapped("code")
        self.assertEqual((tenant.state, todo), ("active", ["workload", "health"]))

    def test_archive_keeps_the_data_for_the_retention_of_the_plan(self):
        tenant = self.make_active()
        tenant.action_archive()
        self.assertEqual(tenant.state, "archived")
        self.assertEqual((tenant.erase_at - tenant.archived_at).days, self.plan.retention_days)
        self.assertEqual(set(tenant.step_ids.mapped("verb")), {"remove"})
        self.assertNotIn("namespace", tenant.step_ids.mapped("code"))

    def test_draft_is_archived_without_a_trace_outside(self):
        tenant = self.make_tenant()
        tenant.action_archive()
        self.assertEqual((tenant.state, bool(tenant.erased_at), tenant.working), ("archived", True, False))

    def test_erase_asks_for_the_name(self):
        tenant = self.make_active()
        tenant.action_archive()
        for wrong in (None, "", "acme", "Acme Ltd"):
            with self.subTest(wrong), self.assertRaisesRegex(UserError, "Type the tenant's name"):
                tenant.action_erase(wrong)
        tenant.action_erase(" Acme ")
        self.assertIn("namespace", tenant.step_ids.mapped("code"))
        self.finish_steps(tenant)
        self.assertTrue(tenant.erased_at)

    def test_living_tenant_cannot_be_erased(self):
        with self.assertRaisesRegex(UserError, "is active"):
            self.make_active().action_erase("Acme")

    def test_erased_tenant_admits_no_action(self):
        tenant = self.make_tenant()
        tenant.action_archive()
        with self.assertRaises(UserError):
            tenant.action_archive()
        with self.assertRaisesRegex(UserError, "nothing to retry"):
            tenant.action_retry()

    def test_wizard_does_nothing_for_a_wrong_name(self):
        tenant = self.make_active()
        wizard = self.env["loomworks.tenant.confirm"].with_user(self.operator)
        wizard = wizard.create({"tenant_id": tenant.id, "action": "archive", "confirm_name": "Akme"})
        with self.assertRaisesRegex(UserError, "nothing has been done"):
            wizard.action_confirm()
        self.assertEqual(tenant.state, "active")
        wizard.confirm_name = "Acme"
        wizard.action_confirm()
        self.assertEqual(tenant.state, "archived")

    def test_subscription_that_ended_yesterday_suspends(self):
        today = fields.Date.today()
        ended = self.make_active("ended", subscription_expires=today - timedelta(days=1))
        last_day = self.make_active("last-day", subscription_expires=today)
        self.env["loomworks.tenant"]._cron_expire()
        self.assertEqual((ended.state, last_day.state), ("suspended", "active"))
        self.assertIn("expired", ended.state_reason)
        with self.assertRaisesRegex(UserError, "Extend it first"):
            ended.action_resume()

    def test_one_that_cannot_be_suspended_is_told_of_and_stops_nobody_elses_end(self):
        """Behind the first that raised, nobody's subscription ended."""
        day = fields.Date.today() - timedelta(days=1)
        stuck, other = (self.make_active(name, subscription_expires=day) for name in ("stuck", "other"))
        suspend, rows = type(stuck).action_suspend, type(stuck)

        def stumbling(tenant, reason=None):
            suspend(tenant, reason)
            if tenant == stuck:
                raise ValueError("a surprise")

        def alarms():
            kind = self.env.ref(ALARM)
            return stuck.sudo().activity_ids.filtered(lambda one: one.activity_type_id == kind)

        for _time in range(2):
            with (
                patch.object(rows, "action_suspend", stumbling),
                self.assertLogs("odoo.addons.loomworks_tenant.models.tenant_actions", "ERROR") as logs,
            ):
                self.env["loomworks.tenant"]._cron_expire()
            self.assertIn(stuck.uuid, logs.output[0])
            self.assertEqual((stuck.state, other.state), ("active", "suspended"))
            self.assertEqual(len(alarms().filtered(lambda one: one.user_id == self.operator)), 1)
            self.assertIn("a surprise", alarms()[0].note)
        self.env["loomworks.tenant"]._cron_expire()
        self.assertEqual(stuck.state, "suspended")
        self.assertFalse(alarms())

    def test_one_that_somebody_else_changes_just_now_has_its_turn_at_the_next_run(self):
        """An everyday race was told to operators as a subscription that cannot be ended."""
        day = fields.Date.today() - timedelta(days=1)
        busy, other = (self.make_active(name, subscription_expires=day) for name in ("busy", "other"))
        suspend, rows = type(busy).action_suspend, type(busy)

        def racing(tenant, reason=None):
            suspend(tenant, reason)
            if tenant == busy:
                raise SerializationFailure("could not serialize access due to concurrent update")

        with (
            patch.object(rows, "action_suspend", racing),
            self.assertNoLogs("odoo.addons.loomworks_tenant.models.tenant_actions", "WARNING"),
        ):
            self.env["loomworks.tenant"]._cron_expire()
        self.assertEqual((busy.state, other.state), ("active", "suspended"))
        self.assertFalse(busy.sudo().activity_ids)
        self.env["loomworks.tenant"]._cron_expire()
        self.assertEqual(busy.state, "suspended")

    def test_end_of_the_retention_erases(self):
        tenant = self.make_active()
        tenant.action_archive()
        self.env["loomworks.tenant"]._cron_expire()
        self.assertFalse(tenant.erase_requested)
        tenant.sudo().erase_at = fields.Datetime.now() - timedelta(seconds=1)
        self.env["loomworks.tenant"]._cron_expire()
        self.assertTrue(tenant.erase_requested and tenant.working)

    def test_retry_looks_at_every_step_again(self):
        tenant = self.make_active()
        tenant.action_retry()
        self.assertEqual(set(tenant.step_ids.mapped("state")), {"pending"})
        self.assertTrue(tenant.working)
