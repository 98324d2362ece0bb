"""Orphans: what is out there and no row names, and what rows name and is not there."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..orphans.removal import CONSEQUENCES, described
from ..orphans.sighting import ORDER, Kind, Sighting

KINDS = [
    (Kind.JOB.value, "Job"),
    (Kind.NAMESPACE.value, "Namespace"),
    (Kind.CLAIM.value, "Volume claim"),
    (Kind.VOLUME.value, "Volume"),
    (Kind.DATABASE.value, "Database"),
    (Kind.TEMPLATE.value, "Template database"),
    (Kind.ROLE.value, "Database role"),
    (Kind.FILES.value, "Files in S3"),
    (Kind.EXPORTS.value, "Files for a customer in S3"),
]
STATES = [
    ("open", "Found"),
    ("confirmed", "To be deleted"),
    ("deleted", "Deleted"),
    ("gone", "Gone by itself"),
]
LIVE = ("open", "confirmed")
RANK = {kind.value: number for number, kind in enumerate(ORDER)}


class Orphan(models.Model):
    """One finding of a sweep. Rows are made and changed by sweeps, the wizard and the reconciler only."""

    _name = "loomworks.orphan"
    _inherit = ["loomworks.reconcilable"]
    _description = "Orphan"
    _order = "first_seen_at desc, id desc"

    kind = fields.Selection(KINDS, required=True, readonly=True, index=True)
    missing = fields.Boolean(readonly=True, help="A row names it, and it is not there.")
    name = fields.Char(required=True, readonly=True)
    namespace = fields.Char(readonly=True)
    uid = fields.Char("UID", readonly=True)
    cluster_id = fields.Many2one("loomworks.cluster", readonly=True, ondelete="cascade", index=True)
    server_id = fields.Many2one("loomworks.database.server", "Database server", readonly=True, ondelete="cascade")
    tenant_uuid = fields.Char("Tenant's UUID", readonly=True)
    tenant_id = fields.Many2one("loomworks.tenant", readonly=True, ondelete="cascade", help="Whose row names it.")
    evidence = fields.Text(readonly=True, help="What was seen.")
    remedy = fields.Text("What to do", readonly=True)
    size_bytes = fields.Float("Size", digits=(20, 0), readonly=True, help="0: not known.")
    created_at = fields.Datetime("Made", readonly=True, help="As the object says; databases, roles and files do not.")
    first_seen_at = fields.Datetime("First seen", required=True, readonly=True, default=fields.Datetime.now)
    last_seen_at = fields.Datetime("Last seen", required=True, readonly=True, default=fields.Datetime.now)
    state = fields.Selection(STATES, required=True, readonly=True, default="open", index=True)
    closed_at = fields.Datetime("Closed", readonly=True)
    confirmed_by_id = fields.Many2one("res.users", "Confirmed by", readonly=True, ondelete="set null")
    attempts = fields.Integer(readonly=True)
    age_days = fields.Integer("Age (days)", compute="_compute_age")
    deletable_at = fields.Datetime("Can be deleted from", compute="_compute_age")
    deletable = fields.Boolean(compute="_compute_age")
    consequence = fields.Char("Goes with it", compute="_compute_consequence")

    _found_once = models.UniqueIndex(
        "(kind, missing, name, COALESCE(namespace, ''), COALESCE(uid, ''), COALESCE(cluster_id, 0), "
        "COALESCE(server_id, 0)) WHERE state IN ('open', 'confirmed')",
        "This is in the list already.",
    )

    @api.depends("first_seen_at", "created_at", "state", "missing", "cluster_id.orphan_grace_days")
    def _compute_age(self):
        now = fields.Datetime.now()
        for orphan in self:
            grace = timedelta(days=orphan._grace_days())
            orphan.age_days = (now - min(orphan.created_at or now, orphan.first_seen_at or now)).days
            # Nobody has had the time to say that it is theirs before; what is young may be somebody's work.
            since = max(orphan.first_seen_at or now, orphan.created_at or orphan.first_seen_at or now)
            orphan.deletable_at = False if orphan.missing else since + grace
            orphan.deletable = not orphan.missing and orphan.state in LIVE and orphan.deletable_at <= now

    def _grace_days(self):
        cluster = (self.cluster_id or self.server_id.cluster_id).sudo()
        return cluster.orphan_grace_days

    @api.depends("kind", "missing")
    def _compute_consequence(self):
        for orphan in self:
            orphan.consequence = False if orphan.missing or not orphan.kind else CONSEQUENCES[Kind(orphan.kind)]

    @api.depends("kind", "name")
    def _compute_display_name(self):
        kinds = dict(self._fields["kind"]._description_selection(self.env))
        for orphan in self:
            orphan.display_name = f"{kinds.get(orphan.kind, '')} {orphan.name}"

    def _to_sighting(self):
        self.ensure_one()
        return Sighting(
            Kind(self.kind),
            self.name,
            self.tenant_uuid or "",
            self.namespace or "",
            self.uid or "",
            evidence=self.evidence or "",
        )

    def _described(self):
        return described(self._to_sighting())

    # --- actions --------------------------------------------------------------------------------------

    def action_sweep(self):
        """Look for orphans now, after the commit."""
        self._check_operator()
        self.env.ref("loomworks_storage.cron_sweep_orphans").sudo()._trigger()
        self.env["loomworks.audit"]._record("orphan_sweep", self.env["loomworks.cluster"].sudo().search([]))
        message = self.env._("The sweep begins within a minute. Reload the list then.")
        params = {"type": "info", "message": message}
        return {"type": "ir.actions.client", "tag": "display_notification", "params": params}

    def action_retry(self):
        """Have the tenant's steps looked at again, where that helps."""
        self.ensure_one()
        if not self.missing or not self.tenant_id:
            raise UserError(self.env._("There is no tenant to which “%s” belongs.", self.display_name))
        return self.tenant_id.action_retry()

    def action_dry_run(self):
        """Say of each of these orphans what :meth:`action_clean` would do with it now; nothing is changed.

        :return: a list of dicts: ``id``, ``kind``, ``what`` would go, ``size_bytes`` (0: not known), and ``refusal``,
            why it is left alone (empty: it would go)
        """
        self._check_operator()
        return [
            {
                "id": orphan.id,
                "kind": orphan.kind,
                "what": orphan._described(),
                "size_bytes": orphan.size_bytes,
                "refusal": orphan._refusal(),
            }
            for orphan in self.sorted(lambda one: RANK[one.kind])
        ]

    def action_clean(self, confirm_count=None):
        """Have these orphans deleted, after one more look at each; nothing is done unless all of them may be.

        :param confirm_count: how many they are, typed in
        """
        self._check_operator()
        self._check_deletable()
        if confirm_count != len(self):
            raise UserError(self.env._("Type how many objects are to be deleted: %s.", len(self)))
        self.sudo().write({"state": "confirmed", "confirmed_by_id": self.env.uid, "attempts": 0, **QUIET})
        for orphan in self:
            self.env["loomworks.audit"]._record("orphan_confirm", orphan, orphan._described())
        self.sudo()._request_reconcile()
        return True

    def _check_deletable(self):
        for orphan in self:
            if refusal := orphan._refusal():
                raise UserError(self.env._("%(what)s: %(why)s", what=orphan.display_name, why=refusal))

    def _refusal(self):
        """Return why it may not be deleted, for a person; empty when it may."""
        self.ensure_one()
        if self.missing:
            return self.env._("It is not there: there is nothing to delete.")
        if self.state not in LIVE:
            return self.env._("It is not there any more.")
        if not self.deletable:
            return self.env._("Too young: not before %s UTC.", fields.Datetime.to_string(self.deletable_at))
        return ""

    def _check_operator(self):
        self.env["loomworks.tenant"]._check_operator()

    def action_keep(self):
        """Take back what was confirmed, as long as it has not been done."""
        self._check_operator()
        taken_back = self.filtered(lambda one: one.state == "confirmed")
        taken_back.sudo().write({"state": "open", "reconcile_at": False, **QUIET})
        self.env["loomworks.audit"]._record("orphan_keep", taken_back)
        return True


class Cluster(models.Model):
    """A cluster whose orphans wait for a while."""

    _inherit = "loomworks.cluster"

    orphan_grace_days = fields.Integer(
        "Orphans wait (days)",
        required=True,
        default=7,
        help="What no tenant names can be deleted so long after it was first seen, and after it was made.",
    )
    orphans_swept_at = fields.Datetime("Last sweep for orphans", readonly=True, copy=False)
    orphans_problem = fields.Char("The last sweep's problem", readonly=True, copy=False)

    _orphan_grace_not_negative = models.Constraint(
        "CHECK(orphan_grace_days >= 0)", "Orphans cannot wait for a negative number of days."
    )


QUIET = {"error_message": False, "error_code": False}
