"""What an archived tenant leaves behind in the repository."""

from datetime import timedelta

from odoo import fields
from odoo.addons.loomworks_tenant.errors import RetryableError
from odoo.tests import tagged

from .common import SnapshotCase


@tagged("post_install", "-at_install")
class TestFinalSnapshot(SnapshotCase):
    def archive(self):
        self.tenant.with_user(self.operator).action_archive()
        self.finish_steps(self.tenant)
        self.run_reconciler()
        return self.tenant.final_snapshot_id.sudo()

    def test_archived_tenant_leaves_a_snapshot_that_is_kept_as_long_as_its_data(self):
        snapshot = self.archive()
        self.assertEqual((snapshot.state, snapshot.expires_at), ("ready", self.tenant.erase_at))
        self.assertFalse(self.tenant.final_snapshot_problem)
        self.tenant.sudo()._settle()
        self.assertEqual(self.tenant.final_snapshot_id, snapshot)
        later = self.tenant.erase_at + timedelta(days=90)
        self.tenant.with_user(self.operator).action_change_end(later, "a dispute")
        self.assertEqual(snapshot.expires_at, later)

    def test_archiving_does_not_wait_for_the_repository_and_says_so(self):
        self.world.repository_error = RetryableError("the repository is away")
        snapshot = self.archive()
        self.assertEqual((self.tenant.state, self.tenant.working, snapshot.state), ("archived", False, "creating"))
        self.assertEqual(self.tenant.final_snapshot_problem, "the repository is away")
        self.world.repository_error = None
        self.look_now(snapshot)
        self.assertEqual((snapshot.state, self.tenant.final_snapshot_problem), ("ready", False))

    def test_second_end_has_a_snapshot_of_its_own(self):
        first = self.archive()
        self.tenant.restore_archived()
        self.finish_steps(self.tenant)
        first.requested_at = fields.Datetime.now() - timedelta(days=1)
        second = self.archive()
        self.assertNotEqual(first, second)
        self.assertEqual(second.state, "ready")
