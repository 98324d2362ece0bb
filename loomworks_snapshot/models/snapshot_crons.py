"""What happens to snapshots by itself: taken by the plan, proven again, expired."""

from datetime import timedelta

from odoo import api, fields, models

from ..schedule.due import Rhythm, due
from ..schedule.retention import Kept, expendable

HISTORY = timedelta(days=90)  # for which the row of an expired snapshot is kept


class SnapshotCrons(models.Model):
    """The crons of snapshots."""

    _inherit = "loomworks.snapshot"

    @api.model
    def _cron_take(self):
        """Take a snapshot of every tenant whose turn it is."""
        now = fields.Datetime.now()
        tenants = self.env["loomworks.tenant"].search([("state", "=", "active"), ("plan_id.snapshot_minutes", ">", 0)])
        tenants -= self.search([("state", "=", "creating"), ("snapshot_type", "=", "auto")]).tenant_id
        last = tenants._last_automatic()
        rhythms = [Rhythm(one.uuid, one.plan_id.snapshot_minutes, last.get(one.id)) for one in tenants]
        turn = set(due(rhythms, now))
        self._request(tenants.filtered(lambda one: one.uuid in turn), "auto")

    @api.model
    def _cron_verify(self):
        """Have every snapshot proven anew, server by server with one listing each."""
        live = [("state", "in", ("ready", "failed", "restoring")), ("wal_position", "!=", False)]
        self.search([*live, ("reconcile_at", "=", False)])._request_reconcile()

    @api.model
    def _cron_expire(self):
        """Let those expire that no rule keeps, and forget the rows of those that expired long ago."""
        self._expire_forgotten()
        now = fields.Datetime.now()
        live = self.search([("state", "in", ("ready", "failed"))])
        gone = self.browse()
        for tenant, snapshots in live.grouped("tenant_id").items():
            if tenant.erased_at:
                gone |= snapshots
                continue
            kept = [one._to_kept() for one in snapshots]
            gone |= self.browse(expendable(kept, tenant.plan_id._retention(), now))
        gone._expire()
        self.search([("state", "=", "expired"), ("expires_at", "<", now - HISTORY)]).unlink()

    def _to_kept(self):
        return Kept(
            key=self.id,
            moment=self.created_at,
            ready=self.state == "ready",
            forever=self.kept_forever,
            until=self.expires_at or None,
        )
