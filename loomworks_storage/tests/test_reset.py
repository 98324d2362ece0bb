"""A fresh volume: nothing goes before everything is saved, and whatever is killed goes on."""

from types import SimpleNamespace

from odoo import fields
from odoo.addons.loomworks_tenant.errors import RetryableError
from odoo.addons.loomworks_tenant.reconciler.engine import Outcome, StepState
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import FilesCase

CLAIM = {
    "metadata": {"name": "odoo-instance", "uid": "old", "labels": {}, "annotations": {}},
    "spec": {"volumeName": "pv-1"},
    "status": {"phase": "Bound"},
}


class Cluster:
    """A cluster in which the tenant's pods run for so long as they are said to."""

    def __init__(self):
        self.pods, self.claim, self.error = 1, CLAIM, None

    def list(self, kind, namespace, label_selector=""):
        if self.error:
            raise self.error
        return iter([{}] * self.pods)

    def get(self, kind, name, namespace):
        return self.claim


@tagged("post_install", "-at_install")
class TestReset(FilesCase):
    def setUp(self):
        super().setUp()
        self.kube = Cluster()
        self.patch(type(self.cluster), "_client", lambda cluster: self.kube)
        self.row = self.tenant.sudo()

    def reset(self, keep_files=True):
        number = self.tenant.with_user(self.operator).action_reset(" Acme ", keep_files)
        return self.env["loomworks.reset"].browse(number).sudo()

    def look(self, reset):
        reset.reconcile_at = fields.Datetime.now()
        return reset._reconcile_step()

    def stop(self, reset):
        self.kube.pods = 0
        self.assertEqual(self.look(reset), 0)

    def saved(self, reset, **values):
        """Have the backup of the files that the reset has asked for be done."""
        backup = self.row.files_backup_ids.filtered(lambda one: one.state == "waiting")
        backup.write({"state": "done", "began_at": reset.stopped_at, "manifest": "m1", **values})
        return backup

    def audited(self):
        domain = [("record_id", "=", self.tenant.id), ("action", "=like", "reset%")]
        return self.env["loomworks.audit"].search(domain, order="id").mapped("action")

    @property
    def subjects(self):
        domain = [("model", "=", "loomworks.tenant"), ("res_id", "=", self.tenant.id)]
        return self.env["mail.mail"].search(domain, order="id").mapped("subject")

    @property
    def missed(self):
        return self.row._to_spec().volume.missed

    def claimed(self):
        """Have the tenant's claim be made."""
        step = self.row.step_ids.filtered(lambda one: one.code == "volume_claim")
        self.row._record(step, SimpleNamespace(fingerprint="x"), Outcome(StepState.DONE, "5Gi"))

    def test_claim_that_is_gone_is_missed_until_a_reset_brings_the_files_back(self):
        missed = lambda: self.missed  # noqa: E731
        self.assertFalse(missed(), "it never had one")
        self.claimed()
        self.assertTrue(missed())
        self.finish_steps(self.tenant)
        reset = self.reset()
        self.assertTrue(missed(), "while everything is saved")
        self.stop(reset)
        self.saved(reset)
        self.look(reset)
        self.assertFalse(missed())
        self.finish_steps(self.tenant)
        self.assertEqual((reset.state, missed()), ("done", False), "files of the reset are on their way")
        self.row.files_restored = self.row._files_wanted()
        self.assertTrue(missed())
        self.row.write({"files_source_uuid": self.row.uuid, "files_manifest": "m2"})
        self.assertFalse(missed())
        self.row.converged_at = False
        self.row.files_restored = self.row._files_wanted()
        self.assertFalse(missed(), "a tenant that is being made")

    def test_claim_that_is_gone_is_missed_while_a_switch_may_be_taken_back(self):
        """The switch made an empty one, and the tenant went back to its database without files."""
        self.claimed()
        files = {"files_source_uuid": self.row.uuid, "files_manifest": "m1"}
        self.row.write({**files, "switching": True})
        self.assertTrue(self.missed, "a switch is under way")
        self.row.write({**self.row._no_files(), "switching": False})
        self.assertTrue(self.missed, "it was taken back")
        self.tenant.with_user(self.operator).action_suspend("not paid")
        self.row.write(files)
        self.assertTrue(self.missed, "put in place while nothing runs")
        self.tenant.with_user(self.operator).action_resume("paid")
        self.assertFalse(self.missed, "its files come before its Odoo")

    def test_volume_is_replaced_once_everything_is_saved(self):
        reset = self.reset()
        self.assertTrue(self.row._to_spec().paused)
        self.assertIn("workload", self.row.step_ids.filtered(lambda one: one.state != "done").mapped("code"))
        self.assertTrue(self.look(reset))
        self.assertEqual((reset.state, reset.waits_for), ("saving", "1 pod(s) to stop"))
        self.stop(reset)
        self.assertEqual((reset.old_claim, reset.configuration["claim"]["spec"]["volumeName"]), ("old", "pv-1"))
        self.assertEqual(reset.configuration["tenant"]["plan"]["code"], self.plan.code)
        self.assertTrue(self.look(reset))
        self.assertEqual((reset.waits_for, self.row._to_spec().old_claim), ("the backup of the files", ""))
        backup = self.saved(reset)
        self.look(reset)
        self.assertEqual((reset.state, reset.files_backup_id, self.row.files_manifest), ("replacing", backup, "m1"))
        spec = self.row._to_spec()
        self.assertEqual((spec.paused, spec.old_claim, spec.files.restored), (False, "old", False))
        codes = [step.code for step in self.row._steps()]
        order = [codes.index(code) for code in ("fresh_volume", "volume_claim", "volume", "files", "workload")]
        self.assertEqual(order, sorted(order))
        self.assertEqual(set(self.row.step_ids.mapped("state")), {"pending"})
        self.finish_steps(self.tenant)
        self.assertEqual((reset.state, self.row.reset_id.id, self.row.state), ("done", False, "active"))
        self.assertNotIn("fresh_volume", self.row.step_ids.mapped("code"))
        self.assertFalse(self.row.working)
        self.assertEqual(self.audited(), ["reset", "reset_replace", "reset_done"])
        self.assertEqual(self.subjects, ["“Acme” gets a fresh volume", "“Acme” has a fresh volume"])

    def test_backup_that_began_while_odoo_still_wrote_does_not_count(self):
        reset = self.reset()
        self.stop(reset)
        self.a_backup(fields.Datetime.subtract(reset.stopped_at, minutes=1))
        self.look(reset)
        self.assertEqual(reset.state, "saving")

    def test_damaged_or_failed_backup_is_waited_for_until_an_operator_goes_on(self):
        reset = self.reset()
        self.stop(reset)
        self.saved(reset, damaged=2)
        self.look(reset)
        self.assertEqual((reset.state, reset.waits_for), ("saving", "a whole backup of the files: 2 damaged"))
        self.row.files_backup_ids.write({"state": "failed", "error_message": "the store is full\nmore"})
        self.look(reset)
        self.assertEqual(reset.waits_for, "a backup of the files: the store is full")
        earlier = self.a_backup(fields.Datetime.subtract(reset.stopped_at, days=1))
        with self.assertRaises(AccessError):
            reset.with_user(self.customer).action_go_on()
        reset.with_user(self.operator).action_go_on()
        self.look(reset)
        self.assertEqual((reset.state, reset.files_backup_id), ("replacing", earlier))
        self.assertIn("reset_without_saving", self.audited())
        with self.assertRaisesRegex(UserError, "too late"):
            reset.with_user(self.operator).action_cancel()

    def test_tenant_whose_volume_is_gone_goes_on_with_what_s3_has(self):
        """Its reset asked for a backup of nothing, and waited for it."""
        self.kube.claim = None
        reset = self.reset()
        self.stop(reset)
        self.assertFalse(self.row.files_backup_ids)
        self.look(reset)
        self.assertEqual(reset.waits_for, "a backup of the files: the claim is gone, and S3 has none")
        newest = self.a_backup(fields.Datetime.subtract(reset.stopped_at, hours=3))
        backup = self.ask(self.operator)
        self.step(backup)
        self.look(reset)
        self.assertEqual((reset.state, reset.files_backup_id), ("replacing", newest))
        self.assertEqual((backup.state, backup.error_message), ("failed", "the volume is being replaced"))
        self.assertEqual(self.events[-1], "clean_up")
        began = fields.Datetime.to_string(newest.began_at)
        self.assertIn(f"as they were backed up at {began} UTC", self.row.message_ids[0].body)
        self.finish_steps(self.tenant)
        mail = self.env["mail.mail"].search([("subject", "=", "“Acme” has a fresh volume")])
        self.assertIn(f"Its volume was lost; its files have been brought back as of {began} UTC.", mail.body_html)

    def test_backup_that_somebody_else_waits_for_is_waited_for(self):
        """It would have been made of the fresh volume while that was being filled."""
        reset = self.reset()
        self.stop(reset)
        self.saved(reset)
        backup = self.ask(self.operator)
        self.look(reset)
        self.assertEqual((reset.state, reset.waits_for), ("saving", "the backup of the files"))
        reset.with_user(self.operator).action_go_on()
        self.look(reset)
        self.assertEqual((reset.state, backup.state), ("replacing", "failed"))
        self.assertFalse(self.alarms)

    def test_no_backup_begins_while_the_fresh_volume_is_filled(self):
        reset = self.reset()
        self.stop(reset)
        self.saved(reset)
        self.look(reset)
        backup = self.ask(self.operator)
        self.step(backup)
        self.assertEqual((reset.state, backup.state), ("replacing", "waiting"))
        self.finish_steps(self.tenant)
        self.step(backup)
        self.assertEqual((reset.state, backup.state), ("done", "waiting"))  # nobody has said that they are there
        self.row.files_restored = self.row._files_wanted()
        self.step(backup)
        self.assertEqual((reset.state, backup.state), ("done", "running"))

    def test_place_for_files_that_is_not_named_is_waited_for(self):
        self.cluster.files_bucket = False
        reset = self.reset()
        self.stop(reset)
        self.look(reset)
        self.assertIn("the cluster names none", reset.waits_for)

    def test_odoo_that_does_not_stop_is_waited_for_until_an_operator_goes_on(self):
        reset = self.reset()
        self.look(reset)
        reset.with_user(self.operator).action_go_on()
        self.look(reset)
        self.assertEqual(reset.old_claim, "old")

    def test_volume_without_its_files_is_left_empty(self):
        reset = self.reset(keep_files=False)
        self.stop(reset)
        self.look(reset)
        self.assertEqual((reset.state, self.row.files_manifest), ("replacing", False))
        self.assertFalse(self.row.files_backup_ids)
        self.finish_steps(self.tenant)
        mail = self.env["mail.mail"].search([("subject", "=", "“Acme” has a fresh volume")])
        self.assertIn("were not brought back", mail.body_html)

    def test_cancelled_reset_lets_odoo_start_again(self):
        reset = self.reset()
        self.finish_steps(self.tenant)
        self.stop(reset)
        reset.with_user(self.operator).action_cancel()
        self.assertEqual((reset.state, self.row.reset_id.id, self.row._to_spec().paused), ("cancelled", False, False))
        self.assertTrue(self.row.working)
        self.assertIsNone(self.look(reset))

    def test_reset_that_meets_a_cluster_that_is_away_tries_again(self):
        reset = self.reset()
        self.kube.error = RetryableError("the API server is away")
        self.assertTrue(self.look(reset))
        self.assertEqual((reset.state, reset.error_message), ("saving", "the API server is away"))
        self.kube.error = None
        self.stop(reset)
        self.assertFalse(reset.error_message)

    def test_archive_gives_up_what_has_taken_nothing_away(self):
        reset = self.reset()
        self.tenant.with_user(self.operator).action_archive()
        self.assertEqual((reset.state, self.row.reset_id.id), ("cancelled", False))

    def test_reset_asks_for_the_name_and_the_state(self):
        tenant = self.tenant.with_user(self.operator)
        for wrong in (None, "", "acme"):
            with self.assertRaisesRegex(UserError, "Type the tenant's name"):
                tenant.action_reset(wrong)
        with self.assertRaises(AccessError):
            self.tenant.with_user(self.customer).action_reset("Acme")
        self.reset()
        with self.assertRaisesRegex(UserError, "going on already"):
            tenant.action_reset("Acme")
        draft = self.make_tenant("draft-one")
        with self.assertRaisesRegex(UserError, "is draft"):
            draft.action_reset(draft.name)
        with self.assertRaises(UserError):
            tenant.reset_id = False

    def test_wizard_resets(self):
        wizard = self.env["loomworks.tenant.confirm"].with_user(self.operator)
        wizard = wizard.create({"tenant_id": self.tenant.id, "action": "reset", "confirm_name": "Acme"})
        wizard.action_confirm()
        self.assertTrue(self.row.reset_id.keep_files)

    def test_administrators_see_their_resets_only(self):
        reset = self.reset()
        self.assertEqual(self.env["loomworks.reset"].with_user(self.customer).search([]), reset)
        self.assertFalse(self.env["loomworks.reset"].with_user(self.stranger).search([]))
        with self.assertRaises(AccessError):
            reset.with_user(self.operator).write({"state": "done"})
