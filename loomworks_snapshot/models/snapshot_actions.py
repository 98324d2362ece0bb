"""What may be done to a snapshot: each a button and a JSON-2 call, each with an audit row."""

from odoo import fields, models
from odoo.exceptions import AccessError, UserError

from .restore import RUNNING

LIVE = ("creating", "ready", "failed")


class SnapshotActions(models.Model):
    """The actions of a snapshot: they change rows only; the reconciler does the rest after the commit."""

    _inherit = "loomworks.snapshot"

    def action_create_snapshot(self, tenant_id=None, name=None):
        """Take a snapshot of a tenant, and return the ids of the new rows; they are ready within seconds.

        :param tenant_id: the tenant; without one, each snapshot's own
        :param name: what to call it; without one, the time
        """
        tenants = self.env["loomworks.tenant"].browse(tenant_id) if tenant_id else self.tenant_id
        if not tenants.exists():
            raise UserError(self.env._("Say of which tenant: tenant_id."))
        return tenants.action_create_snapshot(name)

    def action_verify(self):
        """Look again, now, whether the repository leads to these moments."""
        self.tenant_id._check_admin()
        self._check_live("verify")
        self.sudo()._request_reconcile()
        self.env["loomworks.audit"]._record("snapshot_verify", self)
        return True

    def action_restore(self):
        """Bring the tenant back to this moment, and return the new restore's id (see ``restore_to`` of the tenant)."""
        self.ensure_one()
        self.tenant_id._check_admin()
        return self.env["loomworks.restore"]._request(self.tenant_id, self._restore_values()).id

    def action_clone(self, name, subdomain, neutralise=True, plan_id=None):
        """Make a new tenant with the data of this snapshot, and return its id (see ``action_clone`` of the tenant)."""
        self.ensure_one()
        return self.tenant_id._clone(name, subdomain, neutralise, self._restore_values(), plan_id).id

    def action_drill(self):
        """Restore this moment on scratch space, see whether it is whole, wipe it, and return the new restore's id.

        Also where a restore has found damage: one that comes to its end shows that it is mended.

        :raises UserError: when the repository does not lead there, or a drill of it is going on
        """
        self.ensure_one()
        self._check_operator()
        if self.state != "failed" or not self.sudo().damage:
            self._check_restorable()
        if self.restore_ids.filtered(lambda one: one.purpose == "drill" and one.state in RUNNING):
            raise UserError(self.env._("A drill of “%s” is going on already.", self.display_name))
        values = {**self._way_values(), "purpose": "drill"}
        return self.env["loomworks.restore"]._request(self.tenant_id, values).id

    def _restore_values(self):
        """Return what of a restore's row names this moment.

        :raises UserError: when the repository does not lead there
        """
        self._check_restorable()
        return self._way_values()

    def _check_restorable(self):
        if self.state not in ("ready", "restoring"):
            raise UserError(
                self.env._("Only a snapshot that is ready can be restored: “%s” is not.", self.display_name)
            )

    def _way_values(self):
        snapshot = self.sudo()
        return {
            "snapshot_id": self.id,
            "target_kind": "name" if snapshot.restore_point else "lsn",
            "target_value": snapshot.restore_point or snapshot.wal_position,
            "target_position": snapshot.wal_position,
            "target_timeline": snapshot.recovery_timeline or snapshot.timeline,
            **(
                {"closing_position": snapshot.wal_position, "closing_timeline": snapshot.timeline}
                if snapshot.restore_point
                else {}
            ),
            "system_identifier": snapshot.system_identifier,
            "moment": snapshot.created_at,
        }

    def action_go_back(self):
        """Take back the restore of this snapshot that is in place; copies and downloads of it are no such thing."""
        self.ensure_one()
        self.tenant_id._check_admin()
        restores = self.restore_ids.filtered(lambda one: one.purpose == "in_place")
        if not restores:
            raise UserError(self.env._("“%s” has not been restored.", self.display_name))
        return (restores.filtered("can_go_back") or restores)[:1].action_go_back()

    def action_keep(self):
        """Keep it until somebody says otherwise: no rule lets it expire."""
        self._check_operator()
        self._check_live("keep")
        self._check_may_keep_forever()
        self.sudo().kept_forever = True
        self.env["loomworks.audit"]._record("snapshot_keep", self)
        return True

    def action_unkeep(self):
        """Let it expire as the plan says."""
        self._check_operator()
        self.sudo().filtered("kept_forever").kept_forever = False
        self.env["loomworks.audit"]._record("snapshot_unkeep", self)
        return True

    def action_delete(self):
        """Give it up: nothing is kept for it any more. Its row stays for a while, as expired."""
        self._check_operator()
        self._check_live("delete")
        for snapshot in self:
            if snapshot.kept_forever:
                raise UserError(self.env._("“%s” is kept forever. Unkeep it first.", snapshot.display_name))
        self.env["loomworks.audit"]._record("snapshot_delete", self)
        self.sudo()._expire()
        return True

    def _expire(self):
        """Mark as gone: the repository need not lead there any more, and nobody need mend it for these."""
        broken = self._broken()
        ended = {"error_message": False, "error_code": False, "reconcile_at": False, "problem_since": False}
        self.write({"state": "expired", "expires_at": fields.Datetime.now(), "kept_forever": False, **ended})
        broken._end_alarms_without_cause()

    def _check_live(self, action):
        for snapshot in self:
            if snapshot.state not in LIVE:
                state = dict(self._fields["state"]._description_selection(self.env))[snapshot.state].lower()
                raise UserError(
                    self.env._(
                        "“%(name)s” is %(state)s: %(action)s is not possible now.",
                        name=snapshot.display_name,
                        state=state,
                        action=action,
                    )
                )

    def _check_operator(self):
        self.check_access("read")
        if not (self.env.su or self.env.user.has_group("loomworks_tenant.group_operator")):
            raise AccessError(self.env._("Only platform operators may do this."))
