"""The size of a tenant's volume: its plan's at first, its own from then on, and never less than it was."""

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import InvalidQuantity
from odoo.addons.loomworks_tenant.kube import quantity
from odoo.exceptions import UserError

VOLUME_FIELDS = frozenset({"volume_size", "volume_resized_at"})
RESIZED_IN = {"draft", "provisioning", "active", "suspended"}


class Tenant(models.Model):
    """A tenant whose volume grows."""

    _inherit = "loomworks.tenant"

    volume_size = fields.Char(
        compute="_compute_volume_size",
        store=True,
        copy=False,
        help="In Kubernetes' notation. It follows the plan upwards, and grows by itself where the plan says so.",
    )
    volume_resized_at = fields.Datetime("Volume resized", readonly=True, copy=False)

    @api.depends("plan_id.volume_size")
    def _compute_volume_size(self):
        """Take the plan's size; a volume that is there already only grows."""
        for tenant in self:
            own = tenant.volume_size if tenant.server_id else False
            tenant.volume_size = max(filter(None, (tenant.plan_id.volume_size, own)), key=_bytes, default=False)

    def resize_volume(self, size):
        """Have the tenants' volumes grow while they work; refused when smaller, with the reason.

        A resize that the storage could not do is taken back by a smaller one, above what the volume has.

        :param size: in Kubernetes' notation; “10G” is 10Gi
        """
        self._check_operator()
        self._check_state(RESIZED_IN, "resize_volume")
        try:
            wanted = quantity.size(str(size or ""))
        except InvalidQuantity as error:
            raise UserError(str(error)) from error
        for tenant in self:
            tenant._check_volume_size(wanted)
        for tenant in self.sudo():
            tenant._set_volume_size(wanted)
        return True

    def _check_volume_size(self, wanted):
        """Refuse less than the volume has; while a resize is under way, or has failed, it has its capacity."""
        least = self._least_volume_size()
        if wanted < least:
            raise UserError(
                self.env._(
                    "The volume of “%(name)s” has %(least)s: a volume only grows, it cannot become %(wanted)s. "
                    "For a smaller one, make a copy of the tenant with a smaller plan.",
                    name=self.name,
                    least=quantity.canonical(least),
                    wanted=quantity.canonical(wanted),
                )
            )

    def _least_volume_size(self):
        """Return the bytes below which the volume cannot be; addons that know its capacity know better."""
        return _bytes(self.volume_size) if self.server_id else 0

    def _set_volume_size(self, wanted, why=""):
        """Have the volume grow after the commit."""
        before = self.volume_size
        if _bytes(before) == wanted:
            return
        self.write({"volume_size": quantity.canonical(wanted), "volume_resized_at": fields.Datetime.now()})
        said = f"{before} -> {self.volume_size}"
        self.env["loomworks.audit"]._record("resize_volume", self, f"{said}: {why}" if why else said)
        self._reconcile_if_changed()

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | VOLUME_FIELDS


def _bytes(size):
    return quantity.size(size) if size else 0
