"""When the files of deleted attachments go."""

import os
import time
from pathlib import Path

from odoo.tests import tagged

from ..models.ir_attachment import DAY, DAYS, KEPT
from .common import ClientCase


@tagged("post_install", "-at_install")
class TestKeptFiles(ClientCase):
    def setUp(self):
        super().setUp()
        self.env["ir.config_parameter"].sudo().set_param("ir_attachment.location", "file")
        attachment = self.env["ir.attachment"].create({"name": "kept.txt", "raw": os.urandom(32)})
        self.name = attachment.store_fname
        self.file = Path(attachment._full_path(self.name))
        self.mark = Path(attachment._full_path(KEPT)) / self.name
        self.env["ir.attachment"]._mark_for_gc(self.name)
        self.attachment = attachment
        self.addCleanup(lambda: self.file.unlink(missing_ok=True))
        self.addCleanup(lambda: self.mark.unlink(missing_ok=True))

    def collect(self):
        self.env.flush_all()
        self.env["ir.attachment"]._gc_file_store_unsafe()

    def age(self, days):
        moment = time.time() - days * DAY
        os.utime(self.mark, (moment, moment))

    def test_file_of_a_deleted_attachment_stays_until_its_time(self):
        self.env.cr.execute("DELETE FROM ir_attachment WHERE id = %s", [self.attachment.id])
        self.collect()
        self.assertTrue(self.file.exists())
        self.age(14)
        self.collect()
        self.assertTrue(self.file.exists())
        self.age(16)
        self.collect()
        self.assertFalse(self.file.exists())
        self.assertFalse(self.mark.exists())

    def test_file_of_a_living_attachment_stays(self):
        self.collect()
        self.age(16)
        self.collect()
        self.assertTrue(self.file.exists())
        self.assertFalse(self.mark.exists())

    def test_days_are_the_platforms(self):
        self.env["ir.config_parameter"].sudo().set_param(DAYS, "2")
        self.env.cr.execute("DELETE FROM ir_attachment WHERE id = %s", [self.attachment.id])
        self.collect()
        self.age(3)
        self.collect()
        self.assertFalse(self.file.exists())
