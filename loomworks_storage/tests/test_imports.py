"""Imports as rows: who may begin them, how they go on, and what becomes of them when something goes wrong."""

import os
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_tenant.reconciler.engine import StepState, plan
from odoo.addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from odoo.addons.loomworks_tenant.reconciler.steps.awaited import LOOK
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger
from psycopg2.errors import UniqueViolation

from ..files.flow import Progress
from ..filestore import store as stores
from ..imports import flow
from ..imports.errors import ImportJobBrokeOff, ImportJobFailed
from ..models import imports_work
from ..models.imports_work import AT_ONCE
from .common import PLACE, FilesCase, silent_store

SOURCES = {
    "imports_endpoint": "s3.example",
    "imports_bucket": "sources",
    "imports_region": "region",
    "imports_prefix": "/old/",
    "imports_key_reference": "env:SOURCES_KEY",
    "imports_key_secret_reference": "env:SOURCES_SECRET",
    "postgres_image": "registry.example/loomworks-postgres:1",
}
DIGEST = "ab" * 20
WHOLE = {
    "database": {"tables": 100, "version": "19.0.1.3"},
    "files": {"files": 12340, "bytes": 3_200_000_000, "wrong": {}, "wrong_count": 0},
    "arrival": {"needed": 12000, "there": 12000, "missing": [], "missing_count": 0},
    "whole": True,
}
LACKING = {**WHOLE, "arrival": {"needed": 2, "there": 1, "missing": [DIGEST], "missing_count": 1}, "whole": False}
INSTALLED = {"installed": ["loomworks_client"], "modules": 12}


@tagged("post_install", "-at_install")
class TestImports(FilesCase):
    def setUp(self):
        super().setUp()
        self.cluster.write({**PLACE, **SOURCES})
        self.progress = {"bring": Progress("start"), "install": Progress("start")}
        self.asked, self.cleaned = [], []
        self.patch(type(self.tenant), "_world", lambda tenant, spec: Boundaries(None, None, None))
        self.patch(flow, "bring", self._job("bring"))
        self.patch(flow, "install", self._job("install"))
        self.patch(flow, "clean_up", lambda work, world: self.cleaned.append(work.name))

    def _job(self, kind):
        def advance(work, world):
            self.asked.append((kind, work))
            if isinstance(self.progress[kind], Exception):
                raise self.progress[kind]
            return self.progress[kind]

        return advance

    def make(self, user=None, **values):
        rows = self.env["loomworks.import"].with_user(user or self.operator)
        values = {"name": "Old", "subdomain": "old-one", "source": "acme.zip", "source_off": True, **values}
        values |= {"plan_id": self.plan.id, "cluster_id": self.cluster.id}
        return rows.create({"admin_ids": [(6, 0, self.customer.ids)], **values})

    def begin(self, **values):
        one = self.make(**values)
        one.action_import()
        return one.sudo()

    def have_place(self, one):
        ready = one.tenant_id.step_ids.filtered(lambda step: step.code in ("database_role", "volume_claim"))
        ready.state = StepState.DONE.value

    def step(self, one):
        one.reconcile_at = fields.Datetime.now()
        return one._reconcile_step()

    def bring_in(self, one, report=None):
        self.have_place(one)
        self.step(one)
        self.progress["bring"] = Progress("done", 1.0, report or WHOLE)
        self.step(one)
        return one

    def load_whole(self, one):
        """Bring its data in and install its modules: what follows are the steps of its tenant."""
        self.bring_in(one)
        self.progress["install"] = Progress("done", 1.0, INSTALLED)
        self.step(one)
        self.assertEqual(one.state, "starting")
        return one

    def answer(self, one):
        spec = one.tenant_id._to_spec()
        line = next(line for line in plan(one.tenant_id._steps(), spec) if line.step.code == "import")
        return line.step.ensure(spec, None)

    def audited(self, one):
        records = [one.id, one.tenant_id.id]
        domain = [("record_id", "in", records), ("action", "=like", "import%")]
        return self.env["loomworks.audit"].search(domain, order="id").mapped("action")

    def test_source_becomes_a_tenant_with_a_database_of_its_own(self):
        one = self.begin()
        tenant = one.tenant_id
        self.assertEqual((tenant.state, tenant.name, tenant.admin_ids), ("provisioning", "Old", self.customer))
        self.assertEqual(tenant.database_name, f"t_{tenant.uuid.replace('-', '')}_r0")
        spec = tenant._to_spec()
        self.assertTrue(spec.restored, "no template can take its place")
        self.assertTrue(spec.keeps_users)
        codes = [step.code for step in tenant._steps()]
        order = [codes.index(code) for code in ("volume_claim", "database_role", "import", "database", "identity")]
        self.assertEqual(order, sorted(order))

        self.assertTrue(self.step(one))
        self.assertEqual((one.state, self.asked), ("waiting", []), "not before the role and the claim are there")
        self.have_place(one)
        self.assertEqual(self.step(one), 0)
        self.progress["bring"] = Progress("files", 0.5)
        self.step(one)
        self.assertEqual((one.state, one.stage, one.progress), ("loading", "files", 55))
        self.assertEqual(self.answer(one), Waiting("Files (55 %)", LOOK))
        kind, work = self.asked[-1]
        self.assertEqual((kind, work.source, work.sources.prefix), ("bring", "acme.zip", "old"))
        self.assertEqual(work.image, "registry.example/loomworks-postgres:1")

        self.progress["bring"] = Progress("done", 1.0, WHOLE)
        self.assertEqual(self.step(one), 0)
        self.assertEqual((one.state, one.files, one.problem_files), ("installing", 12340, 0))
        self.assertIn("12,340 files, 3.2 GB, all digests equal", one.result)
        self.progress["install"] = Progress("done", 1.0, INSTALLED)
        self.assertEqual(self.step(one), 0)
        self.assertEqual((one.state, one.report["modules"]), ("starting", INSTALLED))
        self.assertIn("loomworks_client", self.asked[-1][1].modules)
        self.assertEqual(self.answer(one), Done(one.result))
        self.step(one)
        self.assertEqual((self.cleaned[1:], one.reconcile_at), ([f"import-{one.id}"], False))
        self.finish_steps(tenant)
        self.assertEqual((one.state, tenant.state), ("done", "active"))
        self.assertEqual(self.audited(one), ["import", "import_done"])

    def test_source_that_is_not_switched_off_is_not_brought_in(self):
        one = self.make(source_off=False)
        with self.assertRaisesRegex(UserError, "Switch the source of “Old” off first"):
            one.action_import()
        self.assertFalse(one.tenant_id)

    def test_cluster_without_a_place_of_sources_refuses(self):
        self.cluster.imports_bucket = False
        with self.assertRaisesRegex(UserError, "does not say where sources"):
            self.begin()

    def test_file_that_is_missing_is_named_and_nothing_is_served(self):
        one = self.bring_in(self.begin(), LACKING)
        self.assertEqual((one.state, one.error_code, one.problem_files), ("failed", "import_not_whole", 1))
        self.assertIn(DIGEST, one.error_message)
        self.assertIn("does not have it", one.problems_text)
        answer = self.answer(one)
        self.assertEqual((type(answer), answer.code), (Waiting, "import_failed"))
        self.step(one)
        self.assertFalse(one.reconcile_at)
        self.assertEqual(self.audited(one), ["import", "import_failed"])

    def test_spoilt_file_that_the_database_lacks_therefore_is_one_problem(self):
        report = {**LACKING, "files": {**WHOLE["files"], "wrong": {DIGEST: "its content is another"}, "wrong_count": 1}}
        report["arrival"] = {"needed": 2, "there": 1, "lost": [DIGEST], "lost_count": 1}
        one = self.bring_in(self.begin(), report)
        self.assertEqual((one.problem_files, one.problems_text), (1, f"{DIGEST}: its content is another"))

    def test_file_of_which_the_database_says_another_size_is_told_and_is_no_reason_to_stop(self):
        """It was found, and nobody was told."""
        arrival = {**WHOLE["arrival"], "other_size": [DIGEST], "other_size_count": 1}
        one = self.bring_in(self.begin(), {**WHOLE, "arrival": arrival})
        self.assertEqual((one.state, one.problem_files), ("installing", 0))
        self.assertIn("all digests equal", one.result)
        self.assertIn("the database says another size of 1", one.result)
        self.assertEqual(one.problems_text, f"{DIGEST}: right by its digest, and the database says another size")

    def test_operator_goes_on_without_files_and_that_is_kept(self):
        one = self.bring_in(self.begin(), LACKING)
        one.with_user(self.operator).action_go_on()
        self.assertEqual((one.state, one.without_missing, one.error_message), ("installing", True, False))
        self.progress["install"] = Progress("done", 1.0, INSTALLED)
        self.step(one)
        self.assertEqual(one.state, "starting")
        self.assertIn("import_without_files", self.audited(one))

    def test_retry_begins_anew(self):
        one = self.bring_in(self.begin(), LACKING)
        one.with_user(self.operator).action_retry()
        self.assertEqual((one.state, one.report, one.result, one.problem_files), ("waiting", False, False, 0))
        self.cleaned.clear()
        self.bring_in(one)
        self.assertEqual(self.cleaned, [f"import-{one.id}"], "the Job that failed could be taken for the new one")
        self.assertEqual(one.state, "installing")
        with self.assertRaisesRegex(UserError, "Only a failed import"):
            one.with_user(self.operator).action_retry()
        with self.assertRaisesRegex(UserError, "does not wait for files"):
            one.with_user(self.operator).action_go_on()

    def test_job_that_breaks_off_is_tried_again_and_one_that_is_refused_is_not(self):
        one = self.begin()
        self.have_place(one)
        self.step(one)
        self.progress["bring"] = ImportJobBrokeOff("the node is gone")
        for _attempt in range(4):
            self.assertTrue(self.step(one))
        self.assertEqual((one.state, one.attempts, one.error_message), ("loading", 4, "the node is gone"))
        self.step(one)
        self.assertEqual(one.state, "failed")
        one.with_user(self.operator).action_retry()
        self.have_place(one)
        self.step(one)
        self.progress["bring"] = ImportJobFailed("it is no dump", "Make it anew.", "import_dump_refused")
        self.step(one)
        self.assertEqual((one.state, one.attempts, one.error_code), ("failed", 0, "import_dump_refused"))

    def test_cancel_takes_the_new_tenant_away(self):
        one = self.begin()
        one.with_user(self.operator).action_cancel()
        tenant = one.tenant_id
        self.assertEqual(one.state, "cancelled")
        self.step(one)
        self.assertEqual((tenant.state, tenant.erase_requested), ("archived", True))
        self.assertEqual(self.cleaned, [f"import-{one.id}"])
        self.assertTrue(self.make(subdomain="old-two"), "the source may be brought in again")
        with self.assertRaisesRegex(UserError, "too late"):
            one.with_user(self.operator).action_cancel()

    def test_nobody_is_told_that_the_data_of_a_cancelled_import_is_deleted(self):
        """They have never had anything here, and would believe it of what they have in the source."""
        one = self.begin()
        one.with_user(self.operator).action_cancel()
        self.step(one)
        self.finish_steps(one.tenant_id)
        self.assertTrue(one.tenant_id.erased_at)
        self.assertEqual(self.told(one.tenant_id), [])

    def told(self, tenant):
        """Return the subjects of mails that say where a tenant's data goes."""
        mails = self.env["mail.mail"].search([("model", "=", tenant._name), ("res_id", "=", tenant.id)], order="id")
        return [one.subject for one in mails if "archived" in (one.subject or "") or "deleted" in (one.subject or "")]

    def test_row_of_a_cancelled_import_stays_until_what_it_has_made_is_gone(self):
        """Without it, nothing would take the tenant away, and its steps would serve what has come so far."""
        one = self.bring_in(self.begin())
        tenant = one.tenant_id
        one.with_user(self.operator).action_cancel()
        for _look in ("before the step", "before the erasing"):
            with self.assertRaisesRegex(UserError, "not taken away yet"):
                one.with_user(self.operator).unlink()
            self.step(one)
        self.assertEqual((tenant.state, tenant.erase_requested), ("archived", True))
        self.finish_steps(tenant)
        self.assertTrue(tenant.erased_at)
        one.with_user(self.operator).unlink()
        self.assertFalse(one.exists() or tenant.imported_by_id)

    def test_drafts_are_removed_at_once(self):
        given_up, draft = self.make(), self.make(source="b.zip")
        given_up.action_cancel()
        (given_up | draft).unlink()
        self.assertFalse((given_up | draft).exists())

    def test_name_of_an_import_that_was_cleared_away_is_forgotten(self):
        one = self.load_whole(self.begin())
        tenant = one.tenant_id
        self.finish_steps(tenant)
        tenant.action_archive()
        tenant.action_erase("Old", "The test is over.")
        self.finish_steps(tenant)
        self.assertTrue(one.reconcile_at, "its end has not been looked at yet")
        tenant._forget_names()
        self.assertFalse(one.exists())

    def test_archive_gives_an_import_up(self):
        one = self.begin()
        one.tenant_id.with_user(self.operator).action_archive()
        self.assertEqual(one.state, "cancelled")
        self.assertEqual(self.answer_problem(one), "import_failed")
        self.assertEqual(self.told(one.tenant_id), ["“Old” has been archived"])

    def test_tenant_that_was_archived_before_its_data_was_whole_is_kept_and_not_brought_back(self):
        one = self.begin()
        tenant = one.tenant_id
        tenant.with_user(self.operator).action_archive()
        with self.assertRaisesRegex(UserError, "data is not whole"):
            tenant.with_user(self.operator).restore_archived()
        with self.assertRaises(AccessError):
            tenant.with_user(self.customer).restore_archived()
        self.step(one)
        self.assertEqual((tenant.state, tenant.erase_requested, one.reconcile_at), ("archived", False, False))

    def test_only_an_import_that_was_cancelled_itself_takes_its_tenant_away(self):
        """What becomes of the tenant before the reconciler looks is no answer to that."""
        one = self.begin()
        one.tenant_id.action_archive()
        one.tenant_id.state = "provisioning"
        self.step(one)
        self.assertEqual((one.tenant_id.state, one.tenant_id.erase_requested), ("provisioning", False))

    def test_tenant_that_was_archived_with_its_data_whole_is_brought_back_with_it(self):
        one = self.load_whole(self.begin())
        tenant = one.tenant_id
        tenant.with_user(self.operator).action_archive()
        self.assertEqual(one.state, "done")
        tenant.with_user(self.operator).restore_archived()
        self.assertEqual(self.answer(one), Done(one.result))
        self.finish_steps(tenant)
        self.step(one)
        self.assertEqual((tenant.state, tenant.erase_requested, one.state), ("active", False, "done"))

    def test_as_many_imports_as_a_server_bears_go_on_at_once_and_the_oldest_first(self):
        rows = [self.begin(subdomain=f"old-{number}", source=f"{number}.zip") for number in range(AT_ONCE + 2)]
        for one in rows:
            self.have_place(one)
        *first, following, last = rows
        self.assertTrue(self.step(last))
        for one in first:
            self.assertEqual(self.step(one), 0)
        self.assertTrue(self.step(following))
        states = [one.state for one in rows]
        self.assertEqual(states, [*(AT_ONCE * ["loading"]), "waiting", "waiting"])
        self.assertEqual((following.stage, following.progress), ("queue", 0))
        self.assertIn("Waiting for its turn", self.answer(following).message)

        self.progress["bring"] = Progress("done", 1.0, WHOLE)
        self.step(first[0])
        self.step(following)
        self.assertEqual((first[0].state, following.state), ("installing", "waiting"))
        self.progress["install"] = Progress("done", 1.0, INSTALLED)
        self.step(first[0])
        self.step(last)
        self.step(following)
        self.assertEqual((first[0].state, following.state, following.stage), ("starting", "loading", "start"))
        self.assertEqual(last.state, "waiting")

    def test_import_that_cannot_go_on_yet_is_before_nobody(self):
        self.patch(imports_work, "AT_ONCE", 1)
        _unready, one = (self.begin(subdomain=f"old-{number}", source=f"{number}.zip") for number in range(2))
        self.have_place(one)
        self.assertEqual(self.step(one), 0)
        self.assertEqual(one.state, "loading")

    def answer_problem(self, one):
        step = next(step for step in one.tenant_id._steps() if step.code == "import")
        return step.ensure(one.tenant_id._to_spec(), None).code

    def test_tenant_that_is_deleted_frees_its_source(self):
        one = self.load_whole(self.begin())
        self.finish_steps(one.tenant_id)
        one.tenant_id.with_user(self.operator).action_archive()
        self.assertEqual(one.state, "done")
        one.tenant_id.with_user(self.operator).action_erase("Old", "The test is over.")
        self.finish_steps(one.tenant_id)
        self.assertEqual(one.state, "erased")

    @mute_logger("odoo.sql_db")
    def test_source_is_brought_in_once(self):
        self.make()
        with self.assertRaises(UniqueViolation), self.env.cr.savepoint():
            self.make(subdomain="old-two")
        folder = self.make(source="old/acme/")
        self.assertEqual(folder.source, "old/acme")
        folder.source = "old/globex/"
        self.assertEqual(folder.source, "old/globex")
        with self.assertRaises(UniqueViolation), self.env.cr.savepoint():
            self.make(subdomain="old-two", source="old/globex/")

    def test_names_that_lead_elsewhere_are_refused(self):
        for name in ("../other", "/etc/passwd", "a//b", ""):
            with self.assertRaises(UserError, msg=name), self.env.cr.savepoint():
                self.make(source="x.zip", dump=name) if name else self.make(source="/")

    def test_only_operators_begin_and_rows_that_have_begun_stay_as_they_are(self):
        one = self.make()
        one.write({"name": "Renamed"})
        with self.assertRaises(UserError):
            one.write({"state": "done"})
        with self.assertRaises(UserError):
            self.make(state="done", source="b.zip")
        for user in (self.customer, self.auditor):
            with self.assertRaises(AccessError):
                self.make(user=user, source="c.zip")
            for action in ("action_import", "action_retry", "action_go_on", "action_cancel"):
                with self.assertRaises(AccessError):
                    getattr(one.with_user(user), action)()
        one.action_import()
        with self.assertRaisesRegex(UserError, "has begun"):
            one.write({"name": "Again"})
        with self.assertRaisesRegex(UserError, "begun already"):
            one.action_import()
        with self.assertRaisesRegex(UserError, "Cancel an import"):
            one.unlink()
        with self.assertRaises(UserError):
            one.tenant_id.write({"imported_by_id": False})

    def test_administrators_see_the_imports_of_their_tenants_only(self):
        one = self.begin()
        rows = self.env["loomworks.import"]
        self.assertEqual(rows.with_user(self.customer).search([]), one)
        self.assertFalse(rows.with_user(self.stranger).search([]))
        self.assertEqual(rows.with_user(self.auditor).search([]), one)
        with self.assertRaises(AccessError):
            one.with_user(self.customer).write({"name": "mine"})

    def test_jobs_of_an_import_are_somebodys(self):
        one = self.begin()
        known = self.env["loomworks.orphan"]._known()
        self.assertIn((f"lw-{one.tenant_id.uuid}", f"import-{one.id}-modules"), known.jobs)

    def test_look_at_a_store_that_accepts_and_never_answers_holds_its_worker_for_seconds_only(self):
        longest = stores.SOON_ATTEMPTS * (stores.CONNECT_TIMEOUT + stores.SOON_READ_TIMEOUT)
        self.assertLessEqual(longest, 20)
        self.startPatcher(patch.dict(os.environ, {"SOURCES_KEY": "account", "SOURCES_SECRET": "its secret"}))
        for name in ("READ_TIMEOUT", "SOON_READ_TIMEOUT"):
            self.startPatcher(patch.object(stores, name, 0.2))
        with silent_store() as (address, asked):
            self.cluster.imports_endpoint = address
            for source in ("acme", "acme.zip"):
                with self.subTest(source), self.assertRaisesRegex(UserError, "does not answer"):
                    self.make(source=source).action_look()
                self.assertEqual(asked(), stores.SOON_ATTEMPTS)
