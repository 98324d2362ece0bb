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

    plan_id = fields.Many2one(
        "loomworks.plan",
        groups="loomworks_tenant.group_operator",
        help="A smaller one has a smaller volume: no volume shrinks, but a copy may begin with less.",
    )

    @api.model
    def default_get(self, names):
        """Propose names, too."""
        values = super().default_get(names)
        tenant = self.env["loomworks.tenant"].browse(values.get("tenant_id"))
        if tenant:
            values |= {"name": self.env._("%s (test)", tenant.name), "subdomain": f"{tenant.subdomain[:58]}-test"}
            if "plan_id" in names:
                values["plan_id"] = tenant.plan_id.id
        return values

    def action_confirm(self):
        """Begin the copy, and show it."""
        self.ensure_one()
        what = {"name": self.name, "subdomain": self.subdomain, "neutralise": self.neutralise}
        if self.env.user.has_group("loomworks_tenant.group_operator"):
            what["plan_id"] = self.plan_id.id
        if self.snapshot_id:
            number = self.snapshot_id.action_clone(**what)
        else:
            number = self.tenant_id.action_clone(**what, moment=self.moment)
        return self._show("loomworks.tenant", number)
