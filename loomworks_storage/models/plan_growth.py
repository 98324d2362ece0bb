"""How a plan lets volumes grow by themselves."""

from dataclasses import replace

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import InvalidQuantity
from odoo.addons.loomworks_tenant.kube import quantity
from odoo.exceptions import ValidationError

from ..volumes.policy import Rule

MIB = 1024**2  # bytes


class Plan(models.Model):
    """A plan with a rule of growth."""

    _inherit = "loomworks.plan"

    volume_grow_at = fields.Integer("Volume grows at (%)", required=True, default=0, help="0: not by itself.")
    volume_grow_by = fields.Integer("Volume grows by (%)", required=True, default=20)
    volume_ceiling = fields.Char("Volume grows up to", help="In Kubernetes' notation; nothing by itself beyond it.")

    _growth_sensible = models.Constraint(
        "CHECK(volume_grow_at BETWEEN 0 AND 99 AND volume_grow_by BETWEEN 1 AND 400)",
        "A volume grows at 1 to 99 % (0: not by itself), by 1 to 400 %.",
    )

    @api.constrains("volume_grow_at", "volume_ceiling")
    def _check_ceiling(self):
        for plan in self:
            if plan.volume_grow_at and not plan.volume_ceiling:
                raise ValidationError(self.env._("A volume that grows by itself needs a ceiling, like 50Gi."))
            try:
                plan._growth_rule()
            except InvalidQuantity as error:
                raise ValidationError(str(error)) from error

    def _growth_rule(self):
        self.ensure_one()
        ceiling = quantity.size(self.volume_ceiling) if self.volume_ceiling else 0
        return Rule(self.volume_grow_at, self.volume_grow_by, ceiling)


class Tenant(models.Model):
    """A tenant whose volume grows by its plan's rule, within the storage that it may have."""

    _inherit = "loomworks.tenant"

    max_storage_gb = fields.Float(help="In GiB. Its volume does not grow by itself beyond it. 0: no limit.")

    def _growth_rule(self):
        """Return the rule of the plan; what the tenant may have is a ceiling as well."""
        rule, limit = self.plan_id._growth_rule(), self._storage_limit()
        return replace(rule, ceiling=min(rule.ceiling, limit)) if limit else rule

    def _storage_limit(self):
        """Return how many bytes of storage the tenant may have, whole MiB; 0: as many as are wanted."""
        return int(self.max_storage_gb * 1024) * MIB
