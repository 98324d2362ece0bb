"""Operations of tenants' agents, in the control plane: listed from the tenant's own database, kept once acted on."""

from odoo import api, fields, models
from odoo.addons.loomworks_ai.models.operation_log import KINDS, STATES
from odoo.exceptions import UserError

USABLE = ("creating", "ready", "restoring")  # states of a snapshot that another restore may use


class OperationLog(models.Model):
    """The control plane's own operations, and those of tenants on which somebody has acted."""

    _name = "loomworks.ai.operation.log"
    _inherit = ["loomworks.ai.operation.log", "loomworks.own.defaults"]

    tenant_id = fields.Many2one(
        "loomworks.tenant",
        readonly=True,
        ondelete="cascade",
        index="btree_not_null",
        help="In whose Odoo it was done; empty: in this one.",
    )
    snapshot_id = fields.Many2one(
        "loomworks.snapshot", "Snapshot before it", readonly=True, ondelete="set null", index="btree_not_null"
    )
    tenant_operation = fields.Integer("Number there", readonly=True, aggregator=None)
    agent_name = fields.Char("Agent there", readonly=True, help="Login in the tenant's own Odoo.")
    record_count = fields.Integer("Records there", readonly=True)

    # A restored database gives numbers once more: with its position, an operation is the only one.
    _one_a_tenant = models.UniqueIndex(
        "(tenant_id, tenant_operation, timeline, lsn) WHERE tenant_id IS NOT NULL",
        "There is a row for this operation already.",
    )

    @api.depends("tenant_id", "tenant_operation")
    def _compute_display_name(self):
        result = super()._compute_display_name()
        for log in self.filtered("tenant_id"):
            what = log.method_name or log.operation_type or ""
            log.display_name = f"{log.tenant_id.name} #{log.tenant_operation} {log.model_name or ''} {what}".strip()
        return result

    def action_restore_before(self):
        """Bring the tenant back to just before this operation, and return the new restore's id.

        A snapshot of that moment is made; the restore begins as soon as it is proven, and fails with its reason where
        it cannot be.

        :raises UserError: for an operation of the control plane itself, or one that has no position
        """
        self.ensure_one()
        self.check_access("read")
        if not self.tenant_id:
            raise UserError(
                self.env._(
                    "Operation %s was done in this Odoo, not in a tenant's: there is nothing to restore. Undo it here.",
                    self.id,
                )
            )
        self.tenant_id._check_admin()
        if not (self.lsn and self.timeline):
            raise UserError(
                self.env._(
                    "“%s” has changed nothing, so that no position was recorded. Restore to a time.", self.display_name
                )
            )
        snapshot = self._snapshot_before()
        values = {
            "snapshot_id": snapshot.id,
            "target_kind": "lsn",
            "target_value": snapshot.wal_position,
            "target_position": snapshot.wal_position,
            "target_timeline": snapshot.recovery_timeline or snapshot.timeline,
            "system_identifier": snapshot.system_identifier,
            "moment": self.started_at,
        }
        return self.env["loomworks.restore"]._request(self.tenant_id, values).id

    def _snapshot_before(self):
        """Return the snapshot of the moment before this operation, made now if there is none."""
        log = self.sudo()
        if log.snapshot_id.state not in USABLE:
            name = self.env._("Before %s", self.display_name)
            log.snapshot_id = self.tenant_id._snapshot_before_operation(log.lsn, log.timeline, log.started_at, name)
        return log.snapshot_id

    def action_time_machine(self):
        """Show the moment before this operation in the tenant's time machine."""
        self.ensure_one()
        return self.tenant_id.action_time_machine(operation_id=self.tenant_operation, moment=self.started_at)

    @api.model
    def _mirror(self, tenant, operation):
        """Return the row of a tenant's operation, made if need be; what has become of it is brought up to date."""
        domain = [
            ("tenant_id", "=", tenant.id),
            ("tenant_operation", "=", operation.number),
            ("timeline", "=", operation.timeline),
            ("lsn", "=", operation.lsn),
        ]
        values = mirrored(operation)
        found = self.sudo().search(domain, limit=1)
        if found:
            found.write(values)
        else:
            found = self.sudo().create({"tenant_id": tenant.id, **values})
        return found.with_env(self.env)

    # --- a tenant's operations are taken back in the tenant's own Odoo ----------------------------------

    def _check_may_be_undone(self):
        self._refuse_of_tenants()
        return super()._check_may_be_undone()

    def _open_dialog(self, kind):
        self._refuse_of_tenants()
        return super()._open_dialog(kind)

    def _may_be_undone_by_user(self):
        return not self.tenant_id and super()._may_be_undone_by_user()

    def _refuse_of_tenants(self):
        self.check_access("read")
        for log in self.filtered("tenant_id"):
            raise UserError(
                self.env._(
                    "Operation %(number)s was done in the Odoo of “%(tenant)s”: undo or redo it there, under “AI "
                    "operations”. From here the tenant can be restored to just before it.",
                    number=log.tenant_operation,
                    tenant=log.tenant_id.name,
                )
            )

    @api.model
    def _done_here(self):
        return [*super()._done_here(), ("tenant_id", "=", False)]


def mirrored(operation):
    """Return the fields of a row for a tenant's operation."""
    return {
        "tenant_operation": operation.number,
        "agent_name": operation.agent,
        "tool_name": operation.tool,
        "operation_type": known(operation.kind, KINDS),
        "model_name": operation.model,
        "method_name": operation.method,
        "record_count": operation.records,
        "row_changes": operation.changes,
        "state": known(operation.state, STATES),
        "error_message": operation.message,
        "lsn": operation.lsn,
        "timeline": operation.timeline,
        "started_at": operation.at.replace(microsecond=0),
    }


def known(code, selection):
    """Return the code, or nothing where it is of a version that this control plane does not know."""
    return code if code in dict(selection) else False
