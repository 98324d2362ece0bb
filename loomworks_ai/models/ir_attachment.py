"""Files that an undo may need are not collected as garbage."""

from pathlib import Path

from odoo import api, models

from .. import journal


class IrAttachment(models.Model):
    """Attachments; the files of deleted ones stay as long as the journal could bring them back."""

    _inherit = "ir.attachment"

    def _gc_file_store_unsafe(self):
        """Take what the journal names off the list of garbage; it is put there again when the journal forgets it."""
        checklist = Path(self._full_path("checklist"))
        names = [f"{path.parent.name}/{path.name}" for path in checklist.rglob("*") if path.is_file()]
        with self.env.cr._cnx.cursor() as cr:
            for name in journal.named_files(cr, names):
                (checklist / name).unlink()
        return super()._gc_file_store_unsafe()

    @api.model
    def _collect_forgotten(self, names):
        """Have files looked at by the next collection; those that some attachment names stay."""
        for name in names:
            self._mark_for_gc(name)
