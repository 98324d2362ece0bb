"""What the storage has written down of a tenant that is gone."""

from odoo import models


class Tenant(models.Model):
    """A tenant whose resets, imports and backups are forgotten with its name."""

    _inherit = "loomworks.tenant"

    def _may_forget_names(self):
        """What is in S3 yet is known by its backups' rows."""
        left = self.sudo().files_backup_ids.filtered(lambda one: one.manifest and not one.removed)
        return super()._may_forget_names() and not left

    def _forget_names(self):
        """Remove what was done to it; an import of it that is over has no name of its source any more."""
        for tenant in self.sudo():
            tenant.reset_ids.unlink()
            tenant.files_backup_ids.unlink()
            imports = self.env["loomworks.import"].sudo().search([("tenant_id", "=", tenant.id)])
            imports.write({"state": "erased", "reconcile_at": False})
            imports.unlink()
        return super()._forget_names()
