"""The control plane's key stays."""

from odoo import models


class ResUsersApikeys(models.Model):
    """Keys of which the service user's are the platform's alone."""

    _inherit = "res.users.apikeys"

    def _remove(self):
        """Remove keys, but not the control plane's."""
        self.sudo().user_id._check_service_user_untouched()
        return super()._remove()
