"""The progress of a tenant, one row a step."""

from odoo import api, fields, models

from ..reconciler.engine import StepState, Verb

STEP_STATES = [
    (StepState.PENDING.value, "To do"),
    (StepState.RUNNING.value, "Running"),
    (StepState.WAITING.value, "Waiting"),
    (StepState.FAILED.value, "Problem"),
    (StepState.DONE.value, "Done"),
]


class TenantStep(models.Model):
    """Where one step of a tenant stands, since when, and why."""

    _name = "loomworks.tenant.step"
    _inherit = ["loomworks.own.defaults"]
    _description = "Tenant step"
    _order = "tenant_id, sequence, id"
    _rec_name = "title"

    tenant_id = fields.Many2one("loomworks.tenant", required=True, ondelete="cascade", index=True, readonly=True)
    code = fields.Char(required=True, readonly=True)
    title = fields.Char("Step", required=True, readonly=True)
    sequence = fields.Integer(readonly=True)
    verb = fields.Selection(
        [(Verb.ENSURE.value, "Set up"), (Verb.REMOVE.value, "Take down")], required=True, readonly=True
    )
    state = fields.Selection(STEP_STATES, required=True, default=StepState.PENDING.value, readonly=True)
    message = fields.Text(readonly=True)
    error_code = fields.Char(readonly=True)
    attempts = fields.Integer(readonly=True, help="Failures in a row.")
    fingerprint = fields.Char(readonly=True, help="Of the values for which the step was done.")
    started_at = fields.Datetime("Started", readonly=True)
    finished_at = fields.Datetime("Finished", readonly=True)
    next_at = fields.Datetime("Next try", readonly=True)
    started_clock = fields.Float(digits=(20, 3), readonly=True, help="Epoch seconds of the first look.")
    seconds = fields.Float(digits=(10, 2), readonly=True, help="From its first look to being done.")
    elapsed = fields.Char(compute="_compute_elapsed")

    _tenant_code_unique = models.Constraint("unique(tenant_id, code)", "A tenant has each step once.")

    @api.depends("seconds", "state")
    def _compute_elapsed(self):
        for step in self:
            step.elapsed = f"{step.seconds:.1f} s" if step.state == StepState.DONE.value else ""
