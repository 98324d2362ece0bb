"""The size of a tenant's volume: its plan's at first, its own from then on, and never less than it was."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import InvalidQuantity, QuotaExceeded
from odoo.addons.loomworks_tenant.kube import quantity
from odoo.addons.loomworks_tenant.reconciler.engine import StepState
from odoo.exceptions import UserError

from ..reconciler.steps import VolumeGrowth
from ..volumes.errors import ExpansionFails, ExpansionInfeasible, ExpansionNotAllowed
from .volume import UNKNOWN

REFUSED_CODES = {QuotaExceeded.code, ExpansionNotAllowed.code}  # the claim was never asked to grow
STUCK_CODES = {ExpansionFails.code, ExpansionInfeasible.code, *REFUSED_CODES}
VOLUME_FIELDS = frozenset({"volume_size", "volume_resized_at"})
MEASURED_AFTER = timedelta(seconds=20)  # a kubelet looks at a new volume within a minute; most much sooner
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
    volume_ids = fields.One2many("loomworks.volume", "tenant_id", readonly=True)
    volume_phase = fields.Selection(related="volume_ids.phase", help="Of the claim. Empty: unknown.")
    volume_phase_reason = fields.Char(related="volume_ids.reason", string="Cause", help="Why it is not bound.")
    volume_access_mode = fields.Selection(related="volume_ids.access_mode", string="Volume's access mode")
    volume_requested = fields.Char(compute="_compute_volume_status", help="What the claim asks for.")
    volume_capacity = fields.Char(compute="_compute_volume_status", help="What the cluster says that it has.")
    volume_used = fields.Char(compute="_compute_volume_status", help="What the kubelet measured.")
    volume_used_percent = fields.Float(related="volume_ids.used_percent", string="Volume used (%)")
    volume_inodes = fields.Char(compute="_compute_volume_status", help="Used, of how many.")
    volume_read_at = fields.Datetime(related="volume_ids.read_at", string="Volume read")
    volume_growth = fields.Selection(related="volume_ids.growth", string="Volume's growth")
    volume_growth_message = fields.Char(related="volume_ids.growth_message")
    volume_warning = fields.Selection(related="volume_ids.warning", string="Volume's warning")
    volume_chart = fields.Json(related="volume_ids.chart")
    volume_forecast = fields.Char(related="volume_ids.forecast", string="Forecast")

    @api.depends("plan_id.volume_size")
    def _compute_volume_size(self):
        """Take the plan's size; a volume that is there already only grows."""
        for tenant in self:
            own = tenant.volume_size if tenant.server_id else False
            tenant.volume_size = max(filter(None, (tenant.plan_id.volume_size, own)), key=_bytes, default=False)

    @api.depends("volume_ids")
    def _compute_volume_status(self):
        """Say in Kubernetes' notation how the volume was found; what nobody has read is unknown, not 0."""
        for tenant in self:
            volume = tenant.volume_ids
            tenant.volume_requested = volume.requested or UNKNOWN
            tenant.volume_capacity = volume.capacity or UNKNOWN
            tenant.volume_used = volume.used or UNKNOWN
            known = volume.read_at and volume.inodes
            tenant.volume_inodes = f"{volume.inodes_used:.0f} / {volume.inodes:.0f}" if known else UNKNOWN

    def resize_volume(self, size):
        """Have the tenants' volumes grow while they work; refused when smaller, with the reason.

        A resize that the storage could not do is taken back by a smaller one, above what the volume has; one that was
        never asked for, as a quota or the storage class refuse it, by the very size that the volume has.

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

    def action_volume(self):
        """Show the volume."""
        self.ensure_one()
        return self.volume_ids.get_formview_action()

    def _check_volume_size(self, wanted):
        """Refuse less than the volume has, or will have soon."""
        least, has = self._least_volume_size()
        if wanted < least:
            raise UserError(
                self.env._(
                    "The volume of “%(name)s” has %(has)s: a volume only grows, it cannot become %(wanted)s. "
                    "For a smaller one, make a copy of the tenant on a plan with a smaller volume.",
                    name=self.name,
                    has=quantity.canonical(has),
                    wanted=quantity.canonical(wanted),
                )
            )

    def _least_volume_size(self):
        """Return the least bytes that may be asked for, and how many the volume has, or will have soon.

        Once a claim has asked for more, Kubernetes takes nothing back but what is above its capacity.
        """
        if not self.server_id:
            return 0, 0
        volume, code = self.sudo().volume_ids, self._growth_code()
        capacity, asked = int(volume.capacity_bytes), int(volume.requested_bytes)
        if not capacity or not (volume.is_stuck or code in STUCK_CODES):
            has = max(_bytes(self.volume_size), asked)
            return has, has
        return capacity + (code not in REFUSED_CODES or asked > capacity), capacity

    def _growth_code(self):
        """Return the code of what is in the way of the volume's growth; False: nothing is."""
        return self.sudo().step_ids.filtered(lambda one: one.code == VolumeGrowth.code).error_code

    def _set_volume_size(self, wanted, why=""):
        """Have the volume grow after the commit."""
        before = self.volume_size
        if _bytes(before) == wanted:
            return
        self.write({"volume_size": quantity.canonical(wanted), "volume_resized_at": fields.Datetime.now()})
        said = f"{before} -> {self.volume_size}"
        self.env["loomworks.audit"]._record("resize_volume", self, f"{said}: {why}" if why else said)
        self._reconcile_if_changed()

    def _record(self, row, line, outcome):
        """Have a volume that has just been made, or has grown, measured soon."""
        result = super()._record(row, line, outcome)
        if row.code == VolumeGrowth.code and outcome.state == StepState.DONE:
            self.env["loomworks.cluster"]._look_at_volumes(MEASURED_AFTER)
        return result

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | VOLUME_FIELDS


def _bytes(size):
    return quantity.size(size) if size else 0
