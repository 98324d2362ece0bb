from unittest.mock import patch

from odoo.tests import tagged

from ..errors import PermanentError, RetryableError
from ..reconciler.step import Done, Waiting
from .common import TenantCase

HEALTH = "odoo.addons.loomworks_tenant.reconciler.steps.runtime.Health.ensure"


@tagged("post_install", "-at_install")
class TestSteps(TenantCase):
    """What the row of a tenant says about each outcome of a step; the outside world is in tests/e2e."""

    def setUp(self):
        super().setUp()
        self.tenant = self.make_active().sudo()
        self.tenant.action_restart()
        self.step = self.tenant.step_ids.filtered(lambda step: step.code == "health")
        self.tenant.step_ids.filtered(lambda step: step.code == "workload").unlink()
        patch.object(type(self.tenant), "_steps", lambda tenant: [_health()]).start()
        self.addCleanup(patch.stopall)

    def run_step(self, outcome):
        with patch(HEALTH, side_effect=[outcome]):
            return self.tenant._reconcile_step()

    def test_waiting_step_says_why_and_when(self):
        pause = self.run_step(Waiting("Odoo is starting", 0.3))
        self.assertEqual((pause, self.step.state, self.step.message), (0.3, "waiting", "Odoo is starting"))
        self.assertFalse(self.tenant.has_problem)
        self.assertTrue(self.tenant.working)

    def test_permanent_error_stops_and_is_the_tenants_problem(self):
        self.assertIsNone(self.run_step(PermanentError("no such class", "Create it.")))
        self.assertEqual((self.step.state, self.step.error_code), ("failed", "permanent"))
        self.assertIn("Create it.", self.tenant.error_message)
        self.assertFalse(self.tenant.working)

    def test_passing_error_is_a_problem_only_after_three_in_a_row(self):
        for attempts, problem in ((1, False), (2, False), (3, True)):
            self.assertGreater(self.run_step(RetryableError("busy")), 0)
            self.assertEqual((self.step.attempts, self.tenant.has_problem), (attempts, problem))
        self.run_step(Done())
        self.assertEqual((self.tenant.has_problem, self.step.attempts), (False, 0))

    def test_serious_cause_is_shown_at_once_and_looked_at_again(self):
        self.assertEqual(self.run_step(Waiting("no such image", 10, "image_unavailable")), 10)
        self.assertTrue(self.tenant.has_problem and self.tenant.working)

    def test_surprise_is_kept_from_the_others_and_tried_again(self):
        with self.assertLogs("odoo.addons.loomworks_tenant.reconciler.engine", "ERROR"):
            pause = self.run_step(ZeroDivisionError("secret detail"))
        self.assertGreater(pause, 0)
        self.assertNotIn("secret detail", self.step.message)

    def test_done_last_step_settles_the_tenant(self):
        self.assertIsNone(self.run_step(Done("answers")))
        self.assertEqual((self.step.state, self.tenant.working, self.tenant.state), ("done", False, "active"))

    def test_plan_change_leaves_only_what_depends_on_it_to_do(self):
        patch.stopall()
        tenant = self.make_active("other")
        tenant.plan_id = self.env.ref("loomworks_tenant.plan_pro")
        todo = tenant.step_ids.filtered(lambda step: step.state != "done").mapped("code")
        self.assertIn("limits", todo)
        self.assertIn("workload", todo)
        self.assertNotIn("database", todo)
        self.assertNotIn("identity", todo)

    def test_change_past_the_orm_is_found(self):
        patch.stopall()
        tenant = self.make_active("other").sudo()
        self.env.flush_all()
        self.env.cr.execute("UPDATE loomworks_tenant SET max_users = 99 WHERE id = %s", [tenant.id])
        tenant.invalidate_recordset()
        self.env["loomworks.tenant"]._cron_look_for_changes()
        self.assertTrue(tenant.working)


def _health():
    from ..reconciler.steps.runtime import Health

    return Health()
