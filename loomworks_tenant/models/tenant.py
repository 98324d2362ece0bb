"""Tenants: what each should be. What is done about it is in ``tenant_reconcile.py``."""

import re
import uuid

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ..reconciler.spec import first_database

SUBDOMAIN = re.compile(r"^[a-z][a-z0-9-]{2,62}$")
RESERVED_SUBDOMAINS = frozenset(
    "admin administrator api app apps assets auth autoconfig autodiscover billing blog cdn console dashboard db demo "
    "docs edge ftp git help imap internal kubernetes localhost loomworks mail metrics monitoring mx news ns1 ns2 odoo "
    "pop portal postgres registry root s3 security smtp static status support system test webmail www".split()
)

STATES = [
    ("draft", "Draft"),
    ("provisioning", "Provisioning"),
    ("active", "Active"),
    ("suspended", "Suspended"),
    ("archived", "Archived"),
]

# A change of one of these is brought to the cluster.
RECONCILED_FIELDS = frozenset(
    ["name", "plan_id", "subdomain", "max_users", "max_storage_gb", "max_ai_operations_daily", "cluster_id"]
)
LIMITS = ("max_users", "max_storage_gb", "max_ai_operations_daily")
# Set by the model itself, never by hand: each has an action, or follows from one.
GUARDED_FIELDS = frozenset(
    "state uuid database_name previous_database switching server_id erased_at erase_requested converged_at".split()
)


class Tenant(models.Model):
    """A customer's own Odoo: one database, one namespace, one volume."""

    _name = "loomworks.tenant"
    _inherit = ["mail.thread", "loomworks.alarms", "loomworks.reconcilable"]
    _description = "Tenant"
    _order = "name, id"

    name = fields.Char(required=True, tracking=True)
    uuid = fields.Char("UUID", required=True, readonly=True, copy=False, default=lambda self: str(uuid.uuid4()))
    database_name = fields.Char(compute="_compute_database_name", store=True, readonly=True, copy=False)
    subdomain = fields.Char(required=True, copy=False, tracking=True, help="Served under <subdomain>.<domain>.")
    state = fields.Selection(
        STATES,
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        group_expand="_expand_states",
    )
    state_reason = fields.Char("Reason", readonly=True, copy=False, tracking=True)
    plan_id = fields.Many2one("loomworks.plan", required=True, ondelete="restrict", tracking=True)
    tier = fields.Selection(related="plan_id.tier", store=True)
    max_users = fields.Integer("Users", compute="_compute_max_users", store=True, readonly=False, tracking=True)
    max_storage_gb = fields.Float("Storage (GB)", compute="_compute_max_storage_gb", store=True, readonly=False)
    max_ai_operations_daily = fields.Integer(
        "AI operations a day", compute="_compute_max_ai_operations_daily", store=True, readonly=False
    )
    subscription_expires = fields.Date(tracking=True, help="On the day after, the tenant is suspended.")
    admin_ids = fields.Many2many(
        "res.users",
        "loomworks_tenant_admin_rel",
        "tenant_id",
        "user_id",
        "Administrators",
        help="Who sees this tenant here. The first one's login is the administrator's in the tenant's own Odoo.",
    )
    cluster_id = fields.Many2one(
        "loomworks.cluster",
        required=True,
        ondelete="restrict",
        default=lambda self: self.env["loomworks.cluster"].sudo().search([], limit=1),
    )
    previous_database = fields.Char(
        readonly=True,
        copy=False,
        help="The database that the tenant had before its last restore; it is kept for a while.",
    )
    switching = fields.Boolean(readonly=True, copy=False, help="From the previous database to the present one.")
    server_id = fields.Many2one(
        "loomworks.database.server", "Database server", ondelete="restrict", readonly=True, copy=False, index=True
    )
    public_url = fields.Char("Address", compute="_compute_public_url")
    restarted_at = fields.Datetime(readonly=True, copy=False)
    archived_at = fields.Datetime(readonly=True, copy=False)
    erase_at = fields.Datetime("Deleted on", readonly=True, copy=False, help="Volume and database are kept until then.")
    erase_requested = fields.Boolean(readonly=True, copy=False)
    erase_requested_at = fields.Datetime(compute="_compute_erase_requested_at", store=True)
    erased_at = fields.Datetime("Deleted", readonly=True, copy=False)

    _uuid_unique = models.Constraint("unique(uuid)", "There is a tenant of this UUID already.")
    _subdomain_unique = models.UniqueIndex(
        "(subdomain) WHERE erased_at IS NULL", "This subdomain is taken. Choose another one."
    )

    @api.depends("uuid")
    def _compute_database_name(self):
        for tenant in self:
            tenant.database_name = first_database(tenant.uuid) if tenant.uuid else False

    # One method a limit: the ORM takes fields of one compute method as given together.
    @api.depends("erase_requested")
    def _compute_erase_requested_at(self):
        for tenant in self:
            tenant.erase_requested_at = fields.Datetime.now() if tenant.erase_requested else False

    @api.depends("plan_id")
    def _compute_max_users(self):
        for tenant in self:
            tenant.max_users = tenant.plan_id.max_users

    @api.depends("plan_id")
    def _compute_max_storage_gb(self):
        for tenant in self:
            tenant.max_storage_gb = tenant.plan_id.max_storage_gb

    @api.depends("plan_id")
    def _compute_max_ai_operations_daily(self):
        for tenant in self:
            tenant.max_ai_operations_daily = tenant.plan_id.max_ai_operations_daily

    @api.depends("subdomain", "cluster_id.domain", "cluster_id.public_url")
    def _compute_public_url(self):
        for tenant in self:
            cluster = tenant.cluster_id.sudo()
            complete = tenant.subdomain and cluster.domain and cluster.public_url
            tenant.public_url = cluster._to_spec().tenant_url(tenant.subdomain) if complete else False

    @api.constrains("subdomain")
    def _check_subdomain(self):
        for tenant in self:
            name = tenant.subdomain or ""
            if not SUBDOMAIN.match(name) or name.endswith("-"):
                raise ValidationError(
                    self.env._(
                        "“%s” cannot be a subdomain: 3 to 63 small letters, digits and hyphens, beginning with a "
                        "letter and not ending with a hyphen.",
                        name,
                    )
                )
            if name in RESERVED_SUBDOMAINS:
                raise ValidationError(self.env._("The subdomain “%s” is reserved. Choose another one.", name))

    @api.constrains("max_users", "max_storage_gb", "max_ai_operations_daily")
    def _check_limits(self):
        for tenant in self:
            if any(tenant[name] < 0 for name in LIMITS):
                raise ValidationError(self.env._("A limit cannot be negative. 0 users means no limit."))

    @api.constrains("cluster_id")
    def _check_cluster_stays(self):
        for tenant in self.filtered("server_id"):
            if tenant.server_id.cluster_id != tenant.cluster_id:
                raise ValidationError(self.env._("A tenant that has been provisioned cannot change its cluster."))

    @api.model
    def _expand_states(self, values, domain):
        """Show the way of a tenant as columns in its order, the last one only where it is asked for."""
        return [state for state, _label in STATES if state != "archived" or state in values]

    @api.onchange("name")
    def _onchange_name(self):
        if self.name and not self.subdomain:
            proposal = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:63]
            self.subdomain = proposal if SUBDOMAIN.match(proposal) else False

    @api.model_create_multi
    def create(self, vals_list):
        """Create drafts, each with an audit entry."""
        for vals in vals_list:
            self._guard(vals)
        tenants = super().create(vals_list)
        self.env["loomworks.audit"]._record("create", tenants)
        return tenants

    def write(self, vals):
        """Change what may be changed; what concerns the cluster is audited, and reconciled."""
        self._guard(vals)
        admins = {tenant: tenant.admin_ids for tenant in self} if "admin_ids" in vals else {}
        done = super().write(vals)
        for tenant, before in admins.items():
            tenant._note_admins(before)
        changed = sorted(RECONCILED_FIELDS.intersection(vals))
        if changed:
            self.env["loomworks.audit"]._record("change", self, ", ".join(changed))
            self._reconcile_if_changed()
        return done

    def _note_admins(self, before):
        """Write down who has become one of the tenant's administrators, and who is none any more."""
        gained, lost = self.admin_ids - before, before - self.admin_ids
        told = [*(f"+{user.login}" for user in gained), *(f"-{user.login}" for user in lost)]
        if told:
            self.env["loomworks.audit"]._record("change_admins", self, ", ".join(told))

    def _after_undo(self):
        """Bring the outside world back to the rows: an undo has changed them past `write`."""
        self.env["loomworks.audit"]._record("undo", self)
        self._reconcile_if_changed()

    @api.model
    def _guarded_fields(self):
        """Return the names of the fields that only actions set; addons add theirs."""
        return GUARDED_FIELDS

    @api.model
    def _may_be_proposed(self, name):
        return super()._may_be_proposed(name) and name not in self._guarded_fields()

    def _guard(self, vals):
        """Refuse fields that only actions set, whoever asks through the ORM or JSON-2."""
        touched = sorted(self._guarded_fields().intersection(vals))
        if touched and not self.env.su:
            raise UserError(self.env._("%s cannot be set directly: use the actions of the tenant.", ", ".join(touched)))

    @api.ondelete(at_uninstall=False)
    def _unlink_only_without_remains(self):
        for tenant in self:
            if tenant.state != "draft" and not tenant.erased_at:
                raise UserError(
                    self.env._("“%s” still has data. Archive it; it can be removed once that is deleted.", tenant.name)
                )
        self.env["loomworks.audit"]._record("unlink", self)
