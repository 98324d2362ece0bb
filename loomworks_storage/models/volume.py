"""Volumes as the cluster and its kubelets last described them: what is, beside what the tenants' rows say should be."""

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.kube import names, quantity
from odoo.addons.loomworks_tenant.models.plan import ACCESS_MODES

from ..volumes.claim import Growth
from ..volumes.forecast import Outlook

UNKNOWN = "unknown"
PHASES = [("Pending", "Pending"), ("Bound", "Bound"), ("Lost", "Lost")]  # Kubernetes' own words
GROWTHS = [
    (Growth.NONE.value, "Has its size"),
    (Growth.ASKED.value, "Grows"),
    (Growth.WAITS_FOR_POD.value, "Waits for a pod"),
    (Growth.FAILING.value, "Growing fails"),
    ("unanswered", "Nobody answers"),
    (Growth.INFEASIBLE.value, "Cannot grow so much"),
]
STUCK = ("failing", "unanswered", "infeasible")
WARNINGS = [("0", "Fine"), ("80", "Nearly full"), ("90", "Full soon")]
OUTLOOKS = [
    (Outlook.UNKNOWN.value, "Too little known"),
    (Outlook.STEADY.value, "Not growing"),
    (Outlook.GROWING.value, "Growing"),
]


class Volume(models.Model):
    """One tenant's volume. Rows are made and changed by looks at the cluster only."""

    _name = "loomworks.volume"
    _inherit = ["loomworks.own.defaults"]
    _description = "Volume"
    _order = "used_percent desc, id"
    _rec_name = "tenant_id"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade", index=True)
    cluster_id = fields.Many2one(related="tenant_id.cluster_id", store=True)
    tenant_state = fields.Selection(related="tenant_id.state", string="Tenant is")
    size = fields.Char(related="tenant_id.volume_size", help="What it is to have.")
    claim = fields.Char(compute="_compute_claim")
    phase = fields.Selection(PHASES, readonly=True)
    reason = fields.Char(readonly=True, help="Why it is not bound.")
    storage_class = fields.Char(readonly=True)
    access_mode = fields.Selection(ACCESS_MODES, readonly=True, help="Who may have it. Empty: unknown.")
    requested_bytes = fields.Float(digits=(20, 0), readonly=True)
    capacity_bytes = fields.Float(digits=(20, 0), readonly=True, help="0 until there is a volume.")
    growth = fields.Selection(GROWTHS, readonly=True)
    growth_message = fields.Char(readonly=True)
    growing_since = fields.Datetime(readonly=True)

    read_at = fields.Datetime("Read", readonly=True, help="When the kubelet measured it. Empty: never yet.")
    used_bytes = fields.Float(digits=(20, 0), readonly=True)
    size_bytes = fields.Float("File system (bytes)", digits=(20, 0), readonly=True)
    used_percent = fields.Float("Used (%)", digits=(5, 1), readonly=True, aggregator="avg")
    inodes = fields.Float(digits=(20, 0), readonly=True, help="0: the file system names no limit.")
    inodes_used = fields.Float(digits=(20, 0), readonly=True)
    inodes_percent = fields.Float("Inodes used (%)", digits=(5, 1), readonly=True, aggregator="avg")
    usage_ids = fields.One2many("loomworks.volume.usage", "volume_id", "Readings", readonly=True)

    warning = fields.Selection(WARNINGS, required=True, readonly=True, default="0")
    outlook = fields.Selection(OUTLOOKS, required=True, readonly=True, default=Outlook.UNKNOWN.value)
    per_day_bytes = fields.Float("Bytes a day", digits=(20, 0), readonly=True)
    full_on = fields.Date("Full on", readonly=True)
    forecast_at = fields.Datetime(readonly=True)

    archived_on = fields.Datetime("Tenant archived on", related="tenant_id.foreseen_archive_at")
    deleted_on = fields.Datetime(related="tenant_id.foreseen_erase_at", help="With the database and the backups.")

    requested = fields.Char(compute="_compute_words")
    capacity = fields.Char(compute="_compute_words")
    used = fields.Char(compute="_compute_words")
    forecast = fields.Char(compute="_compute_forecast")

    _one_a_tenant = models.UniqueIndex("(tenant_id)", "A tenant has one volume.")

    @api.depends("tenant_id.uuid")
    def _compute_claim(self):
        for volume in self:
            volume.claim = names.volume_claim(volume.tenant_id.uuid) if volume.tenant_id.uuid else False

    @api.depends("requested_bytes", "capacity_bytes", "used_bytes", "read_at")
    def _compute_words(self):
        for volume in self:
            volume.requested = _words(volume.requested_bytes, quantity.canonical)
            volume.capacity = _words(volume.capacity_bytes, quantity.canonical)
            volume.used = quantity.readable(volume.used_bytes) if volume.read_at else UNKNOWN

    @api.depends("outlook", "per_day_bytes", "full_on")
    def _compute_forecast(self):
        texts = {
            Outlook.UNKNOWN.value: self.env._("Too little is known yet: it takes readings of a day."),
            Outlook.STEADY.value: self.env._("It is not growing noticeably."),
        }
        for volume in self:
            volume.forecast = texts.get(volume.outlook) or self.env._(
                "Full about %(day)s, at %(rate)s a day.",
                day=fields.Date.to_string(volume.full_on),
                rate=quantity.readable(volume.per_day_bytes),
            )

    @property
    def is_stuck(self):
        """Tell whether growing it does not get on by itself."""
        return self.growth in STUCK

    def action_resize(self):
        """Ask for a new size."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_storage.action_volume_resize")
        return {**action, "context": {"default_tenant_id": self.tenant_id.id}}

    def action_look_again(self):
        """Have the volumes of all clusters looked at now, or as soon as nothing else is being done."""
        self.env["loomworks.cluster"].action_look_at_volumes()

    def action_open_tenant(self):
        """Show the tenant."""
        self.ensure_one()
        return self.tenant_id.get_formview_action()


def _words(count, write):
    return write(int(count)) if count else UNKNOWN
