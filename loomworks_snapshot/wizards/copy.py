"""Ask what a copy of a tenant is to be called, and say what that means, before it is made."""

from odoo import api, fields, models


class TenantCopyWizard(models.TransientModel):
    """Make a copy of a tenant, as of a moment or a snapshot."""

    _name = "loomworks.tenant.copy"
    _inherit = ["loomworks.moment.choice"]
    _description = "Copy a tenant"

    name = fields.Char(required=True)
    subdomain = fields.Char(required=True)
    neutralise = fields.Boolean(
        "For tests: nothing leaves it",
        default=True,
        help="No mail, scheduled action, payment or webhook; the original's API keys are not in it.",
    )

    @api.model
    def default_get(self, names):
        """Propose names, too."""
        values = super().default_get(names)
        tenant = self.env["loomworks.tenant"].browse(values.get("tenant_id"))
        if tenant:
            values |= {"name": self.env._("%s (test)", tenant.name), "subdomain": f"{tenant.subdomain[:58]}-test"}
        return values

    def action_confirm(self):
        """Begin the copy, and show it."""
        self.ensure_one()
        what = {"name": self.name, "subdomain": self.subdomain, "neutralise": self.neutralise}
        if self.snapshot_id:
            number = self.snapshot_id.action_clone(**what)
        else:
            number = self.tenant_id.action_clone(**what, moment=self.moment)
        return self._show("loomworks.tenant", number)
