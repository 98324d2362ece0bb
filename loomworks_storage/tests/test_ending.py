"""The end of a tenant: what is promised, who is told, and that nothing goes before."""

from datetime import timedelta

from freezegun import freeze_time
from odoo import fields
from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged

from ..models.ending_crons import ALARM, LEFT, NOT_ENDED
from ..models.tenant_ending import UNEXPLAINED
from ..retention.ending import Terms

START = fields.Datetime.to_datetime("2026-03-01 10:00:00")


@tagged("post_install", "-at_install")
class TestEnding(TenantCase):
    def setUp(self):
        super().setUp()
        self.clock = self.startPatcher(freeze_time(START))
        self.patch(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **options: 1.0)
        self.plan.write({"ended_days": 60, "retention_days": 30})
        self.tenant = self.make_active(admin_ids=[(6, 0, self.customer.ids)])
        self.row = self.tenant.sudo()

    def pass_days(self, days):
        self.clock.tick(timedelta(days=days))

    def run_cron(self):
        self.env["loomworks.tenant"]._cron_expire()

    def live(self, days):
        """Let so many days pass, with the cron once on each."""
        for _day in range(days):
            self.pass_days(1)
            self.run_cron()

    def end(self):
        """Let the subscription expire; the cron notices it on the day after."""
        self.tenant.with_user(self.operator).subscription_expires = fields.Date.today()
        self.live(1)
        self.assertEqual(self.tenant.state, "suspended")
        return fields.Datetime.now()

    def extend(self, day="2027-01-01"):
        self.tenant.with_user(self.operator).write({"subscription_expires": day, "expires_reason": "They paid."})

    @property
    def mails(self):
        domain = [("model", "=", "loomworks.tenant"), ("res_id", "=", self.tenant.id)]
        return self.env["mail.mail"].search(
            [*domain, ("recipient_ids", "in", self.customer.partner_id.ids)], order="id"
        )

    @property
    def alarms(self):
        alarm = self.env.ref(ALARM)
        return self.row.activity_ids.filtered(lambda one: one.activity_type_id == alarm)

    @property
    def not_ended(self):
        alarm = self.env.ref(NOT_ENDED)
        return self.row.activity_ids.filtered(lambda one: one.activity_type_id == alarm)

    def audit_of(self, action):
        return self.env["loomworks.audit"].search([("action", "=", action), ("record_id", "=", self.tenant.id)])

    def test_expired_tenant_is_suspended_kept_archived_kept_and_erased(self):
        ended = self.end()
        self.assertEqual(self.tenant.archive_at, ended + timedelta(days=60))
        self.assertEqual(self.tenant.foreseen_erase_at, ended + timedelta(days=90))
        self.live(59)
        self.assertEqual(self.tenant.state, "suspended")
        self.live(1)
        self.assertEqual(self.tenant.state, "archived")
        self.assertEqual(self.tenant.erase_at, fields.Datetime.now() + timedelta(days=30))
        self.live(29)
        self.assertFalse(self.tenant.erase_requested)
        self.live(1)
        self.assertTrue(self.tenant.erase_requested)
        self.finish_steps(self.tenant)
        self.assertEqual(
            self.mails.mapped("subject"),
            [
                "The subscription of “Acme” has ended",
                "“Acme” will be archived",
                "“Acme” will be archived",
                "“Acme” has been archived",
                "All data of “Acme” will be deleted",
                "All data of “Acme” will be deleted",
                "All data of “Acme” has been deleted",
            ],
        )

    def test_plans_are_shipped_with_their_days(self):
        fresh = self.env["loomworks.plan"].default_get(["ended_days", "retention_days"])
        self.assertEqual(fresh, {"ended_days": 60, "retention_days": 30})
        shipped = ("basic", "pro", "enterprise")
        terms = [self.env.ref(f"loomworks_tenant.plan_{code}")._terms() for code in shipped]
        self.assertEqual(terms, 3 * [Terms(60, 30)])

    def test_dates_are_foreseen_while_the_subscription_goes_on(self):
        self.assertFalse(self.tenant.foreseen_suspend_at or self.tenant.foreseen_erase_at)
        self.tenant.subscription_expires = "2026-04-01"
        dates = [self.tenant[f"foreseen_{name}_at"] for name in ("suspend", "archive", "erase")]
        self.assertEqual([f"{one:%Y-%m-%d}" for one in dates], ["2026-04-02", "2026-06-01", "2026-07-01"])

    def test_control_plane_that_was_away_for_months_deletes_nothing_by_surprise(self):
        self.end()
        self.pass_days(300)
        self.run_cron()
        self.assertEqual(self.tenant.state, "suspended")
        self.assertEqual(self.tenant.archive_at, fields.Datetime.now() + timedelta(days=14))
        self.assertEqual(len(self.audit_of("postpone_end")), 1)
        self.live(13)
        self.assertEqual(self.tenant.state, "suspended")
        self.live(1)
        self.assertEqual(self.tenant.state, "archived")
        self.pass_days(300)
        self.run_cron()
        self.assertFalse(self.tenant.erase_requested)
        self.pass_days(300)
        self.run_cron()
        self.assertFalse(self.tenant.erase_requested, "it was told once only")
        self.assertEqual(self.tenant.erase_at, fields.Datetime.now() + timedelta(days=3))
        self.live(3)
        self.assertTrue(self.tenant.erase_requested)

    def test_operators_have_an_activity_that_ends_with_the_end(self):
        self.end()
        self.assertFalse(self.alarms)
        self.live(47)
        self.assertIn(self.operator, self.alarms.user_id)
        self.assertEqual(set(self.alarms.mapped("date_deadline")), {fields.Date.to_date(self.tenant.archive_at)})
        count = len(self.alarms)
        self.live(11)
        self.assertEqual(len(self.alarms), count)
        self.extend()
        self.assertFalse(self.alarms or self.tenant.archive_at or self.tenant.ended_at)
        self.live(60)
        self.assertEqual(self.tenant.state, "suspended", "an extended one is kept until an operator resumes it")

    def test_archived_tenant_is_brought_back(self):
        self.tenant.with_user(self.operator).action_archive()
        self.finish_steps(self.tenant)
        self.live(29)
        self.assertTrue(self.alarms)
        self.tenant.with_user(self.operator).restore_archived()
        self.assertEqual(
            (self.tenant.state, self.tenant.erase_at, self.tenant.archived_at), ("provisioning", False, False)
        )
        self.assertFalse(self.alarms)
        self.assertEqual(len(self.audit_of("restore_archived")), 1)
        self.finish_steps(self.tenant)
        self.live(60)
        self.assertEqual(self.tenant.state, "active")
        self.assertEqual(self.mails[-1].subject, "“Acme” has been brought back")

    def test_nobody_brings_back_what_goes_or_is_gone_or_not_paid(self):
        with self.assertRaisesRegex(UserError, "is active"):
            self.tenant.restore_archived()
        self.tenant.action_archive()
        self.tenant.subscription_expires = "2026-02-01"
        with self.assertRaisesRegex(UserError, "Extend it first"):
            self.tenant.restore_archived()
        self.extend(False)
        with self.assertRaises(AccessError):
            self.tenant.with_user(self.customer).restore_archived()
        self.tenant.action_erase("Acme", "They asked for it.")
        with self.assertRaises(UserError):
            self.tenant.restore_archived()

    def test_cancelled_tenant_ends_and_resumes(self):
        tenant = self.tenant.with_user(self.operator)
        tenant.action_cancel_subscription("moved away")
        self.assertEqual((tenant.state, tenant.state_reason, tenant.cancelled), ("suspended", "moved away", True))
        self.assertEqual(tenant.archive_at, START + timedelta(days=60))
        with self.assertRaisesRegex(UserError, "has ended already"):
            tenant.action_cancel_subscription()
        tenant.action_resume("they stay")
        self.assertFalse(tenant.cancelled or tenant.archive_at or tenant.ended_at)
        with self.assertRaises(AccessError):
            self.tenant.with_user(self.customer).action_cancel_subscription()

    def test_tenant_suspended_for_another_reason_has_no_end(self):
        self.tenant.action_suspend("not paid")
        self.live(200)
        self.assertEqual((self.tenant.state, self.tenant.archive_at), ("suspended", False))
        self.tenant.subscription_expires = fields.Date.today()
        self.live(1)
        self.assertTrue(self.tenant.archive_at)

    def test_end_is_moved_by_an_operator_with_a_reason_only(self):
        tenant = self.tenant.with_user(self.operator)
        with self.assertRaisesRegex(UserError, "No end is foreseen"):
            tenant.action_change_end("2027-01-01 00:00:00", "because")
        tenant.action_archive()
        for wrong in (None, " "):
            with self.assertRaisesRegex(UserError, "Say why"):
                tenant.action_change_end("2027-01-01 00:00:00", wrong)
        with self.assertRaisesRegex(UserError, "at the earliest"):
            tenant.action_change_end(START + timedelta(days=13), "in a hurry")
        for user in (self.customer, self.auditor):
            with self.assertRaises(AccessError):
                self.tenant.with_user(user).action_change_end("2027-01-01 00:00:00", "because")
        with self.assertRaises(UserError):
            tenant.erase_at = "2027-01-01 00:00:00"
        tenant.action_change_end("2027-01-01 00:00:00", "a dispute")
        self.assertEqual(fields.Datetime.to_string(tenant.erase_at), "2027-01-01 00:00:00")
        self.assertIn("2026-03-31 10:00:00 -> 2027-01-01 00:00:00; a dispute", self.audit_of("change_end").result)
        self.assertIn("a dispute", self.mails[-1].body_html)

    def test_archiving_before_its_day_is_for_an_operator_with_a_reason_only(self):
        tenant = self.tenant.with_user(self.operator)
        tenant.subscription_expires = "2026-04-01"
        self.assert_refused(tenant.action_archive)
        self.extend(False)
        self.end()
        self.assert_refused(tenant.action_archive)
        wizard = self.env["loomworks.tenant.confirm"].with_user(self.operator)
        wizard = wizard.create({"tenant_id": tenant.id, "action": "archive", "confirm_name": "Acme"})
        self.assert_refused(wizard.action_confirm)
        wizard.reason = "a wish"
        wizard.action_confirm()
        self.assert_kept("archive", "a wish", "archived")

    def test_erasing_before_its_day_is_for_an_operator_with_a_reason_only(self):
        """It moves the day that was promised, and told, to this moment."""
        self.flush_tracking()
        self.tenant.action_archive()
        tenant = self.tenant.with_user(self.operator)
        self.assert_refused(lambda: tenant.action_erase("Acme"))
        wizard = self.env["loomworks.tenant.confirm"].with_user(self.operator)
        wizard = wizard.create({"tenant_id": tenant.id, "action": "erase", "confirm_name": "Acme"})
        self.assert_refused(wizard.action_confirm)
        self.assertFalse(tenant.erase_requested)
        wizard.reason = "asked for by the customer"
        wizard.action_confirm()
        self.assertTrue(tenant.erase_requested)
        self.assert_kept("erase", "asked for by the customer", "archived")

    def test_erasing_on_its_day_needs_no_reason(self):
        self.tenant.action_archive()
        self.pass_days(30)
        self.tenant.with_user(self.operator).action_erase("Acme")
        self.assertTrue(self.tenant.erase_requested)

    def test_what_is_brought_back_without_a_reason_says_that_none_was_given(self):
        self.flush_tracking()
        self.tenant.action_archive()
        self.tenant.with_user(self.operator).restore_archived()
        self.assert_kept("restore_archived", UNEXPLAINED, "provisioning")
        self.finish_steps(self.tenant)
        self.tenant.action_archive()
        self.tenant.with_user(self.operator).restore_archived(reason="they pay again")
        self.assertEqual(self.tenant.state_reason, "they pay again")

    def test_days_of_a_plan_that_move_what_is_foreseen_are_changed_with_a_reason_only(self):
        plan = self.plan.with_user(self.operator)
        plan.retention_days = 31  # nothing is foreseen for its tenant
        self.tenant.subscription_expires = "2026-04-01"
        before = self.tenant.foreseen_erase_at
        for reason in ({}, {"terms_reason": " "}):
            self.assert_refused(lambda values={"retention_days": 90, **reason}: plan.write(values))
        plan.write({"retention_days": 31, "name": "As it was"})
        self.assertEqual(self.tenant.foreseen_erase_at, before)
        plan.write({"retention_days": 90, "terms_reason": "a new contract"})
        self.assertEqual(self.tenant.foreseen_erase_at, before + timedelta(days=59))
        entry = self.env["loomworks.audit"].search([("action", "=", "change_terms")])
        self.assertEqual(entry.result, "60 + 31 -> 60 + 90 days; a new contract")

    def test_plan_of_other_days_is_chosen_with_a_reason_only(self):
        tenant = self.tenant.with_user(self.operator)
        same, other = (self.plan.copy({"code": f"p{days}", "retention_days": days}) for days in (30, 90))
        tenant.plan_id = other  # nothing is foreseen
        tenant.plan_id = self.plan
        tenant.subscription_expires = "2026-04-01"
        tenant.plan_id = same
        self.assert_refused(lambda: tenant.write({"plan_id": other.id}))
        self.assertEqual(tenant.plan_id, same)
        tenant.write({"plan_id": other.id, "expires_reason": "they chose it"})
        self.assertIn("they chose it", self.audit_of("change_plan").result)

    def test_archiving_on_its_day_needs_no_reason(self):
        self.end()
        self.pass_days(60)
        self.tenant.with_user(self.operator).action_archive()
        self.assertEqual(self.tenant.state, "archived")

    def test_end_is_called_off_by_an_operator_with_a_reason_only(self):
        self.tenant.action_cancel_subscription()
        tenant = self.tenant.with_user(self.operator)
        self.assert_refused(tenant.action_resume)
        self.assertTrue(tenant.archive_at)
        wizard = self.env["loomworks.tenant.why"]
        values = {"tenant_id": tenant.id, "action": "action_resume", "reason": "they stay"}
        with self.assertRaises(AccessError):
            wizard.with_user(self.customer).create(values)
        wizard.with_user(self.operator).create(values).action_confirm()
        self.assertFalse(tenant.archive_at)
        self.assert_kept("resume", "they stay", "provisioning")

    def test_last_day_is_moved_by_an_operator_with_a_reason_only(self):
        tenant = self.tenant.with_user(self.operator)
        tenant.subscription_expires = "2026-04-01"  # the first one: nothing was foreseen before
        tenant.write({"subscription_expires": "2026-04-01", "expires_reason": "not moved"})
        for reason in ({}, {"expires_reason": " "}):
            for day in ("2027-01-01", False):
                self.assert_refused(lambda values={"subscription_expires": day, **reason}: tenant.write(values))
        self.assert_refused(lambda: tenant.action_cancel_subscription(" "))
        for user in (self.customer, self.auditor):
            with self.assertRaises(AccessError):
                values = {"subscription_expires": "2027-01-01", "expires_reason": "for me"}
                self.tenant.with_user(user).write(values)
        self.assertEqual(str(tenant.subscription_expires), "2026-04-01")
        self.extend()
        self.assertEqual(self.audit_of("change_expiry").result, "2026-04-01 -> 2027-01-01; They paid.")
        self.flush_tracking()
        self.assertIn("They paid.", self.row.message_ids.tracking_value_ids.mapped("new_value_char"))
        with Form(tenant) as form:
            form.subscription_expires = "2028-01-01"
            self.assertFalse(form.expires_reason, "the last reason is not that of the next change")
            form.expires_reason = "and again"

    def assert_refused(self, act):
        """Nothing is done by ``act``, which gives no reason."""
        before = self.tenant.state
        with self.assertRaisesRegex(UserError, "Say why"):
            act()
        self.assertEqual(self.tenant.state, before)

    def assert_kept(self, action, reason, state):
        """The reason of an action stands on the row, in its history and in the audit log."""
        self.assertEqual((self.tenant.state, self.tenant.state_reason), (state, reason))
        self.assertEqual(self.audit_of(action).result, reason)
        self.flush_tracking()
        self.assertIn(reason, self.row.message_ids.tracking_value_ids.mapped("new_value_char"))

    def flush_tracking(self):
        self.env.flush_all()
        self.cr.precommit.run()

    def test_wizard_moves_the_day(self):
        self.tenant.action_archive()
        wizard = self.env["loomworks.tenant.end"].with_user(self.operator)
        wizard = wizard.create({"tenant_id": self.tenant.id, "moment": "2027-01-01 00:00:00", "reason": "asked for"})
        self.assertEqual((wizard.promised, wizard.archived), (self.tenant.erase_at, True))
        wizard.action_confirm()
        self.assertEqual(fields.Datetime.to_string(self.tenant.erase_at), "2027-01-01 00:00:00")
        with self.assertRaises(AccessError):
            self.env["loomworks.tenant.end"].with_user(self.customer).create({"tenant_id": self.tenant.id})

    def test_promise_outlives_a_change_of_the_plan(self):
        self.tenant.action_archive()
        self.plan.retention_days = 1
        self.live(29)
        self.assertFalse(self.tenant.erase_requested)

    def test_what_was_promised_at_the_end_outlives_another_plan_and_an_early_archiving(self):
        ended = self.end()
        self.assertIn(f"{ended + timedelta(days=90):%Y-%m-%d}", self.mails[-1].body_html)
        self.plan.write({"ended_days": 1, "retention_days": 1})
        self.assertEqual(self.tenant.foreseen_erase_at, ended + timedelta(days=90))
        self.live(10)
        self.tenant.with_user(self.operator).action_archive("They asked for it.")
        self.assertEqual(self.tenant.erase_at, ended + timedelta(days=90))
        self.finish_steps(self.tenant)
        self.live(79)
        self.assertFalse(self.tenant.erase_requested)
        self.live(1)
        self.assertTrue(self.tenant.erase_requested)

    def test_moving_the_archiving_moves_the_deletion_with_it(self):
        ended = self.end()
        self.tenant.with_user(self.operator).action_change_end(ended + timedelta(days=80), "They asked for it.")
        self.assertEqual(self.tenant.foreseen_erase_at, ended + timedelta(days=110))
        self.live(80)
        self.assertEqual((self.tenant.state, self.tenant.erase_at), ("archived", ended + timedelta(days=110)))

    def test_archiving_that_is_moved_nearer_leaves_the_deletion_where_it_was(self):
        ended = self.end()
        self.tenant.with_user(self.operator).action_change_end(ended + timedelta(days=20), "They asked for it.")
        self.assertEqual(self.tenant.foreseen_erase_at, ended + timedelta(days=90))
        self.live(20)
        self.assertEqual((self.tenant.state, self.tenant.erase_at), ("archived", ended + timedelta(days=90)))

    def test_extended_subscription_forgets_what_was_promised(self):
        self.end()
        self.extend()
        self.assertFalse(self.tenant.erase_promised_at)
        self.assertTrue(self.tenant.foreseen_erase_at)
        self.tenant.with_user(self.operator).action_resume()
        self.tenant.with_user(self.operator).action_archive("They asked for it.")
        self.assertEqual(self.tenant.erase_at, fields.Datetime.now() + timedelta(days=30))

    def test_short_retention_is_told_once_and_ends_on_its_day(self):
        self.plan.retention_days = 2
        self.tenant.action_archive()
        self.run_cron()
        self.assertEqual(self.tenant.told_at, self.tenant.reminded_at)
        self.live(1)
        self.assertFalse(self.tenant.erase_requested)
        self.live(1)
        self.assertTrue(self.tenant.erase_requested)

    def test_claim_is_told_since_when_and_for_how_long(self):
        self.assertFalse(self.row._to_spec().deleted_at)
        self.tenant.action_archive()
        spec = self.row._to_spec()
        self.assertEqual((spec.deleted_at, spec.retention_days), ("2026-03-01T10:00:00Z", 30))
        codes = self.row.step_ids.mapped("code")
        self.assertLess(codes.index("workload"), codes.index("retention"))
        self.finish_steps(self.tenant)
        self.tenant.action_change_end(START + timedelta(days=40, hours=1), "asked for")
        self.assertEqual(self.row._to_spec().retention_days, 41)
        self.assertIn("retention", self.row.step_ids.filtered(lambda one: one.state != "done").mapped("code"))

    def test_tenant_without_administrators_has_a_note(self):
        self.row.admin_ids = False
        self.tenant.action_archive()
        self.assertIn("has been archived", self.row.message_ids[0].body)

    def test_customer_is_not_told_that_files_are_gone_whose_disk_the_storage_keeps(self):
        self.tenant.action_archive()
        self.tenant.action_erase("Acme", "They asked for it.")
        codes = self.row.step_ids.mapped("code")
        self.assertEqual(codes[-1], "left_volume")
        self.row.step_ids[-1].message = "pv-0 (Retain, vol-7)"
        self.finish_steps(self.tenant)
        self.assertEqual(self.mails[-1].subject, "“Acme” has been deleted but for a disk")
        self.assertNotIn("files are gone", self.mails[-1].body_html)
        told = self.row.activity_ids.filtered(lambda one: one.activity_type_id == self.env.ref(LEFT))
        self.assertIn(self.operator, told.user_id)
        self.assertIn("pv-0 (Retain, vol-7)", told[0].note)
        self.assertEqual(self.audit_of("volume_left").result, "pv-0 (Retain, vol-7)")

    def test_one_that_cannot_be_archived_does_not_stop_the_others(self):
        other = self.make_active("other")
        for tenant in (self.tenant, other):
            tenant.action_cancel_subscription()
        archive = type(self.row).action_archive

        def stumbling(rows, reason=None):
            if rows == self.row:
                raise UserError(self.env._("not now"))
            return archive(rows, reason)

        self.patch(type(self.row), "action_archive", stumbling)
        with self.assertLogs("odoo.addons.loomworks_storage.models.ending_crons", "WARNING"):
            self.live(60)
        self.assertEqual((self.tenant.state, other.state), ("suspended", "archived"))
        self.assertFalse(self.not_ended, "it may pass within the day")
        with self.assertLogs("odoo.addons.loomworks_storage.models.ending_crons", "WARNING"):
            self.live(2)
        self.assertIn(self.operator, self.not_ended.user_id)
        self.assertIn("not now", self.not_ended[0].note)
        self.patch(type(self.row), "action_archive", archive)
        self.live(1)
        self.assertEqual(self.tenant.state, "archived")
        self.live(1)
        self.assertFalse(self.not_ended)

    def test_data_that_is_still_there_a_day_after_it_was_to_be_deleted_is_told(self):
        self.tenant.action_archive()
        self.tenant.action_erase("Acme", "They asked for it.")
        self.row.step_ids.filtered(lambda one: one.code == "namespace").message = "the namespace is being deleted"
        self.run_cron()
        self.assertFalse(self.not_ended)
        self.live(2)
        self.assertIn(self.operator, self.not_ended.user_id)
        self.assertIn("2026-03-01 10:00:00", self.not_ended[0].note)
        self.finish_steps(self.tenant)
        self.assertTrue(self.tenant.erased_at)
        self.assertFalse(self.not_ended)
