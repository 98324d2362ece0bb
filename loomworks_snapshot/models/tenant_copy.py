"""Copies of a tenant: a new tenant with its data as of a moment, for tests (neutralised) or for good."""

from functools import partial

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.kube import quantity
from odoo.addons.loomworks_tenant.models.tenant import LIMITS
from odoo.addons.loomworks_tenant.reconciler.engine import StepState
from odoo.addons.loomworks_tenant.reconciler.steps.awaited import Awaited
from odoo.exceptions import AccessError, UserError

from ..reconciler.steps import Neutralised
from ..restoring.flow import RestoreFailed
from .restore import STAGES

COPIED_FIELDS = ("cluster_id", "subscription_expires")
PLANNED_FIELDS = ("volume_size", *LIMITS)  # copied with the plan; another plan says its own
FULL = 0.9  # of a volume: files that take more of a smaller one are not brought there
COPY_FIELDS = frozenset({"origin_id", "copied_moment", "copied_by_id", "neutralised"})


class TenantCopy(models.Model):
    """A tenant that may be a copy of another one."""

    _inherit = "loomworks.tenant"

    origin_id = fields.Many2one(
        "loomworks.tenant", "Copy of", readonly=True, copy=False, ondelete="set null", index="btree_not_null"
    )
    copied_moment = fields.Datetime("As of", readonly=True, copy=False, help="The original's data of this moment.")
    copied_by_id = fields.Many2one("loomworks.restore", "Copied by", readonly=True, copy=False, ondelete="set null")
    neutralised = fields.Boolean(
        readonly=True,
        copy=False,
        help="Nothing leaves it: no mail, no scheduled action, no payment, no webhook; the original's keys are gone.",
    )
    copy_ids = fields.One2many("loomworks.tenant", "origin_id", "Copies", readonly=True)
    copy_count = fields.Integer("Copies", compute="_compute_copy_count")

    @api.depends("copy_ids.erased_at")
    def _compute_copy_count(self):
        for tenant in self:
            tenant.copy_count = len(tenant.copy_ids.filtered(lambda one: not one.erased_at))

    def action_clone(self, name, subdomain, neutralise=True, moment=None, plan_id=None):
        """Make a new tenant with this one's data, and return its id; it serves within a minute or so.

        It has an identity of its own: its users log in as they do here; sessions, API keys and links of this tenant are
        nothing there. A neutralised copy sends, fetches, pays and calls nothing; that is checked before it is served.

        :param moment: the data of when, UTC; without one, of now
        :param plan_id: of operators: another plan than this tenant's, with its limits and its size of the volume
        :raises UserError: when the plan's number of copies is reached, the moment is none of this tenant's, or the
            files do not fit the other plan's volume
        """
        self.ensure_one()
        self._check_admin()
        target = self._moment_values(self._moment_or_now(moment))
        return self._clone(name, subdomain, neutralise, target, plan_id).id

    def _clone(self, name, subdomain, neutralise, target, plan_id=None):
        """Make the copy's row and the restore that fills it.

        :param target: what of ``loomworks.restore`` names the moment
        """
        self._check_may_copy(neutralise)
        plan = self._plan_of_copy(plan_id)
        origin = self.sudo()
        if not origin.cluster_id._files_place():
            raise UserError(
                self.env._(
                    "Files are not backed up to S3 on this cluster, so a copy would be without them. Have an operator "
                    "fill in where they go, on the cluster's form."
                )
            )
        same = COPIED_FIELDS if plan != origin.plan_id else (*COPIED_FIELDS, *PLANNED_FIELDS)
        values = {field: self._fields[field].convert_to_write(origin[field], origin) for field in same}
        values |= {"plan_id": plan.id, "name": name, "subdomain": subdomain}
        values |= {"admin_ids": [(6, 0, origin.admin_ids.ids)]}
        values |= {"origin_id": origin.id, "copied_moment": target["moment"], "neutralised": neutralise}
        copy = origin.create({**values, "server_id": origin.server_id.id})
        restore = self.env["loomworks.restore"]._request(self, {**target, "purpose": "copy", "copy_id": copy.id})
        copy.write({"copied_by_id": restore.id, "database_name": f"{copy.database_name}_r{restore.id}"})
        copy._move("provision")
        return copy.with_env(self.env)

    def _check_may_copy(self, neutralise):
        self._check_admin()
        if self.env.su or self.env.user.has_group("loomworks_tenant.group_operator"):
            return
        if not neutralise:
            raise AccessError(
                self.env._("Only platform operators may make a copy that sends mails and runs its scheduled actions.")
            )
        origin = self.sudo()
        copies = origin.copy_ids.filtered(lambda one: one.state != "archived" and not one.erased_at)
        if len(copies) >= origin.plan_id.copies:
            raise UserError(
                self.env._(
                    "“%(name)s” may have %(limit)s copies at a time, and has them: %(names)s. Have one archived first.",
                    name=self.name,
                    limit=origin.plan_id.copies,
                    names=", ".join(copies.mapped("name")) or "-",
                )
                if origin.plan_id.copies
                else self.env._("The plan of “%s” has no copies. Ask your platform's operators.", self.name)
            )

    def _plan_of_copy(self, plan_id):
        """Return the copy's plan.

        :raises AccessError: when somebody else than an operator names another than this tenant's
        :raises UserError: when the files do not fit its volume, or it is not offered
        """
        origin = self.sudo()
        plan = origin.env["loomworks.plan"].browse(plan_id or origin.plan_id.id).exists()
        if plan == origin.plan_id:
            return plan
        if not self.env.su and not self.env.user.has_group("loomworks_tenant.group_operator"):
            raise AccessError(self.env._("Only platform operators may give a copy another plan."))
        if not plan.active:
            raise UserError(self.env._("There is no such plan, or it is archived."))
        used, room = origin.volume_ids.used_bytes, quantity.size(plan.volume_size)
        if used > FULL * room:
            raise UserError(
                self.env._(
                    "The files of “%(name)s” take %(used)s, and volumes of the plan “%(plan)s” have %(room)s: choose a "
                    "larger plan, or have files removed first.",
                    name=self.name,
                    used=quantity.readable(used),
                    plan=plan.name,
                    room=quantity.canonical(room),
                )
            )
        return plan

    def action_remove_copy(self, confirm_name=None):
        """Take a neutralised copy away with all that is in it.

        :param confirm_name: the copy's name, typed in
        """
        self.ensure_one()
        self._check_admin()
        if not self.neutralised:
            raise UserError(self.env._("“%s” is no copy for tests: have it archived by an operator.", self.name))
        if (confirm_name or "").strip() != self.name:
            raise UserError(self.env._("Type the copy's name, “%s”, to remove it.", self.name))
        copy = self.sudo()
        if copy.state != "archived":
            copy.action_archive()
        return copy.action_erase(confirm_name) if copy.server_id else True

    def restore_archived(self, reason=None):
        """As before; not where no data of the original has come."""
        self._check_operator()
        for tenant in self.sudo().filtered(lambda one: one.copied_by_id.state == "cancelled"):
            raise UserError(
                self.env._("“%s” was archived before it had any data. Delete it, and make another copy.", tenant.name)
            )
        return super().restore_archived(reason)

    def _abandon_copy(self):
        """Take away a copy that will get no data."""
        self.filtered(lambda one: one.state == "provisioning")._abandon("never filled")

    def action_copies(self):
        """Show this tenant's copies."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_tenant.action_tenant")
        return {**action, "domain": [("origin_id", "=", self.id)], "context": {}}

    # --- what the reconciler is told ------------------------------------------------------------------

    def _guard(self, vals):
        result = super()._guard(vals)
        if COPY_FIELDS.intersection(vals) and not self.env.su:
            raise UserError(self.env._("A tenant becomes a copy only by being made as one: use “Copy”."))
        return result

    def _spec_values(self):
        values = super()._spec_values()
        return {**values, "keeps_users": bool(self.copied_moment) or values.get("keeps_users", False)}

    def _steps(self):
        """Wait for the data before the database is looked at, and neutralise it before anything serves it."""
        steps = super()._steps()
        codes = [step.code for step in steps]
        if self.neutralised:
            steps.insert(codes.index("workload"), Neutralised())
        if self.copied_by_id:
            steps.insert(codes.index("database"), self._copied())
        return steps

    def _copied(self):
        restore = self.sudo().copied_by_id
        step = partial(Awaited, "copy", "Data of the original", restore.id)
        if restore.state == "done":
            return step(done=self.env._("as of %s UTC", fields.Datetime.to_string(self.copied_moment)))
        if restore.state in ("failed", "cancelled"):
            problem = restore.error_message or self.env._("the copy was cancelled")
            return step(problem=problem)
        if restore.state == "copying":
            return step(progress=self.env._("waiting for a backup of the original's files"))
        stage = STAGES[restore.stage][0] if restore.stage else self.env._("Waiting for the archive")
        return step(progress=f"{stage} ({restore.progress} %)")

    def _is_ready_for_data(self):
        """Tell whether the new tenant's role is there, which the restored database will belong to.

        :raises RestoreFailed: when it will not be
        """
        if self.state != "provisioning" or self.erase_requested:  # or there is no such tenant any more
            raise RestoreFailed("the new tenant is not being provisioned any more", code="tenant_gone")
        return any(step.code == "database_role" and step.state == StepState.DONE.value for step in self.step_ids)
