"""Restores: a tenant's database as it was at a moment, made beside the living one and then put in its place."""

from odoo import api, fields, models
from odoo.exceptions import UserError

STATES = [
    ("waiting", "Waiting for the archive"),
    ("restoring", "Restoring"),
    ("placing", "Putting in place"),
    ("copying", "Waiting for the files"),
    ("done", "Done"),
    ("going_back", "Going back"),
    ("gone_back", "Gone back"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]
AUDITED = {"in_place": "restore", "copy": "restore_copy", "drill": "restore_drill", "download": "export"}
RUNNING = ("waiting", "restoring", "placing", "copying", "going_back")
# What a stage is to a reader, and roughly how much of the whole it is.
STAGES = {
    "start": ("Starting the job", 5),
    "catalogue": ("Reading the base backup's list of files", 5),
    "fetch": ("Fetching the tenant's files", 10),
    "restore": ("Unpacking them", 10),
    "replay": ("Replaying the WAL", 25),
    "check": ("Checking every table and index", 10),
    "dump": ("Writing the database out", 5),
    "files": ("Adding the files", 0),  # of a file to download
    "load": ("Loading it into the server", 25),
    "wipe": ("Wiping the scratch space", 0),
    "restored": ("Restored", 5),
}


class Restore(models.Model):
    """One restore of a tenant. Rows are made and changed by actions and the reconciler only."""

    _name = "loomworks.restore"
    _inherit = ["loomworks.reconcilable"]
    _description = "Restore"
    _order = "id desc"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade", index=True)
    purpose = fields.Selection(
        [("in_place", "Put in place"), ("copy", "Copy"), ("drill", "Drill")],
        required=True,
        readonly=True,
        default="in_place",
        help="A copy becomes another tenant. A drill restores on scratch space, checks and wipes: it shows that it "
        "works, and how long it takes.",
    )
    copy_id = fields.Many2one(
        "loomworks.tenant",
        "New tenant",
        readonly=True,
        ondelete="set null",
        index="btree_not_null",
        help="Of a copy: the tenant that gets the data.",
    )
    snapshot_id = fields.Many2one("loomworks.snapshot", readonly=True, ondelete="set null", index="btree_not_null")
    server_id = fields.Many2one(related="tenant_id.server_id", store=True)
    state = fields.Selection(STATES, required=True, readonly=True, default="waiting", index=True)
    moment = fields.Datetime(required=True, readonly=True, help="The tenant is brought back to this moment.")
    requested_by_id = fields.Many2one("res.users", "By", readonly=True, ondelete="set null")
    started_at = fields.Datetime("Asked for", required=True, readonly=True, default=fields.Datetime.now)
    finished_at = fields.Datetime("Finished", readonly=True)

    target_kind = fields.Selection(
        [("name", "Restore point"), ("lsn", "WAL position"), ("time", "Time")], required=True, readonly=True
    )
    target_value = fields.Char(required=True, readonly=True)
    target_position = fields.Char("WAL position", readonly=True)
    target_timeline = fields.Integer("Timeline", readonly=True)
    closing_position = fields.Char(readonly=True, help="Of a record after the moment: the archive has to hold it.")
    closing_timeline = fields.Integer(readonly=True)
    system_identifier = fields.Char(readonly=True)

    stage = fields.Selection([(code, title) for code, (title, _share) in STAGES.items()], readonly=True)
    stage_share = fields.Float(readonly=True)
    progress = fields.Integer("Progress (%)", compute="_compute_progress")
    attempts = fields.Integer(readonly=True)
    report = fields.Json(readonly=True, help="Base backup, bytes, WAL segments and seconds by stage.")
    report_text = fields.Text("What it took", compute="_compute_report_text")
    switch_began_at = fields.Datetime(readonly=True)
    files_seen_at = fields.Datetime(readonly=True, help="When its files were last being brought without an error.")
    cancelled_mails = fields.Integer(
        "Not sent again", readonly=True, help="Mails and SMS that waited at the moment, and have been sent since."
    )
    traffic_changed_at = fields.Datetime(readonly=True)
    previous_database = fields.Char(readonly=True, help="What the tenant's row said before the change.")
    backup_label = fields.Char("Base backup", readonly=True)
    database_size = fields.Float("Size of the database", digits=(20, 0), readonly=True, help="In bytes.")
    troubled_since = fields.Datetime(readonly=True)
    placed_at = fields.Datetime("In place since", readonly=True)
    gone_back_at = fields.Datetime(readonly=True)
    total_seconds = fields.Float("It took (s)", digits=(10, 1), readonly=True, help="Of the restore itself (RTO).")
    lost_seconds = fields.Integer(
        "Would have been lost (s)", readonly=True, help="Of a drill: what was not in the repository at its start (RPO)."
    )
    switch_seconds = fields.Float(
        "Change took (s)",
        digits=(10, 1),
        readonly=True,
        help="Its users worked on the previous database until its end.",
    )

    new_database = fields.Char(readonly=True)
    old_database = fields.Char(readonly=True, help="What the tenant had before; going back means this one.")
    kept_until = fields.Datetime("The other database is kept until", readonly=True)
    dropped = fields.Boolean("The other database is gone", readonly=True)
    working = fields.Boolean("In progress", compute="_compute_working")
    can_go_back = fields.Boolean(compute="_compute_can_go_back")

    _one_a_tenant = models.UniqueIndex(
        "(tenant_id) WHERE purpose = 'in_place' AND state IN ('waiting', 'restoring', 'placing', 'going_back')",
        "A restore of this tenant is going on already. Wait for its end, or cancel it.",
    )

    @api.depends("state", "stage", "stage_share")
    def _compute_progress(self):
        for restore in self:
            before = 0
            for code, (_title, share) in STAGES.items():
                if code == restore.stage:
                    before += share * restore.stage_share
                    break
                before += share
            finished = restore.state in ("done", "gone_back", "placing", "copying", "going_back")
            restore.progress = 100 if finished else round(before) if restore.stage else 0

    @api.depends("report")
    def _compute_report_text(self):
        for restore in self:
            report = restore.report or {}
            seconds = report.get("seconds") or {}
            lines = [f"{title}: {seconds[code]:.1f} s" for code, (title, _share) in STAGES.items() if code in seconds]
            if report.get("tables"):
                lines.append(f"{report['tables']} tables with {report['rows']} rows")
            if "files" in report:
                lines.append(f"{report['files']} files in S3, {report['files_read']} of them read")
            if report.get("unchecked_keys"):
                lines.append(f"{len(report['unchecked_keys'])} foreign keys were NOT VALID, and are so again")
            if report.get("note"):
                lines.append(report["note"])
            if report:
                lines.insert(0, f"Base backup {report['backup']}, {report['segments']} WAL segment(s), ")
                lines[0] += f"{report['fetched'] / 2**20:.1f} MiB fetched"
            restore.report_text = "\n".join(lines) or False

    @api.depends("state")
    def _compute_working(self):
        for restore in self:
            restore.working = restore.state in RUNNING

    @api.depends("state", "dropped", "kept_until", "tenant_id.database_name", "new_database")
    def _compute_can_go_back(self):
        for restore in self:
            restore.can_go_back = (
                restore.state == "done"
                and restore.purpose == "in_place"
                and not restore.dropped
                and restore.tenant_id.database_name == restore.new_database
            )

    @api.depends("tenant_id.name", "moment")
    def _compute_display_name(self):
        for restore in self:
            moment = fields.Datetime.to_string(restore.moment)
            restore.display_name = self.env._(
                "%(tenant)s as of %(moment)s UTC", tenant=restore.tenant_id.name, moment=moment
            )

    # --- actions --------------------------------------------------------------------------------------

    @api.model
    def _request(self, tenant, values):
        """Make a row and have it worked on after the commit; return it."""
        self._check_may_begin(tenant, values.get("purpose", "in_place"))
        self.flush_model(["state"])  # the index sees what has been written, not that one has just ended
        made = self.sudo().create({"tenant_id": tenant.id, "requested_by_id": self.env.uid, **values})
        made._hold_snapshot()
        made._request_reconcile()
        self.env["loomworks.audit"]._record(AUDITED[made.purpose], tenant, values["target_value"])
        return made.with_env(self.env)

    @api.model
    def _check_may_begin(self, tenant, purpose):
        """See whether ``tenant`` is such that a restore for ``purpose``, or going back from one, may begin.

        :raises UserError: when it is not
        """
        states = self._requested_in(purpose)
        if tenant.erased_at or tenant.sudo().erase_requested or tenant.state not in states:
            raise UserError(self.env._("“%s” is neither active nor suspended: it cannot be restored now.", tenant.name))
        if purpose == "in_place" and tenant.sudo()._awaits_files():
            raise UserError(
                self.env._(
                    "The files of “%s” are still to come to its volume, and would be forgotten: wait for that, and "
                    "resume it where it is suspended.",
                    tenant.name,
                )
            )

    @api.model
    def _requested_in(self, purpose):
        """Return the states of a tenant in which a restore for ``purpose`` may begin."""
        return ("active", "suspended")

    def action_cancel(self):
        """Give up a restore that is not being put in place yet; what it has made is removed."""
        self.ensure_one()
        self.tenant_id._check_admin()
        self._cancel()
        return True

    def _cancel(self):
        if self.state not in ("waiting", "restoring", "copying"):
            raise UserError(
                self.env._("It is too late to cancel. Once it is done, “Go back” brings the old data back.")
            )
        self.sudo().write({"state": "cancelled", "finished_at": fields.Datetime.now()})
        self.sudo().snapshot_id._release()
        self.sudo()._request_reconcile()
        self.env["loomworks.audit"]._record("restore_cancel", self.tenant_id)

    def action_go_back(self):
        """Put the database that the tenant had before this restore back in its place."""
        self.ensure_one()
        self.tenant_id._check_admin()
        if not self.can_go_back:
            raise UserError(
                self.env._(
                    "There is no going back from this restore: it is not in place now, or the database that the tenant "
                    "had before is no longer kept."
                )
            )
        self._check_may_begin(self.tenant_id, self.purpose)
        cleared = {"attempts": 0, "troubled_since": False, "error_message": False, "error_code": False}
        self.sudo().write({"state": "going_back", "switch_began_at": False, **cleared})
        self.sudo()._request_reconcile()
        self.env["loomworks.audit"]._record("restore_go_back", self.tenant_id)
        return True

    def action_retry(self):
        """Try a failed restore again from the beginning."""
        self.ensure_one()
        self.tenant_id._check_admin()
        if self.state != "failed":
            raise UserError(self.env._("Only a failed restore can be tried again."))
        self._check_may_begin(self.tenant_id, self.purpose)
        cleared = {"error_message": False, "error_code": False, "stage": False, "stage_share": 0, "finished_at": False}
        cleared |= {"attempts": 0, "troubled_since": False, "switch_began_at": False, "new_database": False}
        self.sudo().write({"state": "waiting", "started_at": fields.Datetime.now(), **cleared})
        self.sudo()._hold_snapshot()
        self.sudo()._request_reconcile()
        self.env["loomworks.audit"]._record("restore_retry", self.tenant_id)
        return True
