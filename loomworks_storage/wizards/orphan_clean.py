"""Show exactly what would be deleted, and ask how many that is, before any of it is."""

from odoo import api, fields, models
from odoo.exceptions import UserError


class OrphanClean(models.TransientModel):
    """The dry run of a clean-up, and its confirmation."""

    _name = "loomworks.orphan.clean"
    _description = "Delete orphans"

    orphan_ids = fields.Many2many("loomworks.orphan", readonly=True)
    line_ids = fields.One2many("loomworks.orphan.clean.line", "wizard_id", "What would be deleted", readonly=True)
    deletable_count = fields.Integer("Would be deleted", readonly=True)
    refused_count = fields.Integer("Left alone", readonly=True)
    size_bytes = fields.Float("Bytes in all", digits=(20, 0), readonly=True)
    confirm_count = fields.Integer("Type how many")
    matches = fields.Boolean(compute="_compute_matches")

    @api.depends("confirm_count", "deletable_count")
    def _compute_matches(self):
        for wizard in self:
            wizard.matches = bool(wizard.deletable_count) and wizard.confirm_count == wizard.deletable_count

    @api.model
    def default_get(self, fields_list):
        """Make the dry run of what is selected in the list."""
        values = super().default_get(fields_list)
        if self.env.context.get("active_model") == "loomworks.orphan":
            chosen = self.env["loomworks.orphan"].browse(self.env.context.get("active_ids", [])).exists()
            values.update(self._dry_run(chosen))
        return values

    @api.model
    def _dry_run(self, chosen):
        found = chosen.action_dry_run()
        lines = [{"orphan_id": one["id"], "what": one["what"], "refusal": one["refusal"]} for one in found]
        taken = [one for one in found if not one["refusal"]]
        return {
            "orphan_ids": [fields.Command.set([one["id"] for one in taken])],
            "line_ids": [fields.Command.create(line) for line in lines],
            "deletable_count": len(taken),
            "refused_count": len(found) - len(taken),
            "size_bytes": sum(one["size_bytes"] for one in taken),
        }

    def action_confirm(self):
        """Have them deleted."""
        self.ensure_one()
        if not self.matches:
            raise UserError(self.env._("Type how many objects are to be deleted: %s.", self.deletable_count))
        self.orphan_ids.action_clean(self.confirm_count)
        return {"type": "ir.actions.act_window_close"}


class OrphanCleanLine(models.TransientModel):
    """One object of a dry run."""

    _name = "loomworks.orphan.clean.line"
    _description = "What would be deleted"

    wizard_id = fields.Many2one("loomworks.orphan.clean", required=True, ondelete="cascade")
    orphan_id = fields.Many2one("loomworks.orphan", readonly=True, ondelete="cascade")
    kind = fields.Selection(related="orphan_id.kind")
    what = fields.Text("Exactly this", readonly=True)
    size_bytes = fields.Float(related="orphan_id.size_bytes")
    age_days = fields.Integer(related="orphan_id.age_days")
    refusal = fields.Text("Left alone, since", readonly=True)
