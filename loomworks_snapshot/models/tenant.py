"""A tenant's snapshots."""

from datetime import UTC, datetime, timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..repository.segments import Segment, format_lsn, parse_lsn
from ..schedule.due import Rhythm, next_turn
from .restore import RUNNING

TAKEN_IN = {"active", "suspended", "archived"}  # states in which the database is there


class Tenant(models.Model):
    """A tenant of which snapshots are taken."""

    _inherit = "loomworks.tenant"

    restore_ids = fields.One2many("loomworks.restore", "tenant_id", "Restores", readonly=True)
    restore_count = fields.Integer("Restores", compute="_compute_restores")
    running_restore_id = fields.Many2one("loomworks.restore", compute="_compute_restores")
    snapshot_ids = fields.One2many("loomworks.snapshot", "tenant_id", "Snapshots", readonly=True)
    snapshot_count = fields.Integer("Snapshots that can be restored", compute="_compute_snapshots")
    failed_snapshot_count = fields.Integer("Failed snapshots", compute="_compute_snapshots")
    last_snapshot_at = fields.Datetime("Last snapshot", compute="_compute_snapshots")
    next_snapshot_at = fields.Datetime("Next snapshot", compute="_compute_next_snapshot_at")

    @api.depends("restore_ids.state")
    def _compute_restores(self):
        for tenant in self:
            tenant.restore_count = len(tenant.restore_ids)
            going_on = tenant.restore_ids.filtered(lambda one: one.state in RUNNING and one.purpose == "in_place")
            tenant.running_restore_id = going_on[:1]

    @api.depends("snapshot_ids.state", "snapshot_ids.created_at")
    def _compute_snapshots(self):
        domain = [("tenant_id", "in", self.ids), ("state", "in", ("ready", "restoring", "failed"))]
        groups = self.env["loomworks.snapshot"]._read_group(
            domain, ["tenant_id", "state"], ["__count", "created_at:max"]
        )
        found = {(tenant.id, state): (count, last) for tenant, state, count, last in groups}
        for tenant in self:
            good = [found[key] for state in ("ready", "restoring") if (key := (tenant.id, state)) in found]
            tenant.snapshot_count = sum(count for count, _last in good)
            tenant.last_snapshot_at = max((last for _count, last in good), default=False)
            tenant.failed_snapshot_count = found.get((tenant.id, "failed"), (0, False))[0]

    @api.depends("plan_id.snapshot_minutes", "snapshot_ids.requested_at", "state")
    def _compute_next_snapshot_at(self):
        last = self._last_automatic()
        now = fields.Datetime.now()
        for tenant in self:
            rhythm = Rhythm(tenant.uuid or "", tenant.plan_id.snapshot_minutes, last.get(tenant.id))
            tenant.next_snapshot_at = next_turn(rhythm, now) if tenant.state == "active" else False

    def _last_automatic(self):
        """Return when the last automatic snapshot of each tenant was asked for, by the tenant's id."""
        domain = [("tenant_id", "in", self.ids), ("snapshot_type", "=", "auto")]
        groups = self.env["loomworks.snapshot"].sudo()._read_group(domain, ["tenant_id"], ["requested_at:max"])
        return {tenant.id: last for tenant, last in groups}

    def action_create_snapshot(self, name=None):
        """Take a snapshot, and return the ids of the new rows; they are ready within seconds."""
        self._check_admin()
        self._check_state(TAKEN_IN, "create_snapshot")
        each = self.browse(dict.fromkeys(self.ids))  # whoever calls may name one many times, past its limit
        for tenant in each:
            tenant._check_snapshot_limit()
        made = self.env["loomworks.snapshot"]._request(each, "manual", name)
        self.env["loomworks.audit"]._record("snapshot_create", made)
        return made.ids

    def restore_to(self, moment):
        """Bring the tenant back to ``moment`` (UTC), and return the new restore's id.

        The database is restored beside the living one, checked, and then put in its place; what the tenant has now is
        kept for a week, and going back to it is one action.

        :raises UserError: when the moment is in the future, or before the tenant was made
        """
        self.ensure_one()
        self._check_admin()
        moment = fields.Datetime.to_datetime(moment)
        self._check_moment(moment)
        return self.env["loomworks.restore"]._request(self, self._moment_values(moment)).id

    def _moment_values(self, moment):
        """Return what of a restore's row names ``moment`` (UTC), to the microsecond."""
        target = f"{moment.isoformat(sep=' ')}+00"
        return {"target_kind": "time", "target_value": target, "moment": moment.replace(microsecond=0)}

    def _moment_or_now(self, moment):
        """Return ``moment`` as a UTC time, or the present one to the microsecond: what was just saved belongs to it.

        :raises UserError: when the tenant can have had no data then
        """
        if not moment:
            return datetime.now(UTC).replace(tzinfo=None)
        moment = fields.Datetime.to_datetime(moment)
        self._check_moment(moment)
        return moment

    def _check_moment(self, moment):
        """See whether the tenant can have had data then.

        :raises UserError: when it is in the future, or before the tenant was made
        """
        if moment > datetime.now(UTC).replace(tzinfo=None):
            raise UserError(self.env._("%s UTC is in the future.", fields.Datetime.to_string(moment)))
        if moment < self.sudo().create_date.replace(microsecond=0):
            made = fields.Datetime.to_string(self.sudo().create_date)
            raise UserError(
                self.env._("“%(name)s” was made at %(made)s UTC, after this moment.", name=self.name, made=made)
            )

    def action_archive(self, reason=None):
        """Give up what is being restored, too: there is nothing to put it in place of."""
        self._check_operator()
        self._end_restores(self.sudo().restore_ids.filtered(lambda one: one.purpose != "copy"))
        return super().action_archive(reason)

    def action_erase(self, confirm_name=None, reason=None):
        """As before; a restore that is under way must not bring back what is erased."""
        self._check_operator()
        self._end_restores(self.sudo().restore_ids)
        return super().action_erase(confirm_name, reason)

    def _end_restores(self, restores):
        """Cancel those of ``restores`` that go on, and what fills these tenants themselves.

        :raises UserError: when one is being put in place
        """
        for restore in (restores | self.sudo().copied_by_id).filtered(lambda one: one.state in RUNNING):
            if restore.state not in ("waiting", "restoring", "copying"):
                raise UserError(
                    self.env._("A restore of “%s” is being put in place. Wait for its end.", restore.tenant_id.name)
                )
            restore._cancel()

    def action_restores(self):
        """Show this tenant's restores."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_snapshot.action_restore")
        return {**action, "domain": [("tenant_id", "=", self.id)]}

    def _restorable_since(self):
        """Return, by tenant, the earliest moment at which its database is known to have been there; None: not known."""
        domain = [("tenant_id", "in", self.ids), ("state", "in", ("ready", "restoring"))]
        first = dict(self.env["loomworks.snapshot"].sudo()._read_group(domain, ["tenant_id"], ["created_at:min"]))
        return {one: min(filter(None, (first.get(one), one.converged_at)), default=None) for one in self}

    def _database_at(self, moment):
        """Return the name of the database that the tenant had at ``moment``: a restore changes it."""
        self.ensure_one()
        domain = [("tenant_id", "=", self.id), ("purpose", "=", "in_place"), ("old_database", "!=", False)]
        restores = self.env["loomworks.restore"].sudo().search(domain, order="id")
        changes = [(one.placed_at, one.new_database) for one in restores if one.placed_at]
        changes += [(one.gone_back_at, one.old_database) for one in restores if one.gone_back_at]
        under_way = {"placing": "new_database", "going_back": "old_database"}
        going = restores.filtered(lambda one: one.traffic_changed_at and one.state in under_way)
        changes += [(one.traffic_changed_at, one[under_way[one.state]]) for one in going]
        before = [change for change in changes if change[0] <= moment]
        return max(before)[1] if before else restores[:1].old_database or self.database_name

    def action_snapshots(self):
        """Show this tenant's snapshots."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_snapshot.action_snapshot")
        return {**action, "domain": [("tenant_id", "=", self.id)], "context": {"search_default_live": 1}}

    def _snapshot_before_operation(self, lsn, timeline, moment, name=None, system_identifier=None):
        """Make a snapshot of a position that an AI operation has recorded, and return it.

        The position is in the WAL already, and is proven like any other; the server is only asked to archive it when
        it has not done so by itself after some seconds.

        :param lsn: as PostgreSQL writes it, just before the operation's first change
        :param moment: when that was, UTC
        """
        self.ensure_one()
        position = parse_lsn(lsn)
        return self.env["loomworks.snapshot"]._request(
            self,
            "pre_ai",
            name or self.env._("Before the operation at %s", fields.Datetime.to_string(moment)),
            created_at=moment,
            wal_position=format_lsn(position),
            wal_file=Segment.holding(timeline, position).name,
            timeline=timeline,
            system_identifier=str(system_identifier) if system_identifier else False,
        )

    def _manual_snapshot_end(self, now):
        """Return until when a snapshot is kept that no rule of the plan speaks of."""
        return self.server_id._kept_no_longer(now, now + timedelta(days=self.plan_id.manual_snapshot_days))

    def _check_snapshot_limit(self):
        """Refuse what is more than the plan gives a tenant's administrators.

        :raises UserError: with when the next one is possible
        """
        if self.env.su or self.env.user.has_group("loomworks_tenant.group_operator"):
            return
        plan, now = self.sudo().plan_id, fields.Datetime.now()
        for hours, limit in ((1, plan.manual_snapshots_hourly), (24, plan.manual_snapshots_daily)):
            since = now - timedelta(hours=hours)
            domain = [("tenant_id", "=", self.id), ("snapshot_type", "=", "manual"), ("requested_at", ">", since)]
            taken = self.env["loomworks.snapshot"].sudo().search(domain, order="requested_at desc", limit=limit or 1)
            if len(taken) >= limit:
                again = taken[-1].requested_at + timedelta(hours=hours) if taken and limit else False
                raise UserError(self._limit_text(limit, hours, again))

    def _limit_text(self, limit, hours, again):
        text = self.env._(
            "“%(name)s” may have %(limit)s snapshots taken by hand in %(hours)s hours, and has had them.",
            name=self.name,
            limit=limit,
            hours=hours,
        )
        if not again:
            return text
        return text + " " + self.env._("The next one is possible from %s UTC on.", fields.Datetime.to_string(again))

    def _settle(self):
        """What is erased leaves nothing to restore."""
        result = super()._settle()
        if self.erased_at:
            self.sudo().snapshot_ids.filtered(lambda one: one.state != "expired")._expire()
        return result
