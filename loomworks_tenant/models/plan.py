"""The catalogue: what a tenant of each plan gets."""

import re

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..errors import InvalidQuantity
from ..kube import quantity

TIERS = [("basic", "Basic"), ("pro", "Pro"), ("enterprise", "Enterprise")]
ACCESS_MODES = [
    ("ReadWriteOnce", "One node"),
    ("ReadWriteOncePod", "One pod"),
    ("ReadWriteMany", "Several nodes"),
]  # Kubernetes' own
MODULE_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
CLIENT_MODULES = ("base", "web", "loomworks_client", "loomworks_ai")  # every tenant has these


class Plan(models.Model):
    """A plan: sizes and limits of its tenants, and the modules of its template database."""

    _name = "loomworks.plan"
    _inherit = ["loomworks.setting"]
    _description = "Plan"
    _order = "sequence, id"

    name = fields.Char(required=True, translate=True)
    code = fields.Char(required=True, copy=False, help="Short name: letters, digits and underscores.")
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True)
    tier = fields.Selection(TIERS, required=True, default="basic")
    description = fields.Text(translate=True)

    volume_size = fields.Char(
        required=True, default="10Gi", help="In Kubernetes' notation: 10Gi, 512Mi. 10G is read as 10Gi."
    )
    mount_path = fields.Char(required=True, default="/var/lib/odoo")
    storage_class = fields.Char(help="Empty: the cluster's own setting.")
    access_mode = fields.Selection(
        ACCESS_MODES,
        required=True,
        default="ReadWriteOnce",
        help="Who may have a new tenant's volume; one that is there keeps its own. With “One pod” files are backed up "
        "only while the tenant is suspended, and a restore stops its Odoo for as long as its files are compared.",
    )
    cpu_request = fields.Char(required=True, default="100m")
    cpu_limit = fields.Char(required=True, default="2")
    memory_request = fields.Char(required=True, default="256Mi")
    memory_limit = fields.Char(required=True, default="1Gi")
    connection_limit = fields.Integer(
        "Database connections", required=True, default=20, help="The most connections of one tenant's role."
    )

    max_users = fields.Integer("Users", required=True, default=5, help="0: as many as they like.")
    max_storage_gb = fields.Float("Storage (GB)", required=True, default=10)
    max_ai_operations_daily = fields.Integer("AI operations a day", required=True, default=100)
    retention_days = fields.Integer(
        "Kept after the end (days)", required=True, default=30, help="Volume and database of an archived tenant."
    )

    module_names = fields.Char("Modules", help="Technical names, separated by commas.")
    language_codes = fields.Char("Languages", default="en_US", help="Codes, separated by commas: en_US, fr_FR.")
    keep_template_ready = fields.Boolean(
        default=True, help="Build the template database before the first tenant of this plan asks for it."
    )
    template_ids = fields.One2many("loomworks.template", "plan_id", "Templates")
    tenant_ids = fields.One2many("loomworks.tenant", "plan_id", "Tenants")
    tenant_count = fields.Integer(compute="_compute_tenant_count")

    _code_unique = models.Constraint("unique(code)", "There is a plan of this code already.")

    @api.depends("tenant_ids.state")
    def _compute_tenant_count(self):
        domain = [("plan_id", "in", self.ids), ("state", "!=", "archived")]
        counts = dict(self.env["loomworks.tenant"]._read_group(domain, ["plan_id"], ["__count"]))
        for plan in self:
            plan.tenant_count = counts.get(plan, 0)

    @api.constrains("code")
    def _check_code(self):
        for plan in self:
            if not MODULE_NAME.match(plan.code) or len(plan.code) > 20:
                raise ValidationError(
                    self.env._(
                        "The code “%s” must be at most 20 small letters, digits and underscores, "
                        "beginning with a letter.",
                        plan.code,
                    )
                )

    @api.constrains("module_names")
    def _check_module_names(self):
        for plan in self:
            wrong = [name for name in plan._modules() if not MODULE_NAME.match(name)]
            if wrong:
                raise ValidationError(self.env._("No technical name of a module: %s", ", ".join(wrong)))

    @api.constrains("volume_size", "cpu_request", "cpu_limit", "memory_request", "memory_limit")
    def _check_quantities(self):
        for plan in self:
            for name in ("volume_size", "cpu_request", "cpu_limit", "memory_request", "memory_limit"):
                read = quantity.size if name == "volume_size" else quantity.amount
                try:
                    read(plan[name])
                except InvalidQuantity as error:
                    raise ValidationError(
                        self.env._(
                            "%(field)s: “%(value)s” is no quantity. Write it as Kubernetes does: 250m, 2, 512Mi, 10Gi.",
                            field=self._fields[name].string,
                            value=plan[name],
                        )
                    ) from error

    @api.model
    def _keep_ready(self, codes):
        """Have only the templates of these plans built ahead (a small machine); None: as each plan says."""
        if codes is not None:
            for plan in self.search([]):
                plan.keep_template_ready = plan.code in codes.split(",")

    def _modules(self):
        """Return the technical names of the template's modules, those of every tenant first."""
        named = [name.strip() for name in (self.module_names or "").split(",") if name.strip()]
        return tuple(dict.fromkeys((*CLIENT_MODULES, *sorted(named))))

    def _languages(self):
        return tuple(code.strip() for code in (self.language_codes or "en_US").split(",") if code.strip())

    @api.model_create_multi
    def create(self, vals_list):
        """Make plans, their sizes written as Kubernetes does."""
        return super().create([self._canonical_size(vals) for vals in vals_list])

    @api.model
    def _canonical_size(self, vals):
        """Return the values with “10G” as 10Gi; what is no size is left to the constraint."""
        try:
            return {**vals, "volume_size": quantity.canonical(quantity.size(vals["volume_size"]))}
        except (KeyError, TypeError, AttributeError, InvalidQuantity):
            return vals

    def write(self, vals):
        """Change it, and have its tenants reconciled where that concerns them."""
        done = super().write(self._canonical_size(vals))
        self.tenant_ids._reconcile_if_changed()
        return done

    def _after_undo(self):
        """Have the tenants of a plan reconciled that an undo has changed past `write`."""
        self.tenant_ids._reconcile_if_changed()
