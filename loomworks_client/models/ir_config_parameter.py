"""The parameters by which the control plane tells a tenant its limits."""

from odoo import api, models
from odoo.exceptions import AccessError

PREFIX = "loomworks."


class IrConfigParameter(models.Model):
    """Parameters of which those of Loomworks are the platform's alone."""

    _inherit = "ir.config_parameter"

    @api.model_create_multi
    def create(self, vals_list):
        """Create parameters; those of Loomworks only as the platform."""
        self._check_platform_keys([vals.get("key") for vals in vals_list])
        return super().create(vals_list)

    def write(self, vals):
        """Change parameters; those of Loomworks only as the platform."""
        self._check_platform_keys([vals.get("key"), *self.mapped("key")])
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_platform_keys(self):
        self._check_platform_keys(self.mapped("key"))

    @api.model
    def _check_platform_keys(self, keys):
        guarded = sorted(key for key in keys if key and key.startswith(PREFIX))
        if guarded and not self.env["res.users"]._acts_for_platform():
            message = self.env._("%s is set by your hosting and cannot be changed here.", ", ".join(guarded))
            raise AccessError(message)
