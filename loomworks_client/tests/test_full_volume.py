"""A full volume: told in words, nothing half kept, everything read."""

import errno
import json
import os
from pathlib import Path
from unittest.mock import patch

from odoo.addons.base.models.ir_attachment import IrAttachment as Base
from odoo.exceptions import UserError
from odoo.tests import HttpCase, tagged

from .. import volume
from ..models import ir_attachment
from .common import ClientCase

FULL = volume.Room(5 * 1024**3, 1024)


@tagged("post_install", "-at_install")
class TestFullVolume(ClientCase):
    def setUp(self):
        super().setUp()
        self.env["ir.config_parameter"].sudo().set_param("ir_attachment.location", "file")
        self.attachments = self.env["ir.attachment"].with_user(self.admin)

    def fill(self):
        self.startPatcher(patch.object(volume, "room", lambda path: FULL))

    def path_of(self, content):
        rows = self.env["ir.attachment"]
        path = Path(rows._get_path(content, rows._compute_checksum(content))[1])
        self.addCleanup(path.unlink, missing_ok=True)
        return path

    def test_file_without_room_is_refused_in_words_and_leaves_nothing(self):
        self.fill()
        content = os.urandom(64)
        with self.assertRaisesRegex(UserError, "storage of this Odoo is full"):
            self.attachments.create({"name": "a", "raw": content})
        self.assertFalse(self.path_of(content).exists())

    def test_what_is_there_is_read_and_linked_on_a_full_volume(self):
        content = os.urandom(64)
        self.path_of(content)
        first = self.attachments.create({"name": "a", "raw": content})
        self.fill()
        self.assertEqual(first.raw, content)
        self.assertEqual(self.attachments.create({"name": "b", "raw": content}).raw, content)

    def test_half_a_file_does_not_stay_to_be_taken_for_the_whole(self):
        content = os.urandom(64)
        path = self.path_of(content)

        def half(model, value, checksum):
            path.write_bytes(value[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        with patch.object(Base, "_file_write", half), self.assertRaisesRegex(UserError, "storage of this Odoo"):
            self.attachments.create({"name": "a", "raw": content})
        self.assertFalse(path.exists())
        again = self.attachments.create({"name": "a", "raw": content})
        self.assertEqual((again.raw, path.read_bytes()), (content, content))

    def test_no_room_for_the_folder_is_told_in_the_same_words(self):
        def full(model, value, checksum):
            raise OSError(errno.ENOSPC, "No space left on device")

        with patch.object(Base, "_get_path", full), self.assertRaisesRegex(UserError, "storage of this Odoo is full"):
            self.attachments.create({"name": "a", "raw": os.urandom(64)})

    def test_other_trouble_of_the_disk_is_not_called_full(self):
        content = os.urandom(64)
        with patch.object(Path, "exists", side_effect=OSError(errno.EIO, "I/O")), self.assertRaises(OSError):
            self.attachments._file_write(content, self.attachments._compute_checksum(content))

    def test_bundles_may_use_the_reserve_and_users_may_not_say_so(self):
        self.fill()
        content = os.urandom(64)
        path = self.path_of(content)
        with self.assertRaises(UserError):
            self.attachments.with_context(**{ir_attachment.MAY_USE_RESERVE: True}).create({"name": "a", "raw": content})
        bundle = {"name": "b", "raw": content, "url": "/web/assets/1/b.js", "type": "binary"}
        self.env["ir.attachment"].sudo().create(bundle)
        self.assertTrue(path.exists())


@tagged("post_install", "-at_install")
class TestFullVolumeToldToPages(HttpCase, ClientCase):
    def ask(self):
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": {}})
        return self.url_open("/loomworks/volume", data=body, headers={"Content-Type": "application/json"}).json()

    def test_pages_know_of_it(self):
        self.authenticate(self.admin.login, self.admin.login)
        self.assertEqual(self.ask()["result"], volume.room("/").state)
        with patch.object(volume, "room", lambda path: FULL):
            self.assertEqual(self.ask()["result"], "full")

    def test_strangers_are_told_nothing(self):
        self.assertNotIn("result", self.ask())
