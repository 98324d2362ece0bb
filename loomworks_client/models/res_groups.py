"""Groups can make users internal ones, too."""

from odoo import api, models

MEMBER_FIELDS = {"user_ids", "all_user_ids", "implied_ids", "implied_by_ids"}


class ResGroups(models.Model):
    """Groups whose members stay within the limit of users."""

    _inherit = "res.groups"

    @api.model_create_multi
    def create(self, vals_list):
        """Create groups within the limit of users."""
        with self.env["res.users"]._within_user_limit():
            return super().create(vals_list)

    def write(self, vals):
        """Change groups within the limit of users."""
        if not MEMBER_FIELDS & vals.keys():
            return super().write(vals)
        with self.env["res.users"]._within_user_limit():
            return super().write(vals)
