"""What looks at buckets leave in the rows, and who may ask for one."""

import os
from unittest.mock import patch

from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.exceptions import UserError
from odoo.tests import tagged

from ..buckets import bucket as buckets
from ..buckets.bucket import Settings
from ..filestore.errors import StoreUnreachable
from .common import PLACE, silent_store

RULES = [
    {"ID": "a", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    {"ID": "b", "Status": "Enabled", "Expiration": {"Days": 30}},
]


@tagged("post_install", "-at_install")
class TestBucketCheck(TenantCase):
    def setUp(self):
        super().setUp()
        self.startPatcher(patch.dict(os.environ, {"FILES_KEY": "account", "FILES_SECRET": "s3cret"}))
        self.startPatcher(patch.object(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **options: 1.0))
        self.env["loomworks.cluster"].search([("id", "!=", self.cluster.id)]).active = False
        self.cluster.write(PLACE)
        self.asked = []

    def look(self, *rules, error=None):
        """Have the cron look at a bucket with these rules."""

        def read(bucket):
            self.asked.append(bucket)
            if error:
                raise error
            return Settings(None, {"Rules": list(rules)}, {}, None)

        with patch.object(buckets, "read", read):
            self.env["loomworks.cluster"]._cron_check_buckets()

    def test_what_was_found_is_told_with_what_to_do(self):
        self.look(*RULES)
        self.assertEqual((self.cluster.bucket_state, self.cluster.bucket_problem), ("wrong", False))
        self.assertTrue(self.cluster.bucket_checked_at)
        html = self.cluster.bucket_findings_html
        for text in ("“b” deletes objects after 30 day(s)", "Remove that rule", "are removed after 1 day(s)"):
            self.assertIn(text, html)
        (asked,) = self.asked
        self.assertEqual((asked.url, asked.name, asked.prefix), ("https://s3.example", "files", "filestores/"))
        self.assertNotIn("s3cret", str(self.cluster.read()))

    def test_name_of_a_rule_is_text_and_nothing_else(self):
        self.look({**RULES[1], "ID": "<img src=x>"})
        self.assertNotIn("<img", self.cluster.bucket_findings_html)

    def test_bucket_that_cannot_be_asked_is_unknown_whatever_it_was(self):
        self.look(*RULES)
        self.look(error=StoreUnreachable("the object store does not answer"))
        self.assertEqual(self.cluster.bucket_state, "unknown")
        self.assertEqual(self.cluster.bucket_problem, "the object store does not answer")
        self.assertFalse(self.cluster.bucket_findings)

    def test_cluster_without_a_bucket_says_nothing(self):
        self.cluster.files_bucket = False
        self.look(*RULES)
        self.assertFalse(self.asked)
        self.assertFalse(self.cluster.bucket_state)

    def test_look_does_not_touch_tenants(self):
        tenant = self.make_active()
        with patch.object(type(tenant), "_lay_out_steps") as laid_out:
            self.look(*RULES)
        laid_out.assert_not_called()

    def test_only_operators_have_it_looked_at(self):
        with patch.object(buckets, "read", lambda bucket: Settings(None, None, {}, None)):
            self.cluster.with_user(self.operator).action_check_bucket()
            self.assertEqual(self.cluster.bucket_state, "wrong")
            for user in (self.customer, self.auditor):
                with self.assertRaises(UserError):  # or an AccessError, which is one
                    self.cluster.with_user(user).action_check_bucket()

    def test_store_that_accepts_and_never_answers_holds_its_worker_for_seconds_only(self):
        longest = buckets.ATTEMPTS * (buckets.CONNECT_TIMEOUT + buckets.READ_TIMEOUT)
        self.assertLessEqual(longest, 20)
        self.startPatcher(patch.object(buckets, "READ_TIMEOUT", 0.2))
        with silent_store() as (address, asked):
            self.cluster.files_endpoint = address
            self.cluster.with_user(self.operator).action_check_bucket()
            self.assertEqual(asked(), buckets.ATTEMPTS)
        self.assertEqual(self.cluster.bucket_state, "unknown")
        self.assertIn("does not answer", self.cluster.bucket_problem)
