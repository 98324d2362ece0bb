"""Attachments' files: those of deleted ones stay for a while, and a full volume is told of in words.

Files of deleted attachments stay for as long as the tenant may be brought back to a moment when they were there.
"""

import time
from pathlib import Path

from odoo import api, models
from odoo.exceptions import UserError

from .. import volume

KEPT = "checklist.kept"
DAYS = "loomworks.files_kept_days"
DEFAULT_DAYS = 15  # a day more than every moment can be restored by default
DAY = 24 * 3600  # seconds
BUNDLES = "/web/assets/"
MAY_USE_RESERVE = "loomworks_may_use_reserve"


class IrAttachment(models.Model):
    """Attachments whose garbage waits: what is marked today is collected when nobody can go back to before it."""

    _inherit = "ir.attachment"

    def _gc_file_store_unsafe(self):
        """Set the marks aside as they come, and let only those be seen that are old enough."""
        checklist, kept = Path(self._full_path("checklist")), Path(self._full_path(KEPT))
        days = self.env["ir.config_parameter"].sudo().get_param(DAYS) or DEFAULT_DAYS
        oldest = time.time() - int(days) * DAY
        for mark in _marks(checklist):
            _move(mark, kept)
        for mark in _marks(kept):
            if mark.stat().st_mtime < oldest:
                _move(mark, checklist)
        return super()._gc_file_store_unsafe()

    @api.model_create_multi
    def create(self, vals_list):
        """Let bundles use the last of the room: without them there is no page to read on."""
        if self.env.su and all((vals.get("url") or "").startswith(BUNDLES) for vals in vals_list):
            return super(IrAttachment, self.with_context(**{MAY_USE_RESERVE: True})).create(vals_list)
        return super().create(vals_list)

    @api.model
    def _get_path(self, bin_data, sha):
        """Say in words, too, that there is no room for a file's folder: it is made before anything is written."""
        try:
            return super()._get_path(bin_data, sha)
        except OSError as error:
            if error.errno in volume.FULL:
                raise self._no_room() from error
            raise

    @api.model
    def _file_write(self, bin_value, checksum):
        """Refuse a file that has no room, and leave no half of one: Odoo would take that for the whole, for ever."""
        path = None
        try:
            path = Path(self._get_path(bin_value, checksum)[1])
            path = None if path.exists() else path
            self._check_room(len(bin_value) if path else 0)
            return super()._file_write(bin_value, checksum)
        except OSError as error:
            if path:
                path.unlink(missing_ok=True)
            if error.errno in volume.FULL:
                raise self._no_room() from error
            raise

    def _check_room(self, count):
        may_use_reserve = self.env.su and self.env.context.get(MAY_USE_RESERVE)
        if count and not may_use_reserve and not volume.room(self._filestore()).takes(count):
            raise self._no_room()

    def _no_room(self):
        return UserError(
            self.env._(
                "The storage of this Odoo is full: the file has not been kept. Everything that is there can be read. "
                "Ask your administrator for more room; then do this again."
            )
        )


def _marks(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def _move(mark, folder):
    """Move a mark with its time; a newer one of the same file takes the older one's place."""
    target = folder / mark.parent.name / mark.name
    target.parent.mkdir(parents=True, exist_ok=True)
    mark.replace(target)
