"""The log of operations: what each agent did, when, on what, and what has become of it."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.tools import SQL

from .. import journal
from .values import SHOWN_TABLES, Changes

STATES = [
    ("pending", "Under way"),
    ("done", "Done"),
    ("failed", "Failed"),
    ("rolled_back", "Undone"),
    ("partially_rolled_back", "Partly undone"),
    ("restore_only", "Restore only"),
]
KINDS = [
    ("create", "Create"),
    ("write", "Write"),
    ("unlink", "Delete"),
    ("method", "Method"),
    ("undo", "Undo"),
    ("redo", "Redo"),
]
RETENTION_PARAMETER = "loomworks_ai.retention_months"
RETENTION_MONTHS = 3
OF_MESSAGES = {"to", "subject", "message_id"}  # of effects: whom a message reached, and what it was about
# Tables of messages that another process sends, and what their rows are then.
QUEUES = {"mail_mail": "mail", "sms_sms": "sms"}
SENT_STATES = ("sent", "received", "process", "pending")
QUEUED = 200  # of them are looked at
LISTED = 1_000  # changed rows of each table
SUBJECT = 80  # characters
INTERRUPTED = timedelta(hours=1)  # no request takes that long: whatever is still under way has died


class OperationLog(models.Model):
    """One request of an agent that has changed something, or tried to. Rows are written by the capture, by SQL."""

    _name = "loomworks.ai.operation.log"
    _description = "AI operation"
    _order = "id desc"
    _log_access = False  # its own columns say who and when

    session_id = fields.Char(readonly=True, index=True, help="What the agent sent as X-Loomworks-Session.")
    agent_id = fields.Many2one("res.users", readonly=True, index=True, ondelete="restrict")
    user_id = fields.Many2one(
        "res.users",
        "By",
        readonly=True,
        ondelete="restrict",
        help="Who asked: the agent itself, or who undid its work.",
    )
    tool_name = fields.Char("Through", readonly=True)
    operation_type = fields.Selection(KINDS, "Type", readonly=True)
    model_name = fields.Char("Model", readonly=True, index=True)
    method_name = fields.Char("Method", readonly=True)
    record_ids = fields.Json(
        "Records",
        readonly=True,
        help="Numbers of those it was called on, or else of those of its model that it has made.",
    )
    state = fields.Selection(STATES, readonly=True, index=True)
    error_message = fields.Text("Why", readonly=True)
    execution_time_ms = fields.Integer("Duration (ms)", readonly=True, aggregator="avg")
    row_changes = fields.Integer(readonly=True)
    lsn = fields.Char("WAL position", readonly=True, help="Just before its first change.")
    timeline = fields.Integer(readonly=True)
    started_at = fields.Datetime("At", readonly=True, index=True)
    undoes = fields.Json(
        "Numbers taken back", readonly=True, help="Numbers of the operations that this one has undone or redone."
    )
    partly = fields.Boolean(readonly=True, help="It took back a part of them only.")
    undone = fields.Boolean(readonly=True)
    undone_at = fields.Datetime(readonly=True)
    undone_by = fields.Integer("Undone by operation", readonly=True, aggregator=None)

    _undoes_idx = models.Index("USING gin (undoes jsonb_path_ops) WHERE undoes IS NOT NULL")

    undone_ids = fields.Many2many("loomworks.ai.operation.log", string="Took back", compute="_compute_took_back")
    agent_ids = fields.Many2many(
        "res.users",
        string="Agents",
        compute="_compute_took_back",
        context={"active_test": False},
        help="Whose work this is about: of an undo, all of those whose operations were taken back.",
    )
    values_before = fields.Json(compute="_compute_values")
    values_after = fields.Json(compute="_compute_values")
    values_left_out = fields.Json(
        compute="_compute_values", help="Of how many records more, by model, as there are too many to be listed."
    )
    changes_html = fields.Html("Changes", compute="_compute_changes_html", sanitize=False)
    effects = fields.Json(compute="_compute_effects")
    effects_html = fields.Html("What left the system", compute="_compute_effects", sanitize=False)
    can_undo = fields.Boolean(compute="_compute_can_undo")
    can_redo = fields.Boolean(compute="_compute_can_undo")

    @api.depends("operation_type", "model_name", "method_name")
    def _compute_display_name(self):
        for log in self:
            what = log.method_name or dict(KINDS).get(log.operation_type, "")
            log.display_name = f"#{log.id} {log.model_name or ''} {what}".strip()

    @api.depends("agent_id", "undoes")
    @api.depends_context("uid")
    def _compute_took_back(self):
        for log in self:
            log.undone_ids = log.browse(log.undoes or []).exists()._filtered_access("read")
            log.agent_ids = log._agents()

    def _agents(self):
        """Return the agents whose operations these are, or have taken back."""
        return self.sudo()._roots().agent_id | self.sudo().agent_id

    def _compute_values(self):
        for log in self:
            changes = log._changes()
            log.values_before = changes.values("before")
            log.values_after = changes.values("after")
            log.values_left_out = changes.left_out()

    def _compute_changes_html(self):
        kept = self._accounted()
        for log in self:
            groups = log._changes().described()
            shown = {
                "groups": groups[:SHOWN_TABLES],
                "more": len(groups[SHOWN_TABLES:]),
                "forgotten": kept.get(log.id, 0) < log.row_changes,
            }
            log.changes_html = self.env["ir.qweb"]._render("loomworks_ai.operation_changes", shown)

    def _compute_effects(self):
        for log in self:
            effects = log._effects() if log.ids else []
            log.effects = effects
            log.effects_html = self.env["ir.qweb"]._render(
                "loomworks_ai.operation_effects", {"effects": [self._effect_words(one) for one in effects]}
            )

    @api.depends("state")
    @api.depends_context("uid")
    def _compute_can_undo(self):
        for log in self:
            mine = log._may_be_undone_by_user()
            log.can_undo = mine and log.state in ("done", "failed", "partially_rolled_back") and bool(log.row_changes)
            log.can_redo = mine and log.state in ("rolled_back", "partially_rolled_back")

    def _may_be_undone_by_user(self):
        """Tell whether the user may take these back: managers all, an agent what it did itself."""
        if self.env.su or self.env.user.has_group("loomworks_ai.group_manager"):
            return True
        return self.env.user._is_ai_agent() and self.user_id == self.env.user and self.agent_id == self.env.user

    def _check_may_be_undone(self):
        self.check_access("read")
        for log in self:
            if not log._may_be_undone_by_user():
                raise AccessError(self.env._("Operation %s is not yours to take back.", log.id))

    def _changes(self):
        """Return what this operation has changed, as far as the user may see it."""
        self.ensure_one()
        if not self.ids:
            return Changes(self.env, [])
        with self.env.cr._cnx.cursor() as cr:
            return Changes(self.env, journal.changes(cr, self.ids, limit=LISTED))

    def _accounted(self):
        """Return, by number, how many entries the journal still knows of: less than there were if it has forgotten."""
        with self.env.cr._cnx.cursor() as cr:
            return journal.accounted(cr, self.ids)

    def _effects(self):
        """Return what these have sent out of the system: while they ran, and from the queues they filled, since."""
        with self.env.cr._cnx.cursor() as cr:
            noted = [{"kind": one["kind"], **one["detail"]} for one in journal.effects(cr, self.ids)]
            queued = journal.changes(cr, self.ids, tables=list(QUEUES), limit=QUEUED)
        effects = noted + [self._sent(one) for one in queued if self._has_left(one)]
        if self.env.su or self.env.user.has_group("loomworks_ai.group_manager"):
            return effects
        # Messages are for those who may read the queues: an agent's change may have had somebody else's sent.
        return [{name: one[name] for name in one.keys() - OF_MESSAGES} for one in effects]

    def _has_left(self, change):
        """Tell whether a message that an operation put into a queue has been taken out and sent since.

        What it has sent itself, it has noted as such.
        """
        if change["act"] != "created" or change["after"].get("state") in SENT_STATES:
            return False
        table, number = change["table"], int(change["key"]["id"])
        self.env.cr.execute(SQL("SELECT state FROM %s WHERE id = %s", SQL.identifier(table), number))
        found = self.env.cr.fetchone()
        return found is None or found[0] in SENT_STATES

    def _sent(self, change):
        image = change["after"]
        to = image.get("email_to") or image.get("number") or ""
        return {
            "kind": QUEUES[change["table"]],
            "to": to,
            "subject": (image.get("body") or "")[:SUBJECT],
            "queued": True,
        }

    @api.model
    def _effect_words(self, effect):
        """Say an effect in words."""
        kind = effect["kind"]
        if kind == "mail" and "subject" not in effect and not effect.get("queued"):
            return self.env._("A mail was sent.")
        if effect.get("queued"):
            return self.env._("A message that it had put into the queue (%s) was sent since.", kind)
        if kind == "mail":
            return self.env._("Mail “%(subject)s” went to %(to)s.", subject=effect["subject"], to=effect["to"])
        if kind == "cron":
            return self.env._(
                "The scheduled action “%s” was started; what it does is on its own account.", effect["name"]
            )
        if kind == "request":
            return self.env._("A request went to %(host)s%(path)s (%(method)s).", **effect)
        return self.env._("%(kind)s: %(detail)s", kind=kind, detail=effect)

    # --- crons ---

    @api.model
    def _keep_months(self):
        """Make the journal's months to come, and drop those beyond the retention, with the files they kept."""
        months = int(self.env["ir.config_parameter"].sudo().get_param(RETENTION_PARAMETER) or RETENTION_MONTHS)
        self.env.cr.execute(
            "SELECT to_char((now() AT TIME ZONE 'UTC') - %s * interval '1 month', 'YYYY_MM')", [max(months, 1)]
        )
        before = self.env.cr.fetchone()[0]
        with self.env.cr._cnx.cursor() as cr:
            journal.ensure_months(cr)
            self.env["ir.attachment"]._collect_forgotten(journal.forgotten_files(cr, before))
            journal.drop_months(cr, before)
        self._end_interrupted()

    @api.model
    def _end_interrupted(self):
        """Say of operations whose process has died what became of them: what was committed stays, and can be undone."""
        limit = fields.Datetime.now() - INTERRUPTED
        stale = self.sudo().search([*self._done_here(), ("state", "=", "pending"), ("started_at", "<", limit)])
        with self.env.cr._cnx.cursor() as cr:
            counts = journal.counts(cr, stale.ids)
        for log in stale:
            log.write(
                {
                    "state": "failed",
                    "row_changes": counts.get(log.id, 0),
                    "error_message": self.env._("Interrupted: what it had committed by then can be undone."),
                }
            )

    @api.model
    def _done_here(self):
        """Return the domain of what was done in this database, for whoever lists operations of others beside it."""
        return []
