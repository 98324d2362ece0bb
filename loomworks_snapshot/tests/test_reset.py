"""A reset saves the database before the old volume goes."""

from types import SimpleNamespace
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_storage.orphans.compare import orphans
from odoo.addons.loomworks_storage.orphans.sighting import Kind, Sighting
from odoo.addons.loomworks_tenant.errors import RetryableError
from odoo.exceptions import UserError
from odoo.tests import tagged

from ..restoring.spec import NAMESPACE, job_name
from .common import SnapshotCase


@tagged("post_install", "-at_install")
class TestReset(SnapshotCase):
    def setUp(self):
        super().setUp()
        client = SimpleNamespace(list=lambda *args, **filters: iter(()), get=lambda *args: None)
        self.startPatcher(patch.object(type(self.cluster), "_client", lambda cluster: client))

    def reset(self):
        number = self.tenant.with_user(self.operator).action_reset("Acme", keep_files=False)
        return self.env["loomworks.reset"].browse(number).sudo()

    def look(self, reset):
        reset.reconcile_at = fields.Datetime.now()
        return reset._reconcile_step()

    def test_volume_is_replaced_once_the_snapshot_is_proven(self):
        self.world.repository_error = RetryableError("the repository is away")
        reset = self.reset()
        self.look(reset)
        self.look(reset)
        self.assertEqual((reset.state, reset.waits_for), ("saving", "the snapshot"))
        self.run_reconciler()
        self.look(reset)
        self.assertEqual(reset.waits_for, "the snapshot: the repository is away")
        self.world.repository_error = None
        self.look_now(reset.snapshot_id)
        self.look(reset)
        self.assertEqual((reset.state, reset.snapshot_id.state), ("replacing", "ready"))

    def test_snapshot_that_breaks_while_it_is_restored_for_the_exercise_saves_nothing(self):
        reset = self.reset()
        self.look(reset)
        self.run_reconciler()
        snapshot = reset.snapshot_id
        self.env["loomworks.restore"]._request(self.tenant, {**snapshot._restore_values(), "purpose": "drill"})
        self.lose(snapshot)
        self.look_now(snapshot)
        self.assertEqual(snapshot.state, "restoring")
        self.look(reset)
        self.assertEqual(reset.state, "saving")
        self.assertIn("is missing in the repository", reset.waits_for)

    def test_restore_and_reset_do_not_meet(self):
        snapshot = self.take_ready()
        restore = self.env["loomworks.restore"].browse(snapshot.action_restore())
        with self.assertRaisesRegex(UserError, "A restore of"):
            self.reset()
        restore.with_user(self.operator).action_cancel()
        self.reset()
        with self.assertRaisesRegex(UserError, "fresh volume"):
            snapshot.action_restore()

    def test_job_of_a_restore_is_an_orphan_once_the_restore_has_ended(self):
        restore = self.env["loomworks.restore"].sudo().browse(self.take_ready().action_restore())
        found = Sighting(Kind.JOB, job_name(restore.id), self.tenant.uuid, NAMESPACE, "j")
        self.tenant.sudo().reconcile_at = False
        rows = self.env["loomworks.orphan"].sudo()
        self.assertEqual(orphans([found], rows._known()), [])
        for state in ("done", "failed", "cancelled"):
            restore.write({"state": state, "reconcile_at": False})
            self.assertEqual(orphans([found], rows._known()), [found])
        restore.reconcile_at = fields.Datetime.now()
        self.assertEqual(orphans([found], rows._known()), [], "it is being cleared away")
        restore.unlink()
        self.assertEqual(orphans([found], rows._known()), [found])

    def test_databases_of_restores_are_no_orphans(self):
        snapshot = self.take_ready()
        restore = self.env["loomworks.restore"].sudo().browse(snapshot.action_restore())
        role = self.tenant.database_name
        self.assertEqual(self.tenant.sudo()._named_databases(), {role, f"{role}_r{restore.id}"})
        kept = {"kept_until": fields.Datetime.now(), "old_database": role, "new_database": f"{role}_r{restore.id}"}
        restore.write({"state": "done", "reconcile_at": False, **kept})
        self.assertEqual(self.tenant.sudo()._named_databases(), {role, f"{role}_r{restore.id}"})
        restore.dropped = True
        self.assertEqual(self.tenant.sudo()._named_databases(), {role})
