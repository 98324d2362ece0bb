"""Where tenants are: clusters, and the database servers in them."""

from odoo import api, fields, models


class Place(models.AbstractModel):
    """A place of tenants; one that is inactive keeps those that it has."""

    _name = "loomworks.place"
    _description = "Place of tenants"
    _tenant_field = None  # of loomworks.tenant, which names the place

    active = fields.Boolean(default=True, help="An inactive one keeps its tenants and gets no new ones.")

    @api.model
    def _in_use(self):
        """Return those that have to be looked after: all that are active, and whichever have a tenant still."""
        found = self.with_context(active_test=False).search([])
        domain = [(self._tenant_field, "in", found.ids), ("erased_at", "=", False)]
        groups = self.env["loomworks.tenant"].sudo()._read_group(domain, [self._tenant_field])
        inhabited = {place.id for (place,) in groups}
        return self.browse(one.id for one in found if one.active or one.id in inhabited)
