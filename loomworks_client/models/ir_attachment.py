"""Files of deleted attachments stay for as long as the tenant may be brought back to a moment when they were there."""

import time
from pathlib import Path

from odoo import models

KEPT = "checklist.kept"
DAYS = "loomworks.files_kept_days"
DEFAULT_DAYS = 15  # a day more than every moment can be restored by default
DAY = 24 * 3600  # seconds


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


def _marks(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def _move(mark, folder):
    """Move a mark with its time; a newer one of the same file takes the older one's place."""
    target = folder / mark.parent.name / mark.name
    target.parent.mkdir(parents=True, exist_ok=True)
    mark.replace(target)
