"""The promise that what was erased is gone from a server's backups, too: by when, and that it was."""

import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ..schedule import forgetting

_logger = logging.getLogger(__name__)

IN_REPOSITORY = ("done", "running")  # states of base backups that have files there


class DatabaseServer(models.Model):
    """A database server whose repository forgets."""

    _inherit = "loomworks.database.server"

    forget_days = fields.Integer(
        "Erased data is gone after (days)",
        required=True,
        default=0,
        help="From backups as well, at the latest. No snapshot on this server is kept for longer than allows that, "
        "whatever plans say. 0: when the window has passed and no neighbour's snapshot of that time is kept any more.",
    )

    @api.constrains("forget_days", "window_days", "full_every_days")
    def _check_forget_days(self):
        for server in self.filtered("forget_days"):
            least = forgetting.least_days(server.window_days, server.full_every_days)
            if server.forget_days < least:
                raise ValidationError(
                    self.env._(
                        "Erased data cannot be gone before %(least)s days: any moment of the last %(window)s can be "
                        "restored, from a full backup that is up to %(full)s days older.",
                        least=least,
                        window=server.window_days,
                        full=server.full_every_days,
                    )
                )
            forever = self.env["loomworks.snapshot"].search(
                [("server_id", "=", server.id), ("kept_forever", "=", True), ("state", "!=", "expired")]
            )
            if forever:
                names = ", ".join(forever[:5].mapped("display_name"))
                raise ValidationError(self.env._("These are kept forever; unkeep them first: %s", names))

    def _oldest_kept(self):
        """Return the moment before which no snapshot on this server is kept; None where they may be of any age."""
        self.ensure_one()
        return forgetting.oldest_kept(fields.Datetime.now(), self.forget_days, self.full_every_days)

    def _gone_by(self, moment):
        """Return by when what was removed at ``moment`` is gone from the backups, too; without a promise, about."""
        self.ensure_one()
        if self.forget_days:
            return moment + timedelta(days=self.forget_days)
        return forgetting.usual_end(moment, self.window_days, self.full_every_days)

    def _kept_no_longer(self, moment, end):
        """Return until when what is of ``moment`` may be kept, where its owner wishes it until ``end``."""
        self.ensure_one()
        oldest, now = self._oldest_kept(), fields.Datetime.now()
        return min(end, moment + (now - oldest)) if oldest else end

    def _note_forgotten(self):
        """Take note of what is gone from the repository by now."""
        erased = [("server_id", "=", self.id), ("erased_at", "!=", False), ("forgotten_at", "=", False)]
        tenants = self.env["loomworks.tenant"].sudo().search(erased)
        began = self._backups_began() if tenants else []
        gone = tenants.filtered(lambda one: forgetting.is_gone(one.erased_at, began))
        if gone:
            gone.forgotten_at = fields.Datetime.now()
            self.env["loomworks.audit"]._record("forgotten", gone)

    def _backups_began(self):
        """Return when each base backup began that is in the repository."""
        domain = [("server_id", "=", self.id), ("state", "in", IN_REPOSITORY), ("started_at", "!=", False)]
        return self.env["loomworks.base.backup"].sudo().search(domain).mapped("started_at")


class Tenant(models.Model):
    """A tenant that is erased from the backups of its neighbours as well, in time."""

    _inherit = "loomworks.tenant"

    forgotten_at = fields.Datetime(
        "Gone from backups", readonly=True, copy=False, help="Since when no base backup and no WAL holds its data."
    )
    forget_by = fields.Datetime(
        "Gone from backups by", compute="_compute_forget_by", help="Without a promise of its server: about."
    )
    forget_promised = fields.Boolean(compute="_compute_forget_by")

    name_forget_by = fields.Datetime(
        "Name gone from backups by",
        compute="_compute_forget_by",
        help="The control plane forgets the name when no backup holds the data any more; its own backups then expire.",
    )

    @api.depends(
        "erased_at",
        "forgotten_at",
        "names_forgotten_at",
        "server_id.forget_days",
        "server_id.window_days",
        "server_id.full_every_days",
    )
    def _compute_forget_by(self):
        own = self.env.ref("loomworks_tenant.own_server", raise_if_not_found=False)
        for tenant in self:
            server, erased_at = tenant.sudo().server_id, tenant.erased_at
            tenant.forget_promised = bool(server.forget_days)
            tenant.forget_by = server._gone_by(erased_at) if erased_at and server else False
            since = tenant.names_forgotten_at or tenant.forgotten_at or tenant.forget_by
            tenant.name_forget_by = own.sudo()._gone_by(since) if own and since else False

    @api.model
    def _cron_forget_names(self):
        """Forget who those were whose data is in no backup any more; one that cannot be forgotten keeps nobody else."""
        due = [("erased_at", "!=", False), ("names_forgotten_at", "=", False)]
        due += ["|", ("forgotten_at", "!=", False), ("server_id", "=", False)]
        tenants = self.sudo().search(due).filtered(lambda one: one._may_forget_names())
        for tenant in tenants:
            try:
                with self.env.cr.savepoint():
                    tenant._forget_names()
            except Exception:
                _logger.exception("the names of the erased tenant %s are not forgotten", tenant.uuid)
                tenant.invalidate_recordset()

    def _forget_names(self):
        """Remove its snapshots, restores, and what its agents did; a restore that has filled a copy stays with that."""
        for tenant in self.sudo():
            self.env["loomworks.ai.operation.log"].sudo().search([("tenant_id", "=", tenant.id)]).unlink()
            copying = tenant.restore_ids.filtered("copy_id")
            copying.write({"error_message": False, "report": False})
            (tenant.restore_ids - copying).unlink()
            tenant.snapshot_ids.unlink()
        return super()._forget_names()

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | {"forgotten_at"}


class Snapshot(models.Model):
    """A snapshot, kept for no longer than its server may keep anything."""

    _inherit = "loomworks.snapshot"

    def _check_may_keep_forever(self):
        """Refuse where the server has promised to forget."""
        for snapshot in self:
            if days := snapshot.sudo().server_id.forget_days:
                raise UserError(
                    self.env._(
                        "“%(name)s” cannot be kept forever: on its server, what was erased is gone after %(days)s "
                        "days, and a snapshot keeps a base backup of the whole server. Make a copy of the tenant, or a "
                        "file, instead.",
                        name=snapshot.display_name,
                        days=days,
                    )
                )

    def _kept_too_long(self):
        """Return those that are older than anything that their server may keep."""
        oldest = {server: server._oldest_kept() for server in self.server_id if server.forget_days}
        return self.filtered(lambda one: one.server_id in oldest and one.created_at < oldest[one.server_id])
