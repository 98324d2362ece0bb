"""A list of tenants to import: shown line by line before anything is made, all or nothing, and uploaded again."""

import base64
import json
import os
from unittest.mock import patch

from odoo import fields
from odoo.addons.loomworks_tenant.errors import RetryableError
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from ..importing.errors import DumpMissing
from ..models import imports_look
from .common import FilesCase
from .test_imports import SOURCES

CONTENTS = {"dump": {"name": "dump.sql", "kind": "plain", "size": 1000}, "files": 12, "bytes": 3_000_000, "others": 0}
LIST = """name;subdomain;plan;source;dump;files
Acme Ltd;acme-one;basic;acme.zip;;
Globex;globex;{plan};old/globex;dumps/globex.dump;12
"""


@tagged("post_install", "-at_install")
class TestImportBatch(FilesCase):
    def setUp(self):
        super().setUp()
        self.cluster.write(SOURCES)
        self.contents, self.seen = CONTENTS, []
        self.patch(imports_look, "Store", lambda location, soon: None)
        self.patch(imports_look, "looked_into", self._look)
        self.startPatcher(patch.dict(os.environ, {"SOURCES_KEY": "account", "SOURCES_SECRET": "its secret"}))

    def _look(self, store, line, quick):
        self.seen.append((line.source, line.dump, quick))
        if isinstance(self.contents, RetryableError):
            raise self.contents
        if line.source.startswith("lacking"):
            return [str(DumpMissing("the source has to have one dump"))], {}
        return [], self.contents

    def batch(self, text=LIST, user=None, **values):
        rows = self.env["loomworks.import.batch"].with_user(user or self.operator)
        data = base64.b64encode(text.replace("{plan}", self.plan.name).encode())
        return rows.create({"file": data, "cluster_id": self.cluster.id, "source_off": True, **values})

    def looked(self, text=LIST, **values):
        batch = self.batch(text, **values)
        shown = batch.action_preview()
        self.assertEqual((shown["res_id"], batch.looked), (batch.id, True))
        return batch

    @property
    def made(self):
        return self.env["loomworks.import"].search([("cluster_id", "=", self.cluster.id)], order="id")

    def test_every_line_is_shown_before_anything_is_made(self):
        batch = self.looked()
        self.assertEqual(batch.line_ids.mapped("number"), [2, 3])
        self.assertEqual(batch.line_ids.mapped("state"), ["good", "good"])
        self.assertEqual(batch.line_ids.plan_id, self.plan)
        self.assertEqual(sorted(self.seen), [("acme.zip", "", True), ("old/globex", "dumps/globex.dump", True)])
        self.assertEqual((batch.line_ids[0].files, batch.line_ids[1].expected_files), (12, 12))
        self.assertFalse(self.made)

    def test_lines_that_are_right_become_imports(self):
        action = self.looked().action_confirm()
        self.assertEqual(self.made.mapped("state"), ["waiting", "waiting"])
        self.assertEqual(action["domain"], [("id", "in", self.made.ids)])
        self.assertEqual(self.made.tenant_id.mapped("subdomain"), ["acme-one", "globex"])
        self.assertEqual(self.made[1].dump, "dumps/globex.dump")

    def test_line_that_is_wrong_stops_all_of_them_and_is_named(self):
        text = LIST + "Admin;admin;basic;a.zip;;\nNone;none-one;gold;lacking.zip;;x\nLacking;lacking;basic;lacking;;\n"
        batch = self.looked(text)
        self.assertEqual((batch.good_count, batch.bad_count, batch.known_count), (2, 3, 0))
        problems = dict(zip(batch.line_ids.mapped("number"), batch.line_ids.mapped("problems"), strict=True))
        self.assertIn("reserved", problems[4])
        self.assertEqual(problems[5], "there is no plan “gold”; “x” is no number of files")
        self.assertIn("one dump", problems[6])
        with self.assertRaisesRegex(UserError, "3 line.s. are wrong; nothing was made.\nLine 4: "):
            batch.action_confirm()
        self.assertFalse(self.made)

    def test_lines_that_are_right_are_taken_where_that_is_chosen(self):
        batch = self.looked(LIST + "Admin;admin;basic;a.zip;;\n", whole=False)
        batch.action_confirm()
        self.assertEqual(self.made.mapped("subdomain"), ["acme-one", "globex"])

    def test_list_that_is_uploaded_again_says_what_is_there_already(self):
        self.looked().action_confirm()
        self.made.sudo()[0].write({"state": "failed", "finished_at": fields.Datetime.now()})
        batch = self.looked(LIST.replace("old/globex", "old/globex/") + "New;new-one;basic;new.zip;;\n")
        self.assertEqual(batch.line_ids.mapped("state"), ["known", "known", "good"])
        self.assertIn("Failed", batch.line_ids[0].problems)
        self.assertEqual(batch.line_ids.import_id, self.made)
        batch.action_confirm()
        self.assertEqual(self.made.mapped("subdomain"), ["acme-one", "globex", "new-one"])

    def test_files_that_do_not_fit_the_plans_volume_are_told(self):
        self.contents = {**CONTENTS, "bytes": 10**15}
        batch = self.looked()
        self.assertIn("its files need 1000.0 TB", batch.line_ids[0].problems)

    def test_source_that_is_too_large_to_look_at_is_taken(self):
        self.contents = {}
        self.assertEqual(self.looked().line_ids.mapped("state"), ["good", "good"])

    def test_sources_have_to_be_switched_off(self):
        batch = self.looked(source_off=False)
        with self.assertRaisesRegex(UserError, "Switch the source of “Acme Ltd” off first"):
            batch.action_confirm()

    def test_list_that_is_none_a_store_that_is_away_and_a_list_nobody_looked_at_are_refused(self):
        with self.assertRaisesRegex(UserError, "does not name"):
            self.batch("a,b\n1,2\n").action_preview()
        with self.assertRaisesRegex(UserError, "base 64"):
            batch = self.batch()
            batch.file = b"no!"
            batch.action_preview()
        self.contents = RetryableError("the store is away")
        with self.assertRaisesRegex(UserError, "the store is away"):
            self.batch().action_preview()
        with self.assertRaisesRegex(UserError, "Look at the list first"):
            self.batch().action_confirm()
        self.cluster.imports_bucket = False
        with self.assertRaisesRegex(UserError, "does not say where sources"):
            self.batch().action_preview()

    def test_only_operators_upload_lists(self):
        for user in (self.customer, self.auditor):
            with self.assertRaises(AccessError):
                self.batch(user=user)

    def test_one_source_is_looked_at_from_its_import(self):
        values = {"plan_id": self.plan.id, "cluster_id": self.cluster.id, "name": "Old", "subdomain": "old-one"}
        one = self.env["loomworks.import"].with_user(self.operator).create({**values, "source": "acme.zip"})
        shown = one.action_look()["params"]
        self.assertEqual((shown["type"], shown["message"]), ("success", "12 files, 3.0 MB, and a plain dump of 1.0 kB"))
        one.source = "lacking"
        self.assertEqual(one.action_look()["params"]["type"], "danger")
        self.contents = {}
        one.source = "large.zip"
        self.assertIn("It is large", one.action_look()["params"]["message"])
        with self.assertRaises(AccessError):
            one.with_user(self.auditor).action_look()

    def test_script_is_told_what_imports_would_meet_and_nothing_is_made(self):
        imports = self.env["loomworks.import"].with_user(self.operator)
        shared = {"plan_id": self.plan.id, "cluster_id": self.cluster.id, "name": "Old", "source_off": True}
        self.cluster.postgres_image = "registry.example/loomworks-postgres:1"
        good, taken, lacking = imports.create(
            [
                {**shared, "source": "acme.zip", "subdomain": "old-one"},
                {**shared, "source": "other.zip", "subdomain": self.tenant.subdomain},
                {**shared, "source": "lacking", "subdomain": "admin", "source_off": False},
            ]
        )
        tenants = self.env["loomworks.tenant"].search_count([])
        told = {one["id"]: one for one in (good | taken | lacking).action_dry_run()}
        json.dumps(list(told.values()))
        self.assertEqual(told[good.id], {"id": good.id, "problems": [], "contents": CONTENTS})
        self.assertEqual(told[taken.id]["problems"], [f"The subdomain “{self.tenant.subdomain}” is taken."])
        for problem, words in zip(told[lacking.id]["problems"], ("Switch", "is reserved", "one dump"), strict=True):
            self.assertIn(words, problem)
        self.assertEqual(self.made.mapped("state"), ["draft"] * 3)
        self.assertEqual(self.env["loomworks.tenant"].search_count([]), tenants)
        self.assertTrue(good.action_import(), "what has no problem begins")
        with self.assertRaises(AccessError):
            good.with_user(self.auditor).action_dry_run()

    def test_two_imports_of_one_subdomain_are_told(self):
        imports = self.env["loomworks.import"].with_user(self.operator)
        shared = {"plan_id": self.plan.id, "cluster_id": self.cluster.id, "name": "Old", "subdomain": "old-one"}
        both = imports.create([{**shared, "source": name} for name in ("a.zip", "b.zip")])
        for one in both.action_dry_run():
            self.assertIn("The subdomain “old-one” is taken.", one["problems"])
        self.assertNotIn("taken", str(both[0].action_dry_run()))

    def test_script_is_told_of_each_line_of_a_list(self):
        text = f"{LIST}Third;third;none;lacking;;\n"
        told = self.batch(text).action_dry_run()
        self.assertEqual([(one["number"], one["state"]) for one in told], [(2, "good"), (3, "good"), (4, "bad")])
        self.assertIn("none", told[2]["problems"])
        self.assertEqual((told[0]["files"], told[0]["bytes"]), (12, 3_000_000))
        self.assertFalse(self.made)
