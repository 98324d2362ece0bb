"""Mail that has been sent cannot be called back."""

from odoo import models

from . import requests


class IrMailServer(models.Model):
    """Outgoing mail, of which operations take note."""

    _inherit = "ir.mail_server"

    def send_email(self, message, *args, **kwargs):
        """Send it, and note with the operation under way to whom."""
        result = super().send_email(message, *args, **kwargs)
        operation = requests.current(self.env.cr)
        if operation is not None:
            operation.note(
                "mail",
                to=str(message["To"] or ""),
                subject=str(message["Subject"] or ""),
                message_id=str(message["Message-Id"] or ""),
            )
        return result
