"""A tenant that was brought in from another platform, and what the reconciler is told of it."""

from functools import partial

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.reconciler.steps.awaited import Awaited
from odoo.exceptions import UserError

from .imports import RUNNING, STAGES


class Tenant(models.Model):
    """A tenant whose data may come from another platform."""

    _inherit = "loomworks.tenant"

    imported_by_id = fields.Many2one("loomworks.import", "Imported by", readonly=True, copy=False, ondelete="set null")

    def action_archive(self, reason=None):
        """As before; an import that goes on is given up, one whose data is whole is done."""
        result = super().action_archive(reason)
        imports = self.sudo().imported_by_id
        imports.filtered(lambda one: one.state == "starting")._end("done")
        imports.filtered(lambda one: one.state in (*RUNNING, "failed"))._end("cancelled")
        return result

    def restore_archived(self, reason=None):
        """As before; not where only a part of the data has come."""
        self._check_operator()
        for tenant in self.sudo().filtered(lambda one: one.imported_by_id.state == "cancelled"):
            raise UserError(
                self.env._(
                    "The import of “%s” was given up: its data is not whole. Delete it, and import the source again.",
                    tenant.name,
                )
            )
        return super().restore_archived(reason)

    def _abandon_import(self):
        """Take away a tenant that will get no data."""
        self.filtered(lambda one: one.state in ("provisioning", "suspended"))._abandon("import given up")

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | {"imported_by_id"}

    def _spec_values(self):
        values = super()._spec_values()
        return {**values, "keeps_users": values.get("keeps_users", False) or bool(self.imported_by_id)}

    def _steps(self):
        """Wait for the data before the database is looked at."""
        steps = super()._steps()
        if self.imported_by_id:
            steps.insert([step.code for step in steps].index("database"), self._imported())
        return steps

    def _imported(self):
        one = self.sudo().imported_by_id
        step = partial(Awaited, "import", "Data of the source", one.id)
        if one.state in ("starting", "done"):
            return step(done=one.result or "")
        if one.state in ("failed", "cancelled", "erased", "draft"):
            problem = one.error_message or self.env._("the import was cancelled: archive this tenant")
            return step(problem=problem)
        stage = STAGES[one.stage][0] if one.stage else self.env._("Getting ready")
        return step(progress=f"{stage} ({one.progress} %)")

    def _settle(self):
        """The tenant serves what was brought in: the import is done; or all of it is deleted again."""
        result = super()._settle()
        one = self.sudo().imported_by_id
        if one.state == "starting" and self.state == "active":
            one._end("done")
            self.env["loomworks.audit"]._record("import_done", self, one.result or "")
        elif one and self.erased_at and one.state == "done":
            one._end("erased")
        return result
