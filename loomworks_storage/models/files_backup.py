"""Backups of tenants' files: each a manifest in S3 that exists only when everything it names does."""

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.kube import quantity

STATES = [
    ("waiting", "To do"),
    ("running", "Running"),
    ("done", "Done"),
    ("failed", "Failed"),
    ("expired", "Expired"),
]
UNFINISHED = ("waiting", "running")
AT_ONCE = 4  # Jobs on files in a cluster for the plans, and as many for people
STAGES = [
    ("start", "Starting"),
    ("files", "Looking through"),
    ("new files", "Sending"),
    ("proof", "Proof"),
    ("done", "Done"),
]
PARTS = {"files": (0, 45), "new files": (45, 90), "proof": (90, 100), "done": (100, 100)}  # % of the whole, from and to


class FilesBackup(models.Model):
    """One backup of a tenant's files. Rows are made and changed by actions and the reconciler only."""

    _name = "loomworks.files.backup"
    _inherit = ["loomworks.reconcilable"]
    _description = "Backup of files"
    _order = "id desc"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, readonly=True, ondelete="cascade", index=True)
    cluster_id = fields.Many2one(related="tenant_id.cluster_id", store=True)
    state = fields.Selection(STATES, required=True, readonly=True, default="waiting", index=True)
    requested_by_id = fields.Many2one("res.users", "By", readonly=True, ondelete="set null")
    scheduled = fields.Boolean(
        readonly=True, help="Asked for by the plan; those that people ask for have a queue of their own."
    )
    started_at = fields.Datetime("Asked for", required=True, readonly=True, default=fields.Datetime.now)
    began_at = fields.Datetime("Began", readonly=True, help="It has all files that were there at this moment.")
    finished_at = fields.Datetime("Finished", readonly=True)
    manifest = fields.Char(readonly=True, help="The name of the list of files in S3.")
    database = fields.Char(readonly=True)
    request = fields.Json(readonly=True, help="What the Job is asked to do.")
    audit = fields.Boolean(readonly=True, help="Every file was read, not only those that are new.")
    stage = fields.Selection(STAGES, readonly=True)
    stage_share = fields.Float(readonly=True)
    progress = fields.Float("Progress (%)", compute="_compute_progress")
    attempts = fields.Integer("Broken off", readonly=True, help="Jobs that have broken off.")
    troubled_since = fields.Datetime(readonly=True)

    files = fields.Integer(readonly=True)
    bytes = fields.Float(digits=(20, 0), readonly=True)
    new_files = fields.Integer(readonly=True, help="Sent to S3 by this backup.")
    new_bytes = fields.Float("New bytes", digits=(20, 0), readonly=True)
    new_gib = fields.Float("Sent (GiB)", digits=(12, 3), compute="_compute_new_gib", store=True)
    size = fields.Char(compute="_compute_sizes")
    new_size = fields.Char("Sent", compute="_compute_sizes")
    damaged = fields.Integer(
        "Damaged files", readonly=True, help="On the volume, without a good copy in an earlier backup."
    )
    mendable = fields.Integer("Damaged on the volume", readonly=True, help="This backup has a good copy of them in S3.")
    report = fields.Json(readonly=True)
    checked_at = fields.Datetime("Checked", readonly=True, help="When S3 was last asked for every object.")
    lost = fields.Integer("Damaged objects", readonly=True, help="Missing or damaged in S3, by the last check.")
    lost_digests = fields.Json(readonly=True)
    removed = fields.Boolean("Removed from S3", readonly=True)
    whole = fields.Boolean(compute="_compute_whole")
    working = fields.Boolean("In progress", compute="_compute_working")

    _one_waits = models.UniqueIndex("(tenant_id) WHERE state = 'waiting'", "A backup of these files waits already.")
    _one_runs = models.UniqueIndex("(tenant_id) WHERE state = 'running'", "A backup of these files runs already.")
    _to_find = models.Index("(tenant_id, began_at) WHERE state = 'done'")

    @api.depends("state", "damaged", "lost")
    def _compute_whole(self):
        for backup in self:
            backup.whole = backup.state == "done" and not backup.damaged and not backup.lost

    @api.depends("state", "stage", "stage_share")
    def _compute_progress(self):
        for backup in self:
            begin, end = PARTS.get(backup.stage, (0, 0))
            backup.progress = begin + (end - begin) * min(1.0, backup.stage_share)

    @api.depends("new_bytes")
    def _compute_new_gib(self):
        for backup in self:
            backup.new_gib = backup.new_bytes / 1024**3

    @api.depends("bytes", "new_bytes", "state")
    def _compute_sizes(self):
        for backup in self:
            backup.size = quantity.readable(backup.bytes) if backup.state in ("done", "expired") else False
            backup.new_size = quantity.readable(backup.new_bytes)

    @api.depends("state")
    def _compute_working(self):
        for backup in self:
            backup.working = backup.state in UNFINISHED

    @api.depends("tenant_id.name", "began_at", "started_at")
    def _compute_display_name(self):
        for backup in self:
            moment = fields.Datetime.to_string(backup.began_at or backup.started_at)
            backup.display_name = self.env._(
                "Files of %(tenant)s, %(moment)s UTC", tenant=backup.tenant_id.name, moment=moment
            )

    def action_retry(self):
        """Try a failed backup again from the beginning."""
        self.tenant_id._check_admin()
        return self.tenant_id.action_back_up_files()
