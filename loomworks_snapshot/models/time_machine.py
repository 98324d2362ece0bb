"""The time machine: what a tenant can be brought back to, what was done in it since, and how far a restore is."""

from dataclasses import asdict
from datetime import timedelta

from odoo import fields, models
from odoo.addons.loomworks_storage.files.flow import ONE_POD
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer as Server
from odoo.exceptions import UserError

from ..timeline import operations
from ..timeline.forks import span_of
from ..timeline.spans import Why, gaps, why_not
from .restore import RUNNING
from .tenant_past import Past, stamp, text

WINDOW = timedelta(days=1)  # of the page, unless it is said
REST_OF_SECOND = timedelta(microseconds=999_999)  # moments are whole seconds here, operations' are not
LISTED = 500  # operations, snapshots or restores in one answer
PROVISIONED = timedelta(hours=1)  # whatever is known this early was the tenant's beginning


class Tenant(models.Model):
    """A tenant whose past can be looked at."""

    _inherit = "loomworks.tenant"

    def action_time_machine(self, operation_id=None, moment=None):
        """Open the page."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("loomworks_snapshot.action_time_machine")
        picked = {"operation_id": operation_id, "moment": fields.Datetime.to_string(moment)} if moment else {}
        return {**action, "context": {"active_id": self.id, "active_model": self._name, **picked}}

    def time_machine(self, since=None, until=None):
        """Return what the tenant's past holds between two moments, and what of it can be restored.

        All moments are UTC, as ``2026-11-21 09:30:00``.

        :param until: now, unless said
        :param since: a day before ``until``, unless said
        :return: ``tenant``, ``now``, ``since``, ``until``; ``restorable`` and ``gaps`` (of all times; each with
            ``since`` and ``until``); ``archived_at``; ``backups``, ``snapshots``, ``operations``, ``restores`` of the
            window, the newest first; ``complete`` (false: older operations are left out); ``notes`` (what could not be
            asked); ``progress`` as `time_machine_progress`
        """
        self.ensure_one()
        self.check_access("read")
        until = fields.Datetime.to_datetime(until) or fields.Datetime.now()
        since = fields.Datetime.to_datetime(since) or until - WINDOW
        past = Past(self)
        found, notes = self._operations_between(since, until, LISTED)
        return {
            "tenant": {
                "id": self.id,
                "name": self.name,
                "state": self.state,
                "born": text(past.born),
                "may_restore": self._may_restore(),
                "may_copy": self._may_restore() and bool(self.sudo().cluster_id._files_place()),
            },
            "now": text(past.now),
            "since": text(since),
            "until": text(until),
            "restorable": [edges(span) for span in past.spans],
            "gaps": [edges(span) for span in gaps(past.spans, past.now)],
            "archived_at": text(self.sudo().server_id.last_archived_at),
            "backups": past.backups_between(since, until),
            "snapshots": self._snapshots_between(since, until),
            "operations": [told(one) for one in found.operations],
            "complete": found.complete,
            "restores": self._restores_between(since, until),
            "notes": [*past.notes, *notes],
            "progress": self.time_machine_progress(),
        }

    def time_machine_at(self, moment=None, operation_id=None, snapshot_id=None):
        """Return what one moment is: that of a snapshot, that just before an operation, or the one that is given.

        :return: ``moment``; ``restorable``, or ``why`` not, in words; ``note``; ``held``: what its users will notice;
            ``estimate`` (``seconds``, ``low``, ``high``, ``measured`` restores that it rests on); ``lost`` (``seconds``
            and ``operations`` since then, the latter null where nobody knows); ``operation`` or ``snapshot``
        """
        self.ensure_one()
        self.check_access("read")
        snapshot = self._own_snapshot(snapshot_id) if snapshot_id else self.env["loomworks.snapshot"]
        operation = self._operation(operation_id) if operation_id else None
        moment = snapshot.created_at or (operation and operation.at) or fields.Datetime.to_datetime(moment)
        if not moment:
            raise UserError(self.env._("Say which moment: moment, operation_id or snapshot_id."))
        exact, moment = moment, moment.replace(microsecond=0)
        past = Past(self)
        why = self._why_not(past, moment, snapshot, operation)
        return {
            "moment": text(moment),
            "restorable": not why,
            "why": why,
            "note": self._note_on(moment),
            "held": self._held(),
            "estimate": past.estimate(moment),
            "lost": {"seconds": max(0, int(past.now - stamp(moment))), "operations": self._count_since(exact)},
            "operation": told(operation) if operation else False,
            "snapshot": {**snapshot_told(snapshot), "files": snapshot.files_text} if snapshot else False,
        }

    def time_machine_progress(self):
        """Return how far the tenant's last restore is, as ``stages`` with the state of each; false without one."""
        self.ensure_one()
        self.check_access("read")
        domain = [("tenant_id", "=", self.id), ("purpose", "=", "in_place"), ("state", "!=", "cancelled")]
        restore = self.env["loomworks.restore"].search(domain, order="id desc", limit=1)
        return restore._told_progress() if restore else False

    def read_operations(self, since=None, until=None, limit=100):
        """Return the operations of agents in the tenant's own Odoo that began between two moments, the newest first.

        They are read there; no row is made of them here.

        :param limit: at most 500
        """
        self.ensure_one()
        self.check_access("read")
        until = fields.Datetime.to_datetime(until) or fields.Datetime.now()
        since = fields.Datetime.to_datetime(since) or until - WINDOW
        found, notes = self._operations_between(since, until, max(1, min(int(limit), LISTED)))
        if notes:
            raise UserError("\n".join(notes))
        return [told(one) for one in found.operations]

    def restore_before_operation(self, operation_id):
        """Bring the tenant back to just before an operation of its own Odoo, and return the new restore's id.

        :param operation_id: its number there
        """
        self.ensure_one()
        self._check_admin()
        operation = self._operation(operation_id)
        log = self.env["loomworks.ai.operation.log"]._mirror(self, operation)
        return log.action_restore_before()

    # --- what is read -----------------------------------------------------------------------------------

    def _may_restore(self):
        user = self.env.user
        own = self.env.su or user.has_group("loomworks_tenant.group_operator") or user in self.sudo().admin_ids
        return own and self.state in ("active", "suspended") and not self.sudo().erase_requested

    def _database_server(self):
        """Return the server with the tenant's database, and that one's name; None when there is none."""
        tenant = self.sudo()
        there = tenant.server_id and tenant.state != "draft" and not tenant.erased_at
        return (Server(tenant.server_id._to_spec()), tenant.database_name) if there else None

    def _operations_between(self, since, until, limit):
        """Return what was found, and why nothing more, in sentences."""
        place = self._database_server()
        if not place:
            return operations.Found(), []
        try:
            found = operations.read(*place, since, until + REST_OF_SECOND, limit)
        except LoomworksError as error:
            return operations.Found(), [self.env._("Operations of agents cannot be read now: %s", error)]
        return found, []

    def _operation(self, number):
        place = self._database_server()
        try:
            found = place and operations.one(*place, int(number))
        except LoomworksError as error:
            raise UserError(str(error)) from error
        if not found:
            raise UserError(
                self.env._("The Odoo of “%(name)s” lists no operation %(number)s.", name=self.name, number=number)
            )
        return found

    def _count_since(self, moment):
        place = self._database_server()
        try:
            return operations.count_since(*place, moment) if place else None
        except LoomworksError:
            return None

    def _own_snapshot(self, number):
        snapshot = self.env["loomworks.snapshot"].search([("id", "=", number), ("tenant_id", "=", self.id)])
        if not snapshot:
            raise UserError(self.env._("“%s” has no such snapshot.", self.name))
        return snapshot

    def _snapshots_between(self, since, until):
        domain = [("tenant_id", "=", self.id), ("state", "!=", "expired")]
        domain += [("created_at", ">=", since), ("created_at", "<=", until)]
        return [snapshot_told(one) for one in self.env["loomworks.snapshot"].search(domain, limit=LISTED)]

    def _restores_between(self, since, until):
        domain = [("tenant_id", "=", self.id), ("started_at", ">=", since), ("started_at", "<=", until)]
        states = dict(self.env["loomworks.restore"]._fields["state"]._description_selection(self.env))
        return [
            {
                "id": one.id,
                "at": text(one.placed_at or one.started_at),
                "moment": text(one.moment),
                "state": one.state,
                "state_text": states[one.state],
                "purpose": one.purpose,
                "placed": bool(one.placed_at) or (one.purpose == "in_place" and one.state in RUNNING),
                "seconds": one.total_seconds,
            }
            for one in self.env["loomworks.restore"].search(domain, limit=LISTED)
        ]

    # --- in words ---------------------------------------------------------------------------------------

    def _why_not(self, past, moment, snapshot, operation):
        """Return why this moment cannot be restored, or False."""
        if self.state not in ("active", "suspended"):
            return self.env._("“%s” is neither active nor suspended.", self.name)
        if snapshot:
            ready = snapshot.state in ("ready", "restoring")
            return False if ready else snapshot.verify_message or self.env._("It is not ready yet.")
        if operation and not (operation.lsn and operation.timeline):
            return self.env._("It has changed nothing, so that no position was recorded. Take a time.")
        if not operation and span_of(stamp(moment), past.abandoned):
            return self.env._(
                "The database server was taken back, or failed over, since: what it did at this time is on a timeline "
                "that it has left. Take a snapshot of that time, or another moment."
            )
        words = {
            Why.FUTURE: self.env._("It is in the future."),
            Why.BEFORE_TENANT: self.env._("The tenant was made later."),
            Why.BEFORE_BACKUPS: self.env._("The repository does not go back so far: every base backup is newer."),
            Why.GAP: self.env._("WAL is missing in the repository from here to the next base backup."),
            Why.NO_BACKUPS: self.env._("There is no base backup yet from which a restore could start."),
        }
        why = why_not(stamp(moment), past.spans, past.born, past.now)
        return words[why] if why else False

    def _note_on(self, moment):
        """Say it where the tenant had another database at this moment."""
        if not self.sudo().server_id or self._database_at(moment) == self.sudo().database_name:
            return False
        return self.env._(
            "A restore has given the tenant another database since. It is brought back to the one of that time; what "
            "agents did there after the moment of that restore is not listed."
        )

    def _held(self):
        """Say what users notice of a restore: where one pod may have the volume, the old one ends first."""
        if self.sudo()._access_mode() == ONE_POD:
            return self.env._(
                "Its users work on until the restored database is ready and checked. Then its Odoo stops, as its "
                "volume is for one pod only, until its files have been compared and it has started again."
            )
        return self.env._(
            "Its users work on until the restored database is ready and checked; then they are held for a moment."
        )

    def _born(self):
        """Return since when the tenant's database may have been there."""
        made = [("model_name", "=", self._name), ("record_id", "=", self.id), ("action", "=", "provision")]
        begun = self.env["loomworks.audit"].sudo().search(made, order="id", limit=1).date or self.sudo().create_date
        known = self._restorable_since()[self]
        return known if known and begun < known < begun + PROVISIONED else begun


def told(operation):
    """Return an operation as the page and JSON-2 get it."""
    return {**asdict(operation), "at": text(operation.at)}


def snapshot_told(snapshot):
    """Return a snapshot as the page gets it."""
    return {
        "id": snapshot.id,
        "at": text(snapshot.created_at),
        "name": snapshot.name,
        "type": snapshot.snapshot_type,
        "state": snapshot.state,
    }


def edges(span):
    """Return a span as the page gets it."""
    return {"since": text(span.since), "until": text(span.until)}
