"""Which files a tenant's database is to have, as fields of its row and a step of its reconciler."""

from odoo.addons.loomworks_tenant.reconciler import engine
from odoo.exceptions import UserError
from odoo.tests import tagged

from ..files.flow import Progress
from .common import FilesCase

WHOLE = {"files": 5, "kept": 1, "linked": 2, "fetched": 2, "missing": [], "damaged": {}, "whole": True}


@tagged("post_install", "-at_install")
class TestFilesRestore(FilesCase):
    def setUp(self):
        super().setUp()
        self.row = self.tenant.sudo()

    def want(self, manifest="first"):
        self.row.write({"files_source_uuid": self.row.uuid, "files_manifest": manifest})
        self.row._reconcile_if_changed()

    def run_step(self):
        """Do the step “files” of the tenant, if it is to be done."""
        step = self.row.step_ids.filtered(lambda one: one.code == "files")
        if step.state != "done":
            self.row._run(step, self.env["loomworks.tenant.step"])
        return step

    def test_step_stands_before_the_pod_when_there_is_something_to_restore(self):
        self.assertNotIn("files", self.row.step_ids.mapped("code"))
        self.want()
        codes = [step.code for step in self.row._steps()]
        self.assertLess(codes.index("database"), codes.index("files"))
        self.assertLess(codes.index("volume"), codes.index("files"))
        self.assertLess(codes.index("files"), codes.index("configuration"))
        self.assertTrue(self.row.reconcile_at)

    def test_files_are_restored_once(self):
        self.want()
        self.assertEqual(self.run_step().message, "files, 50%")
        self.progress = Progress("done", 1.0, WHOLE)
        self.assertEqual(self.run_step().state, "done")
        self.works.clear()
        self.tenant.with_user(self.operator).action_retry()
        self.assertEqual(self.run_step().message, "there already")
        self.assertFalse(self.works)
        self.want("second")
        self.assertEqual(self.run_step().state, "done")
        self.assertEqual([work.request.manifest for work in self.works], ["second"])

    def test_other_database_has_files_of_its_own(self):
        self.want()
        self.progress = Progress("done", 1.0, WHOLE)
        self.run_step()
        self.works.clear()
        self.row.write({"previous_database": self.row.database_name, "database_name": f"{self.row.database_name}_r1"})
        self.row._reconcile_if_changed()
        self.run_step()
        (work,) = self.works
        self.assertTrue(work.request.folder.endswith("_r1"))
        self.assertEqual(work.request.living, work.request.folder.removesuffix("_r1"))

    def test_tenant_starts_without_lost_files_when_an_operator_says_so(self):
        with self.assertRaisesRegex(UserError, "does not wait"):
            self.tenant.with_user(self.operator).action_start_without_files()
        self.want()
        self.progress = Progress("done", 1.0, {**WHOLE, "missing": ["a" * 40], "missing_count": 9, "whole": False})
        step = self.run_step()
        self.assertEqual((step.state, step.error_code, self.row.error_code), ("failed", "files_lost", "files_lost"))
        self.tenant.with_user(self.operator).action_start_without_files()
        self.assertFalse(self.row.files_manifest or self.row.error_message)
        self.assertNotIn("files", [line.step.code for line in engine.plan(self.row._steps(), self.row._to_spec())])

    def test_key_goes_with_the_tenant(self):
        self.tenant.with_user(self.operator).action_archive()
        self.assertNotIn("files_key", self.row.step_ids.mapped("code"))
        self.tenant.with_user(self.operator).action_erase(self.tenant.name, "The test is over.")
        self.assertIn("files_key", self.row.step_ids.mapped("code"))

    def test_manifest_in_use_is_needed(self):
        self.want("m7")
        self.assertIn("m7", self.row._needed_manifests())
        self.progress = Progress("done", 1.0, WHOLE)
        self.run_step()
        self.assertNotIn("m7", self.row._needed_manifests())
