"""What happens to snapshots by itself: taken by the plan, proven again, expired."""

import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY

from ..schedule.due import Rhythm, due
from ..schedule.retention import Kept, expendable

_logger = logging.getLogger(__name__)

HISTORY = timedelta(days=90)  # for which the row of an expired snapshot is kept
ENDING = ("ready", "failed")  # states of snapshots that may expire
AGAIN = timedelta(minutes=5)  # until those are looked at again that somebody else had in work


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
        """Let those expire that no rule keeps, and forget the rows of those that expired long ago.

        Each tenant's in a transaction of its own: one that fails, or that is proven just now, keeps nobody else's.
        """
        now = fields.Datetime.now()
        ended = ["&", ("state", "=", "expired"), ("expires_at", "<", now - HISTORY)]
        groups = self._read_group(["|", ("state", "in", ENDING), *ended], ["tenant_id"])
        self.env["ir.cron"]._commit_progress(remaining=len(groups))
        whole = [self._expire_apart(tenant) for (tenant,) in groups]
        if not all(whole):
            self.env.ref("loomworks_snapshot.cron_expire_snapshots").sudo()._trigger(now + AGAIN)

    @api.model
    def _expire_apart(self, tenant):
        """Do what ``_cron_expire`` does for one tenant; False when some is in work and has its turn later."""
        whole = True
        try:
            with self.env.cr.savepoint():
                whole = self._expire_of(tenant)
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY as error:
            _logger.info("the snapshots of the tenant %s expire later: %s", tenant.uuid, error)
            whole = False
        except Exception:  # the boundary of one tenant: what is wrong with it is nobody else's trouble
            _logger.exception("the snapshots of the tenant %s do not expire", tenant.uuid)
        self.env["ir.cron"]._commit_progress(1)
        return whole

    @api.model
    def _expire_of(self, tenant):
        now = fields.Datetime.now()
        live = self.search([("tenant_id", "=", tenant.id), ("state", "in", ENDING)])
        held = live.try_lock_for_update(allow_referencing=True)
        held._expendable(tenant, now)._expire()
        ended = [("tenant_id", "=", tenant.id), ("state", "=", "expired"), ("expires_at", "<", now - HISTORY)]
        self.search(ended).unlink()
        return held == live

    def _expendable(self, tenant, now):
        """Return those of these snapshots of one tenant that nothing keeps."""
        if tenant.erased_at:
            return self
        gone = self._kept_too_long()
        kept = [one._to_kept() for one in self - gone]
        return gone | self.browse(expendable(kept, tenant.plan_id._retention(), now))

    def _to_kept(self):
        return Kept(
            key=self.id,
            moment=self.created_at,
            ready=self.state == "ready",
            forever=self.kept_forever,
            until=self.expires_at or None,
            failed_since=self.problem_since or None,
        )
