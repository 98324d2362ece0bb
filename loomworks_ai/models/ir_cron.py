"""Scheduled work that an operation has asked for runs later, on its own."""

from odoo import models

from . import requests


class IrCron(models.Model):
    """Scheduled actions, of which operations take note when they start one."""

    _inherit = "ir.cron"

    def _trigger_list(self, at_list):
        operation = requests.current(self.env.cr)
        if operation is not None and at_list:
            operation.note_at_commit(self.env.cr._cnx, "cron", name=self.sudo().name or "", at=str(min(at_list)))
        return super()._trigger_list(at_list)
