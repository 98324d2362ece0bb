"""Snapshots: a moment of one tenant that can be restored, and what proves it."""

import time
import uuid

from odoo import api, fields, models
from odoo.exceptions import UserError

STATES = [
    ("creating", "Creating"),
    ("ready", "Ready"),
    ("restoring", "Restoring"),
    ("failed", "Failed"),
    ("expired", "Expired"),
]
TYPES = [("auto", "Automatic"), ("manual", "By hand"), ("pre_ai", "Before an AI operation")]


class Snapshot(models.Model):
    """A named moment in the WAL of a tenant's server; *ready* when the repository itself leads there.

    Rows are made and changed by actions and the reconciler only.
    """

    _name = "loomworks.snapshot"
    _inherit = ["loomworks.reconcilable"]
    _description = "Snapshot"
    _order = "created_at desc, id desc"

    name = fields.Char(required=True, readonly=True)
    uuid = fields.Char(
        "UUID", required=True, readonly=True, copy=False, default=lambda self: str(uuid.uuid4()), index=True
    )
    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade", index=True)
    server_id = fields.Many2one(
        "loomworks.database.server", "Database server", required=True, readonly=True, ondelete="restrict", index=True
    )
    snapshot_type = fields.Selection(TYPES, "Type", required=True, readonly=True, default="manual")
    state = fields.Selection(
        STATES,
        required=True,
        readonly=True,
        default="creating",
        index=True,
        help="Ready: the repository holds everything that leads to this moment. Failed: it does not.",
    )
    created_at = fields.Datetime(
        "Moment", required=True, readonly=True, default=fields.Datetime.now, help="To which a restore leads."
    )
    requested_at = fields.Datetime("Asked for", required=True, readonly=True, default=fields.Datetime.now)
    requested_by_id = fields.Many2one("res.users", "By", readonly=True, ondelete="set null")
    expires_at = fields.Datetime("Kept until", readonly=True, help="Empty: as the plan's rules say.")
    kept_forever = fields.Boolean("Kept forever", readonly=True)

    restore_point = fields.Char(readonly=True, help="The name of its record in the WAL; none before an AI operation.")
    wal_position = fields.Char("WAL position", readonly=True)
    wal_file = fields.Char("WAL segment", readonly=True)
    timeline = fields.Integer(readonly=True)
    system_identifier = fields.Char(readonly=True, help="Of the server whose WAL it is.")
    base_backup_label = fields.Char("Base backup", readonly=True, help="From which a restore starts.")
    base_backup_id = fields.Many2one(
        "loomworks.base.backup", "Base backup's row", compute="_compute_base_backup_id", compute_sudo=True
    )
    recovery_timeline = fields.Integer(readonly=True, help="Along which a restore goes; the server may have branched.")
    wal_segments = fields.Integer("WAL segments", readonly=True, help="That a restore reads.")
    filestore_manifest = fields.Char(readonly=True, help="The list of the tenant's files at this moment.")
    size_bytes = fields.Float("Size", digits=(20, 0), readonly=True, help="Of the database; 0: not known.")
    wal_pushed = fields.Boolean(readonly=True, help="The server was asked to archive this position.")
    to_measure = fields.Boolean(readonly=True)

    verified_at = fields.Datetime("Proven", readonly=True, help="When the repository was last seen to lead there.")
    verify_message = fields.Text("Verdict", readonly=True)
    problem_since = fields.Datetime(readonly=True)
    attempts = fields.Integer(readonly=True, help="Looks in a row that gave no verdict.")
    requested_clock = fields.Float(digits=(20, 3), readonly=True, default=lambda self: time.time())
    ready_seconds = fields.Float("Ready after (s)", digits=(10, 2), readonly=True)
    restore_ids = fields.One2many("loomworks.restore", "snapshot_id", "Restores", readonly=True)
    can_go_back = fields.Boolean(compute="_compute_can_go_back")
    working = fields.Boolean("In progress", compute="_compute_working")
    has_problem = fields.Boolean(compute="_compute_has_problem")

    _uuid_unique = models.Constraint("unique(uuid)", "There is a snapshot of this UUID already.")
    _to_look_at = models.Index("(server_id, reconcile_at) WHERE reconcile_at IS NOT NULL")

    @api.depends("state", "reconcile_at")
    def _compute_working(self):
        for snapshot in self:
            snapshot.working = bool(snapshot.reconcile_at) or snapshot.state in ("creating", "restoring")

    @api.depends("base_backup_label", "server_id")
    def _compute_base_backup_id(self):
        """Find the row by the label: a proof names what the repository has, whether or not there is a row yet."""
        labels = [label for label in self.mapped("base_backup_label") if label]
        found = self.env["loomworks.base.backup"].search(
            [("label", "in", labels), ("server_id", "in", self.server_id.ids)]
        )
        rows = {(row.server_id, row.label): row for row in found}
        for snapshot in self:
            snapshot.base_backup_id = rows.get((snapshot.server_id, snapshot.base_backup_label))

    @api.depends("restore_ids.can_go_back")
    def _compute_can_go_back(self):
        for snapshot in self:
            snapshot.can_go_back = any(snapshot.restore_ids.mapped("can_go_back"))

    @api.depends("error_message", "state")
    def _compute_has_problem(self):
        for snapshot in self:
            snapshot.has_problem = bool(snapshot.error_message) and snapshot.state != "expired"

    @api.depends("name", "tenant_id.name")
    def _compute_display_name(self):
        for snapshot in self:
            snapshot.display_name = f"{snapshot.tenant_id.name}: {snapshot.name}"

    @api.model
    def _request(self, tenants, snapshot_type, name=None, **values):
        """Make rows for ``tenants`` and have them taken after the commit; return them."""
        now = fields.Datetime.now()
        made = self.sudo().create(
            [
                {
                    "tenant_id": tenant.id,
                    "server_id": tenant.sudo().server_id.id,
                    "snapshot_type": snapshot_type,
                    "name": name or now.strftime("%Y-%m-%d %H:%M:%S"),
                    "requested_at": now,
                    "requested_by_id": self.env.uid,
                    "expires_at": tenant.sudo()._manual_snapshot_end(now) if snapshot_type != "auto" else False,
                    **values,
                }
                for tenant in tenants
            ]
        )
        made._request_reconcile()
        return made.with_env(self.env)

    def _after_undo(self):
        """An undo may take a row away or bring it back: have what is there looked at."""
        self.sudo().exists()._request_reconcile()

    @api.ondelete(at_uninstall=False)
    def _unlink_only_when_expired(self):
        if any(snapshot.state != "expired" and not snapshot.tenant_id.erased_at for snapshot in self):
            raise UserError(self.env._("A snapshot is deleted by its action “Delete”; its row stays for a while."))
