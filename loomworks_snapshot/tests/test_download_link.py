"""The link to a file: bound to its row, its maker and its time; the file goes through a real S3."""

import hashlib
import logging
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from harness.s3_server import REGION, S3Server
from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger
from stack.settings import Settings

from ..controllers import download as controller
from ..restoring import download
from .test_download import DownloadCase

BUCKET = "loomworks-filestores"
CONTENT = os.urandom(5_300_000)


@tagged("post_install", "-at_install")
class TestDownloadLink(HttpCase, DownloadCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="loomworks-s3-")
        cls.addClassCleanup(folder.cleanup)
        cls.s3 = S3Server(Settings.from_environment(), Path(folder.name) / "s3")
        cls.addClassCleanup(cls.s3.stop)
        cls.s3.start()
        cls.s3.client().create_bucket(Bucket=BUCKET)

    def setUp(self):
        self._really_delete = download.delete
        super().setUp()
        environment = {"FILES_KEY": self.s3.key, "FILES_SECRET": self.s3.key_secret}
        self.startPatcher(patch.dict(os.environ, environment))
        values = {"endpoint": self.s3.endpoint, "bucket": BUCKET, "region": REGION, "ca_file": str(self.s3.ca_file)}
        self.cluster.write({f"files_{name}": value for name, value in values.items()})
        self.restore = self.make(size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
        self.restore._file().write([CONTENT[:1000], CONTENT[1000:]])

    def _delete(self, place, uuid, number):
        self._really_delete(place, uuid, number)

    def link(self, user=None):
        return self.restore.with_user(user or self.customer).action_download_link()["url"]

    def get(self, url, **options):
        return self.url_open(url[url.index("/loomworks") :], timeout=60, **options)

    def audits(self):
        return [one for one in self.audited(self.tenant) if one == "export_download"]

    def assert_refused(self, status, url):
        answer = self.get(url)
        self.assertEqual((answer.status_code, answer.headers["Content-Type"]), (status, "text/html; charset=utf-8"))
        self.assertNotIn("Content-Disposition", answer.headers)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")

    def test_whoever_has_the_link_gets_the_file_and_each_time_is_noted(self):
        action = self.restore.with_user(self.customer).action_download_link()
        self.assertTrue(action["url"].startswith(self.restore.get_base_url()))
        left = fields.Datetime.to_datetime(action["expires_at"]) - fields.Datetime.now()
        self.assertAlmostEqual(left.total_seconds(), 86400, delta=60)
        for count in (1, 2):
            answer = self.get(action["url"])
            self.assertEqual((answer.status_code, answer.content == CONTENT), (200, True))
            self.assertEqual(len(self.audits()), count)
        self.assertEqual(answer.headers["Content-Type"], "application/zip")
        name = f"acme_{self.moment:%Y-%m-%d_%H-%M-%S}.zip"
        self.assertIn(name, answer.headers["Content-Disposition"])
        self.assertEqual(answer.headers["Content-Length"], str(len(CONTENT)))
        self.assertNotIn("session_id", answer.cookies)

    def test_link_is_in_no_log(self):
        path = self.link()[len(self.restore.get_base_url()) :]
        message, *args = '"%s" %s %s', f"GET {path} HTTP/1.1", "200", "-"
        record = logging.LogRecord("werkzeug", logging.INFO, "", 0, message, tuple(args), None)
        self.assertTrue(logging.getLogger("werkzeug").filter(record))
        self.assertEqual(record.getMessage(), '"GET /loomworks/download/... HTTP/1.1" 200 -')

    def test_asking_for_the_headers_is_no_download(self):
        answer = self.opener.head(self.base_url() + self.link()[self.link().index("/loomworks") :], timeout=60)
        self.assertEqual((answer.status_code, answer.headers["Content-Length"]), (200, str(len(CONTENT))))
        self.assertEqual(self.audits(), [])

    def test_what_is_no_link_is_not_found(self):
        url = self.link()
        for wrong in (url[:-1], url[:-6] + "AAAAAA", url.rpartition("/")[0] + "/x", url.rpartition("/")[0] + "/ü"):
            self.assert_refused(404, wrong)

    def test_link_ends_with_its_day(self):
        url = self.link()
        with patch.object(controller.time, "time", lambda: time.monotonic() + 10**10):
            self.assert_refused(410, url)
        self.restore.expires_at = fields.Datetime.now() + timedelta(hours=1)
        until = self.restore.with_user(self.customer).action_download_link()["expires_at"]
        self.assertEqual(fields.Datetime.to_datetime(until), self.restore.expires_at)

    def test_link_ends_with_the_file_and_with_its_makers_rights(self):
        url = self.link()
        self.tenant.sudo().admin_ids -= self.customer
        self.assert_refused(410, url)
        self.tenant.sudo().admin_ids += self.customer
        self.customer.active = False
        self.assert_refused(410, url)
        self.assertEqual(self.get(self.link(self.operator)).status_code, 200)
        url = self.link(self.operator)
        self.restore.action_delete_file()
        self.assert_refused(410, url)
        with self.assertRaisesRegex(UserError, "There is no file"):
            self.link(self.operator)

    @mute_logger("odoo.addons.loomworks_snapshot.controllers.download")
    def test_object_that_is_gone_or_another_is_said_to_be_gone(self):
        url = self.link()
        self.restore._file().write([CONTENT, b"more"])
        self.assert_refused(410, url)
        self.restore._delete_file()
        self.assert_refused(410, url)

    @mute_logger("odoo.addons.loomworks_snapshot.controllers.download")
    def test_store_that_does_not_answer_is_a_page_and_not_half_a_file(self):
        url = self.link()
        self.s3.stop()
        try:
            self.assert_refused(503, url)
        finally:
            self.s3.start()

    def test_so_many_at_once_and_no_more(self):
        url, running = self.link(), controller._running
        for others in (range(-controller.AT_ONCE, 0), [self.tenant.id] * controller.OF_ONE_TENANT):
            self.assertEqual({running.begin(one) for one in others}, {True})
            try:
                self.assert_refused(503, url)
            finally:
                for one in others:
                    running.end(one)
        for _one in range(controller.AT_ONCE + 1):
            self.assertEqual(self.get(url).status_code, 200)  # each gives back what it took

    def test_one_tenant_leaves_room_for_others(self):
        running = controller._Running()
        self.assertEqual([running.begin(1) for _one in range(3)], [True, True, False])
        self.assertTrue(running.begin(2))

    def test_download_that_is_dropped_before_it_is_sent_gives_its_place_back(self):
        running = controller._Running()
        with patch.object(controller, "_running", running):
            self.assertTrue(running.begin(self.tenant.id))
            body = controller._Body(iter(()), None, self.restore)
            del body
        self.assertEqual(running._count.total(), 0)

    def test_link_to_hand_on_is_shown(self):
        action = self.restore.with_user(self.customer).action_show_download_link()
        self.assertEqual(self.get(action["params"]["links"][0]["url"]).content, CONTENT)
