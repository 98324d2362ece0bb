"""Copies as rows: who may make them, of what, and what becomes of them when something goes wrong."""

from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_storage.tests.common import PLACE
from odoo.addons.loomworks_tenant.reconciler.engine import StepState, plan
from odoo.addons.loomworks_tenant.reconciler.step import Done, Waiting
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from ..restoring import flow
from .common import SnapshotCase

REPORT = {"backup": "label", "fetched": 1, "segments": 2, "tables": 3, "rows": 4, "seconds": {"replay": 1.5}}


@tagged("post_install", "-at_install")
class TestCopies(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.progress, self.events = flow.Progress("restored", 1.0, REPORT), []

        def advance(spec, world):
            self.events.append(("advance", spec.database, spec.in_use))
            if isinstance(self.progress, Exception):
                raise self.progress
            return self.progress

        def event(kind):
            return lambda spec, *others: self.events.append((kind, spec.database))

        for target, name, value in (
            (flow, "advance", advance),
            (flow, "check", event("check")),
            (flow, "clean_up", event("clean_up")),
            (flow, "discard", event("discard")),
            (type(self.env["loomworks.restore"]), "_world", lambda row: SimpleNamespace()),
            (type(self.env["loomworks.database.server"]), "_repository_location", lambda server: None),
        ):
            patcher = patch.object(target, name, value, create=True)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.cluster.write(PLACE)
        self.snapshot = self.take_ready()
        self.tenant.sudo().files_backup_ids.unlink()  # which the snapshot has asked for
        self.files = self.back_up_files(self.snapshot.created_at + timedelta(seconds=10))

    def back_up_files(self, began_at, state="done", **values):
        values |= {"tenant_id": self.tenant.id, "state": state, "manifest": "m", "began_at": began_at}
        return self.env["loomworks.files.backup"].sudo().create(values)

    def copy(self, user=None, **values):
        values = {"name": "Acme for tests", "subdomain": "acme-test", **values}
        source = values.pop("source", self.snapshot).with_user(user or self.operator)
        return self.env["loomworks.tenant"].browse(source.action_clone(**values))

    def step(self, copy):
        restore = copy.sudo().copied_by_id
        restore.reconcile_at = fields.Datetime.now()
        restore._reconcile_step()
        return restore

    def have_role(self, copy):
        copy.sudo().step_ids.filtered(lambda one: one.code == "database_role").state = StepState.DONE.value

    def answer(self, copy, code):
        spec = copy.sudo()._to_spec()
        line = next(one for one in plan(copy.sudo()._steps(), spec) if one.step.code == code)
        return line.step.ensure(spec, None)

    def test_copy_has_a_volume_that_the_originals_files_fit_on(self):
        self.tenant.with_user(self.operator).resize_volume("40Gi")
        copy = self.copy()
        self.assertEqual(copy.volume_size, "40Gi")
        self.assertEqual(copy.sudo()._to_spec().volume.size, "40Gi")

    def test_copy_on_a_smaller_plan_has_its_limits_and_its_volume(self):
        self.tenant.with_user(self.operator).resize_volume("40Gi")
        self.tenant.sudo().max_users = 99
        small = self.plan.sudo().copy({"name": "Small", "code": "small", "volume_size": "2Gi", "max_users": 3})
        volume = {"tenant_id": self.tenant.id, "read_at": fields.Datetime.now(), "used_bytes": 1.9 * 2**30}
        volume = self.env["loomworks.volume"].sudo().create(volume)
        with self.assertRaisesRegex(UserError, "take 1.9Gi, and volumes of the plan “Small” have 2Gi"):
            self.copy(plan_id=small.id)
        volume.used_bytes = 1.5 * 2**30
        copy = self.copy(plan_id=small.id)
        self.assertEqual((copy.plan_id, copy.volume_size, copy.max_users), (small, "2Gi", 3))
        self.assertEqual(copy.sudo()._to_spec().volume.size, "2Gi")
        again = self.env["loomworks.tenant"].browse(
            self.tenant.with_user(self.operator).action_clone("Again", "acme-again", plan_id=small.id)
        )
        self.assertEqual(again.plan_id, small)
        small.active = False
        with self.assertRaisesRegex(UserError, "no such plan"):
            self.copy(plan_id=small.id, subdomain="acme-third")

    def test_another_plan_is_the_operators_matter(self):
        other = self.plan.sudo().copy({"name": "Large", "code": "large"})
        with self.assertRaises(AccessError), mute_logger("odoo.http"):
            self.copy(self.customer, plan_id=other.id)
        self.assertEqual(self.copy(self.customer, plan_id=self.plan.id).plan_id, self.plan)

    def test_copy_waits_for_its_data_and_is_neutralised_before_it_is_served(self):
        copy = self.copy(self.customer)
        restore = copy.sudo().copied_by_id
        self.assertEqual((copy.state, copy.origin_id, copy.neutralised), ("provisioning", self.tenant, True))
        self.assertEqual((copy.plan_id, copy.admin_ids), (self.tenant.plan_id, self.tenant.admin_ids))
        self.assertNotEqual(copy.uuid, self.tenant.uuid)
        self.assertEqual(copy.database_name, f"t_{copy.uuid.replace('-', '')}_r{restore.id}")
        codes = copy.step_ids.sorted("sequence").mapped("code")
        order = ["database_role", "copy", "database", "identity", "configuration", "neutralise", "workload", "route"]
        self.assertEqual([code for code in codes if code in order], order)
        self.assertTrue(copy.sudo()._to_spec().keeps_users)
        self.assertIsInstance(self.answer(copy, "copy"), Waiting)
        self.assertEqual(self.snapshot.state, "restoring")

        self.step(copy)
        self.assertEqual(restore.state, "restoring")
        self.step(copy)
        self.assertEqual(self.events, [])  # nobody owns the new database yet
        self.have_role(copy)
        self.step(copy)
        database = copy.database_name
        self.assertEqual(self.events, [("advance", database, ()), ("check", database), ("clean_up", database)])
        self.assertEqual((restore.state, restore.new_database), ("copying", database))
        self.step(copy)
        self.assertEqual((restore.state, self.snapshot.state), ("done", "ready"))
        self.assertEqual((copy.sudo().files_source_uuid, copy.sudo().files_manifest), (self.tenant.uuid, "m"))
        self.assertTrue(copy.sudo().reconcile_at)
        self.assertIsInstance(self.answer(copy, "copy"), Done)
        self.assertEqual(self.tenant.database_name, f"t_{self.tenant.uuid.replace('-', '')}")

    def test_copy_for_good_is_not_neutralised_and_an_operators_matter(self):
        with self.assertRaises(AccessError), mute_logger("odoo.http"):
            self.copy(self.customer, neutralise=False)
        copy = self.copy(self.operator, neutralise=False)
        self.assertNotIn("neutralise", copy.step_ids.mapped("code"))

    def test_administrators_have_as_many_copies_as_the_plan_says(self):
        first = self.copy(self.customer)
        with self.assertRaisesRegex(UserError, "Acme for tests"):
            self.copy(self.customer, subdomain="acme-again")
        self.copy(self.operator, subdomain="acme-again")
        self.tenant.plan_id.sudo().copies = 3
        self.copy(self.customer, subdomain="acme-third")
        self.tenant.plan_id.sudo().copies = 0
        first.with_user(self.customer).action_remove_copy("Acme for tests")
        with self.assertRaisesRegex(UserError, "no copies"):
            self.copy(self.customer, subdomain="acme-fourth")

    def test_strangers_neither_copy_nor_see_copies(self):
        stranger = self.customer.copy({"login": "stranger"})
        copy = self.copy()
        with self.assertRaises(AccessError), mute_logger("odoo.http", "odoo.addons.base.models.ir_rule"):
            self.copy(stranger, subdomain="theirs")
        with self.assertRaises(AccessError), mute_logger("odoo.http", "odoo.addons.base.models.ir_rule"):
            self.copy(stranger, source=self.tenant, subdomain="theirs")
        self.assertFalse(self.env["loomworks.tenant"].with_user(stranger).search([("id", "=", copy.id)]))
        for values in ({"origin_id": copy.id}, {"neutralised": False}, {"copied_by_id": False}):
            with self.assertRaises(UserError):
                copy.with_user(self.operator).write(values)

    def test_copy_of_a_moment(self):
        self.env.cr.execute("UPDATE loomworks_tenant SET create_date = create_date - interval '2 days'")
        self.tenant.invalidate_recordset(["create_date"])
        moment = fields.Datetime.now() - timedelta(hours=1)
        copy = self.copy(source=self.tenant, moment=fields.Datetime.to_string(moment))
        restore = copy.sudo().copied_by_id
        self.assertEqual((copy.copied_moment, restore.moment, restore.target_kind), (moment, moment, "time"))
        with self.assertRaisesRegex(UserError, "in the future"):
            self.copy(source=self.tenant, moment="2099-01-01 00:00:00", subdomain="later")

    def test_failed_copy_says_why_and_can_be_tried_again(self):
        copy = self.copy()
        self.have_role(copy)
        self.progress = flow.RestoreFailed("a page is damaged", code="damaged")
        self.step(copy)
        restore = self.step(copy)
        self.assertEqual((restore.state, self.snapshot.state), ("failed", "ready"))
        answer = self.answer(copy, "copy")
        self.assertEqual((answer.code, answer.message), ("copy_failed", "a page is damaged"))
        self.step(copy)
        self.assertEqual(self.events[-1], ("discard", copy.database_name))
        self.progress = flow.Progress("restored", 1.0, REPORT)
        restore.with_user(self.operator).action_retry()
        self.bring_to_end(copy)
        self.assertEqual(restore.state, "done")

    def bring_to_end(self, copy):
        for _step in range(9):
            restore = self.step(copy)
            if restore.state in ("done", "failed"):
                break
        return restore

    def test_copy_waits_for_a_backup_of_the_files_and_asks_for_it(self):
        self.files.unlink()
        copy = self.copy()
        self.have_role(copy)
        for _step in range(4):
            self.step(copy)
        restore = copy.sudo().copied_by_id
        self.assertEqual(restore.state, "copying")
        self.assertFalse(self.tenant.files_backup_ids)  # one that began at the moment itself might lack something
        self.assertIn("files", self.answer(copy, "copy").message)
        restore.moment -= timedelta(minutes=1)
        self.step(copy)
        self.step(copy)
        self.assertEqual(self.tenant.sudo().files_backup_ids.mapped("state"), ["waiting"])
        self.tenant.sudo().files_backup_ids.write(
            {"state": "done", "began_at": fields.Datetime.now(), "manifest": "new"}
        )
        self.step(copy)
        self.assertEqual((restore.state, copy.sudo().files_manifest), ("done", "new"))

    def test_copy_without_files_is_refused(self):
        earlier = {"state": "failed", "error_message": "of an hour ago"}
        self.files.write({**earlier, "started_at": fields.Datetime.now() - timedelta(hours=1)})
        copy = self.copy()
        copy.sudo().copied_by_id.moment -= timedelta(minutes=1)
        self.have_role(copy)
        self.bring_to_end(copy)
        asked = self.tenant.sudo().files_backup_ids - self.files  # what failed before the copy is not its answer
        self.assertEqual(asked.state, "waiting")
        asked.write({"state": "failed", "error_message": "the bucket is full"})
        restore = self.bring_to_end(copy)
        self.assertEqual((restore.state, restore.error_code), ("failed", "no_files"))
        self.assertIn("the bucket is full", restore.error_message)
        self.cluster.files_bucket = False
        with self.assertRaisesRegex(UserError, "not backed up to S3"):
            self.copy(subdomain="acme-again")

    def test_cancelled_copy_takes_its_tenant_away(self):
        copy = self.copy(self.customer)
        restore = copy.copied_by_id
        restore.with_user(self.customer).action_cancel()
        self.assertEqual((copy.state, restore.state), ("provisioning", "cancelled"))
        restore._reconcile_step()
        self.assertEqual((copy.state, copy.sudo().erase_requested), ("archived", True))
        self.assertEqual(self.snapshot.state, "ready")
        self.finish_steps(copy)
        self.assertTrue(copy.erased_at)
        told = self.env["mail.mail"].search([("model", "=", copy._name), ("res_id", "=", copy.id)]).mapped("subject")
        self.assertNotIn("deleted", str(told), "nobody has had any data in it")
        self.assertNotIn("archived", str(told))

    def test_archived_copy_ends_its_restore_and_archived_original_does_not(self):
        copy, other = self.copy(), self.copy(subdomain="acme-other")
        copy.with_user(self.operator).action_archive()
        self.assertEqual(copy.sudo().copied_by_id.state, "cancelled")
        with self.assertRaisesRegex(UserError, "before it had any data"):
            copy.with_user(self.operator).restore_archived("It was a mistake.")
        copy.sudo().copied_by_id._reconcile_step()
        self.assertFalse(copy.sudo().erase_requested, "it is kept for its time, as whoever archived it was told")
        self.tenant.with_user(self.operator).action_archive()
        self.assertEqual(other.sudo().copied_by_id.state, "waiting")
        self.tenant.with_user(self.operator).action_erase(self.tenant.name, "The test is over.")
        self.assertEqual(other.sudo().copied_by_id.state, "cancelled")
        other.sudo().copied_by_id._reconcile_step()
        self.assertTrue(other.sudo().erase_requested)

    def test_removing_asks_for_the_name_and_leaves_the_original(self):
        copy = self.copy()
        with self.assertRaisesRegex(UserError, "Type the copy's name"):
            copy.with_user(self.customer).action_remove_copy("Acme")
        with self.assertRaisesRegex(UserError, "no copy for tests"):
            self.tenant.with_user(self.customer).action_remove_copy("Acme")
        copy.with_user(self.customer).action_remove_copy("Acme for tests")
        self.assertEqual((copy.state, copy.sudo().erase_requested, self.tenant.state), ("archived", True, "active"))

    def test_customer_removes_a_copy_by_its_name_and_nothing_else(self):
        copy = self.copy()
        wizards = self.env["loomworks.tenant.confirm"].with_user(self.customer)
        wizard = wizards.create({"tenant_id": copy.id, "action": "remove_copy", "confirm_name": "Acme"})
        with self.assertRaisesRegex(UserError, "nothing has been done"):
            wizard.action_confirm()
        wizard.confirm_name = copy.name
        wizard.action_confirm()
        self.assertTrue(copy.sudo().erase_requested)
        for action in ("archive", "erase"):
            values = {"tenant_id": self.tenant.id, "action": action, "confirm_name": self.tenant.name}
            with self.assertRaises(AccessError), mute_logger("odoo.http"):
                wizards.create(values).action_confirm()

    def test_copy_whose_tenant_is_gone_is_given_up(self):
        copy = self.copy()
        restore = copy.sudo().copied_by_id
        restore.copy_id = False
        for _step in range(2):
            restore.reconcile_at = fields.Datetime.now()
            restore._reconcile_step()
        self.assertEqual((restore.state, restore.error_code), ("failed", "tenant_gone"))
        self.assertEqual(self.events, [])

    def test_snapshot_is_held_by_the_last_of_its_restores(self):
        copy = self.copy()
        self.copy(subdomain="acme-other")
        self.have_role(copy)
        restore = self.bring_to_end(copy)
        self.assertEqual((restore.state, self.snapshot.state), ("done", "restoring"))

    def test_database_of_a_copy_at_any_moment_is_its_own(self):
        copy = self.copy().sudo()
        self.assertEqual(copy._database_at(fields.Datetime.now()), copy.database_name)

    def test_wizards_name_the_tenant_from_wherever_they_are_opened(self):
        for context in ({"default_tenant_id": self.tenant.id}, {"default_snapshot_id": self.snapshot.id}):
            for model in ("loomworks.tenant.copy", "loomworks.tenant.export", "loomworks.restore.to"):
                with self.subTest(model, **context):
                    form = Form(self.env[model].with_user(self.customer).with_context(**context))
                    self.assertEqual(form.tenant_name, self.tenant.name)
        self.assertEqual(Form(self.env["loomworks.tenant.copy"].with_context(**context)).name, "Acme (test)")

    def test_wizard_proposes_names(self):
        context = {"default_snapshot_id": self.snapshot.id}
        wizard = self.env["loomworks.tenant.copy"].with_user(self.customer).with_context(**context).create({})
        self.assertEqual((wizard.subdomain, wizard.neutralise), (f"{self.tenant.subdomain}-test", True))
        action = wizard.action_confirm()
        self.assertEqual(self.env["loomworks.tenant"].browse(action["res_id"]).origin_id, self.tenant)
