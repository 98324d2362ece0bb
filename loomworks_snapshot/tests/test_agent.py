"""An AI agent at work in the control plane: its snapshots are those of whoever it may act for, and are recorded."""

from odoo.addons.loomworks_ai.tests.common import AgentCase
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from .common import SnapshotCase

GROUPS = "loomworks_ai.group_agent,loomworks_tenant.group_tenant_admin"


@tagged("post_install", "-at_install")
class TestAgent(AgentCase, SnapshotCase):
    def setUp(self):
        super().setUp()
        self.assistant = new_test_user(self.env, "assistant", groups=GROUPS)
        self.tenant.admin_ids += self.assistant
        self.other_tenant = self.make_active("other")
        self.env.flush_all()

    def test_agent_takes_snapshots_of_its_own_tenant(self):
        for how in ("of the tenant", "of a snapshot", "of a model"):
            with self.subTest(how), self.request(self.assistant) as env:
                tenant, snapshots = self.tenant.with_env(env), self.snapshots.with_env(env)
                made = {
                    "of the tenant": lambda tenant=tenant: tenant.action_create_snapshot("Mine"),
                    "of a snapshot": lambda tenant=tenant: tenant.snapshot_ids[:1].action_create_snapshot(),
                    "of a model": lambda snapshots=snapshots: snapshots.action_create_snapshot(self.tenant.id, "Mine"),
                }[how]()
            snapshot = self.snapshots.browse(made)
            self.assertEqual((snapshot.tenant_id, snapshot.snapshot_type), (self.tenant, "manual"))
            self.assertEqual(snapshot.requested_by_id, self.assistant)
            self.assertEqual((self.operation.agent_id, self.operation.state), (self.assistant, "done"))
            self.run_reconciler()
            self.assertEqual(snapshot.state, "ready")
        self.assertEqual(self.audited(self.tenant.snapshot_ids), ["snapshot_create"] * 3)

    def test_agent_takes_none_of_others_tenants(self):
        for user in (self.assistant, self.agent):  # one of another tenant, and one of none
            tenant = self.other_tenant.with_user(user)
            for call in (
                tenant.action_create_snapshot,
                lambda user=user: self.snapshots.with_user(user).action_create_snapshot(self.other_tenant.id),
            ):
                with self.subTest(user.login), self.assertRaises(AccessError):
                    call()
        self.assertFalse(self.other_tenant.snapshot_ids)

    def test_agent_has_the_plans_limit_of_snapshots(self):
        self.plan.manual_snapshots_hourly = 1
        with self.request(self.assistant) as env:
            self.tenant.with_env(env).action_create_snapshot()
        with self.assertRaisesRegex(UserError, "may have 1 snapshots taken by hand in 1 hours"):
            self.tenant.with_user(self.assistant).action_create_snapshot()
        self.assertEqual(len(self.tenant.snapshot_ids), 1)
