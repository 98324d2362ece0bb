"""The client addon stays."""

from odoo import models
from odoo.exceptions import UserError

CLIENT_MODULE = "loomworks_client"


class IrModuleModule(models.Model):
    """Modules of which this one is not the tenant's to remove."""

    _inherit = "ir.module.module"

    def write(self, vals):
        """Refuse to mark the client addon for removal."""
        if vals.get("state") == "to remove" and CLIENT_MODULE in self.mapped("name"):
            self._check_may_remove_client()
        return super().write(vals)

    def _check_may_remove_client(self):
        if not self.env["res.users"]._acts_for_platform():
            raise UserError(self.env._("Your hosting needs the module “%s”: it cannot be uninstalled.", CLIENT_MODULE))
