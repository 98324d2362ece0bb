"""What happens to backups of files by itself: made by the plan, and checked."""

import logging

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.exceptions import UserError

from ..files import keys
from ..files.schedule import Turn, due
from ..filestore.check import check
from ..filestore.collect import Collector, remove_all
from ..filestore.errors import ObjectMissing, Unreadable
from ..filestore.store import Store
from ..filestore.vault import Vault
from .files_backup import AT_ONCE, UNFINISHED

_logger = logging.getLogger(__name__)

CHECKED_FOR = 20  # hours for which a check counts: the next one is a day after the last one, or a little sooner
COLLECT_DAYS = 7  # between two looks for what nothing names
NEVER = (None, None)  # asked for, and begun
SAMPLE = 20  # contents of the newest backup that are read by a check


class FilesCrons(models.Model):
    """The crons of backups of files."""

    _inherit = "loomworks.files.backup"

    @api.model
    def _cron_back_up(self):
        """Ask for the backups that are due, for each cluster as many as may run at once.

        What people ask for, and what waits for a tenant to be reset, takes no plan's turn.
        """
        now = fields.Datetime.now()
        for cluster in self.env["loomworks.cluster"]._in_use():
            if not cluster._files_place():
                continue
            unfinished = [("cluster_id", "=", cluster.id), ("state", "in", UNFINISHED), ("scheduled", "=", True)]
            room = AT_ONCE - self.search_count([*unfinished, ("tenant_id.reset_id", "=", False)])
            chosen = due(self._turns(cluster), now, room)
            self.env["loomworks.tenant"].browse(chosen)._request_files_backup(scheduled=True)

    @api.model
    def _turns(self, cluster):
        serving = ["|", ("state", "=", "active"), "&", ("state", "=", "suspended"), ("odoo_stopped_at", "!=", False)]
        domain = [("cluster_id", "=", cluster.id), ("plan_id.files_backup_hours", ">", 0), *serving]
        tenants = self.env["loomworks.tenant"].search(domain)
        rows = [("tenant_id", "in", tenants.ids)]
        groups = self._read_group(rows, ["tenant_id", "state"], ["started_at:max", "began_at:max"])
        last = {(tenant.id, state): moments for tenant, state, *moments in groups}
        return [one._files_turn(last) for one in tenants if not one._rests(last)]

    @api.model
    def _cron_check(self):
        """Ask S3 for every object of every backup, and read some contents of each tenant's newest.

        Whose turn was longest ago comes first. When this run's time is over, the next one goes on where it ended.
        """
        tenants = self.env["loomworks.tenant"]._to_be_checked()
        progress = self.env["ir.cron"]._commit_progress
        time_left = progress(remaining=len(tenants))
        for tenant in tenants:
            if not time_left:
                return
            try:
                with self.env.cr.savepoint():
                    tenant.files_checked_at = fields.Datetime.now()
                progress(0)  # nobody waits for the tenant's row while S3 is asked
                with self.env.cr.savepoint():
                    self.search([("tenant_id", "=", tenant.id), ("state", "=", "done")])._check_objects()
            except LoomworksError as error:
                _logger.warning("the files of the tenant %s cannot be checked: %s", tenant.uuid, error)
            except Exception:  # the boundary of one tenant
                _logger.exception("the files of the tenant %s cannot be checked", tenant.uuid)
            time_left = progress(1)

    @api.model
    def _cron_collect(self):
        """Let backups expire by the plan, and remove from S3 what nothing needs any more."""
        groups = self._read_group([("removed", "=", False), ("manifest", "!=", False)], ["tenant_id"])
        self.env["ir.cron"]._commit_progress(remaining=len(groups))
        for (tenant,) in groups:
            tenant._expire_files_backups()
            self.env["ir.cron"]._commit_progress(0)  # what is removed from S3 is given up before
            tenant._collect_files()
            self.env["ir.cron"]._commit_progress(1)

    def action_check(self):
        """Ask S3 now for every object of these backups, and read some contents of each tenant's newest.

        :raises UserError: when the objects of one cannot be asked for
        """
        self.env["loomworks.tenant"]._check_operator()
        for backups in self.sudo().filtered(lambda one: one.state == "done").grouped("tenant_id").values():
            try:
                backups._check_objects()
            except LoomworksError as error:
                raise UserError(str(error)) from error
        return True

    def _check_objects(self):
        """Check these backups of one tenant; the newest comes first in their order.

        :raises LoomworksError: when its objects cannot be asked for
        """
        vault = self.tenant_id._files_vault()
        for number, backup in enumerate(self.sorted("id", reverse=True)):
            try:
                manifest = vault.manifest(backup.manifest)
            except (ObjectMissing, Unreadable) as error:
                backup._record_unreadable(error)
                continue
            report = check(vault, manifest, 0 if number else SAMPLE)
            backup._record_check([*report.missing, *report.damaged])

    def _record_unreadable(self, error):
        """Keep that nothing of this backup can be restored; the next one looks at every file if it is the newest."""
        known = self.lost
        values = {"checked_at": fields.Datetime.now(), "lost": max(1, self.files), "lost_digests": False}
        self.write({name: value for name, value in values.items() if self[name] != value})
        if not known:
            self._raise_alarm(self.env._("%(backup)s cannot be read: %(why)s", backup=self.display_name, why=error))

    def _record_check(self, lost):
        """Keep what a check found; the next backup writes damaged objects again while the volume has the files."""
        known = self.lost
        self.write({"checked_at": fields.Datetime.now(), "lost": len(lost), "lost_digests": lost or False})
        if lost and not known:
            self._raise_alarm(self.env._("%s object(s) are missing or damaged in S3.", len(lost)))
        elif known and not lost:
            self._give_all_clear()


class Tenant(models.Model):
    """A tenant whose objects the control plane can read."""

    _inherit = "loomworks.tenant"

    files_collected_at = fields.Datetime(readonly=True, copy=False)
    files_checked_at = fields.Datetime(
        readonly=True, copy=False, help="When the objects in S3 were last to be checked."
    )
    odoo_stopped_at = fields.Datetime(readonly=True, copy=False, help="Suspended: nobody has written since.")
    has_served = fields.Boolean(
        readonly=True, copy=False, help="It has been active, so that there is something to save."
    )

    def action_suspend(self, reason=None):
        """As before; what was written since the last backup of the files is backed up once, an hour later."""
        result = super().action_suspend(reason)
        self.sudo().odoo_stopped_at = False  # until its pods are gone
        return result

    def _settle(self):
        """From now on there are files of an active tenant, and nobody writes those of a suspended one."""
        result = super()._settle()
        if self.state == "active" and not self.has_served:
            self.has_served = True
        if self.state == "suspended" and self.has_served and not self.odoo_stopped_at:
            self.odoo_stopped_at = fields.Datetime.now()
        return result

    def _files_turn(self, last):
        """Return what is known of this tenant's backups.

        :param last: when the last one was asked for and began, by (tenant's id, state)
        """
        asked = {state: last.get((self.id, state), NEVER)[0] for state in ("done", "failed", *UNFINISHED)}
        failed = asked.pop("failed")
        if self.state == "suspended":
            failed = None if failed and asked["done"] and asked["done"] > failed else failed
            stopped = bool(failed and failed >= self.odoo_stopped_at)  # nothing has changed since it failed
            return Turn(self.id, self.odoo_stopped_at, self.plan_id.files_backup_hours, failed=failed, stopped=stopped)
        newest = max(filter(None, asked.values()), default=None)
        return Turn(self.id, self.create_date, self.plan_id.files_backup_hours, newest, failed)

    def _rests(self, last):
        """Tell whether a suspended tenant has nothing to save: its files are to come, or a backup has them, or is to.

        :param last: as in ``_files_turn``
        """
        if self.state != "suspended":
            return False
        began = last.get((self.id, "done"), NEVER)[1]
        unfinished = any((self.id, state) in last for state in UNFINISHED)
        saved = unfinished or bool(began and began >= self.odoo_stopped_at)
        return saved or self._awaits_files()

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | {"odoo_stopped_at", "has_served", "files_checked_at"}

    @api.model
    def _to_be_checked(self):
        """Return the tenants whose objects in S3 have not been looked at for a day, the longest ago first."""
        since = fields.Datetime.subtract(fields.Datetime.now(), hours=CHECKED_FOR)
        due = ["|", ("files_checked_at", "=", False), ("files_checked_at", "<", since)]
        known = [("erased_at", "=", False), ("files_backup_ids.state", "=", "done")]
        return self.search([*known, *due], order="files_checked_at NULLS FIRST, id")

    def _expire_files_backups(self):
        """Give up the backups that neither the plan nor anything else keeps."""
        self.ensure_one()
        backups = self.env["loomworks.files.backup"].search([("tenant_id", "=", self.id), ("state", "=", "done")])
        kept_since = fields.Datetime.subtract(fields.Datetime.now(), days=self.plan_id.files_keep_days)
        needed = self._needed_manifests()
        over = backups.filtered(lambda one: one.began_at < kept_since and one.manifest not in needed)
        over.state = "expired"
        if any(over.mapped("lost")):
            over[:1]._give_all_clear()

    def _collect_files(self):
        """Remove from S3 what no backup of this tenant names, unless one is being made just now.

        Of an erased tenant everything goes, whatever became of its backups: a failed one has left objects, too.
        """
        self.ensure_one()
        backups = self.env["loomworks.files.backup"].search([("tenant_id", "=", self.id)])
        left = backups.filtered(lambda one: one.manifest and not one.removed)
        over = left if self.erased_at else left.filtered(lambda one: one.state == "expired")
        if backups.filtered("working") or not (over or self._is_collection_due()):
            return
        try:
            if self.erased_at:
                remove_all(self._files_store())
            elif not Collector(self._files_vault()).run(over.mapped("manifest")).finished:
                return
        except LoomworksError as error:
            _logger.warning("what the files of the tenant %s do not need is not removed: %s", self.uuid, error)
            return
        over.removed = True
        self.files_collected_at = fields.Datetime.now()

    def _is_collection_due(self):
        """Tell whether what killed backups leave has had its week."""
        since = fields.Datetime.subtract(fields.Datetime.now(), days=COLLECT_DAYS)
        return not self.erased_at and (self.files_collected_at or self.create_date) < since

    def _files_vault(self):
        """Return the tenant's objects under its key.

        :raises KeyMissing, PlaceUnset, SecretUnavailable: when they cannot be read
        """
        self.ensure_one()
        key = keys.read(self.cluster_id._client(), self.uuid)
        return Vault(self._files_store(), key)

    def _files_store(self):
        """Return the tenant's objects in S3.

        :raises PlaceUnset, SecretUnavailable: when nobody says where they are
        """
        return Store(self.cluster_id._require_files_place().location(self.uuid))
