"""The dialog before an undo or a redo: what it will do, what stands in the way, and what to do about that."""

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..models.values import SHOWN_TABLES, Changes

CHOICES = [
    ("skip", "Leave the record alone"),
    ("theirs", "Keep what was changed since"),
    ("ours", "Do it all the same"),
]


class Undo(models.TransientModel):
    """One undo or redo that is being thought about."""

    _name = "loomworks.ai.undo"
    _description = "Undo of AI operations"

    kind = fields.Selection([("undo", "Undo"), ("redo", "Redo")], required=True, default="undo")
    operation_ids = fields.Many2many("loomworks.ai.operation.log", string="Operations", required=True, readonly=True)
    on_conflict = fields.Selection(
        [("refuse", "Decide for each record"), *CHOICES],
        "Where others were there since",
        required=True,
        default="refuse",
    )
    line_ids = fields.One2many("loomworks.ai.undo.line", "undo_id", "Conflicts")
    refused = fields.Text(readonly=True)
    ready = fields.Boolean(readonly=True)
    summary_html = fields.Html(readonly=True, sanitize_style=True)

    @api.model
    def _for_operations(self, operations, kind):
        wizard = self.create({"kind": kind, "operation_ids": [fields.Command.set(operations.ids)]})
        wizard._look()
        return wizard

    def action_look_again(self):
        """Look again with the choices made."""
        self.ensure_one()
        self._look()
        return self._reopen()

    def action_apply(self):
        """Do it. Where something new stands in the way, show that instead."""
        self.ensure_one()
        operations = self.operation_ids
        report = (
            operations.action_redo(**self._terms()) if self.kind == "redo" else operations.action_undo(**self._terms())
        )
        if not report["done"]:
            self._show(report)
            return self._reopen()
        message = (
            self.env._("Done again: %s rows.", report["touched"])
            if self.kind == "redo"
            else self.env._("Undone: %s rows are as they were.", report["touched"])
        )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": message,
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def _look(self):
        operations = self.operation_ids._undoing() if self.kind == "redo" else self.operation_ids
        self._show(operations.preview_undo(**self._terms()))

    def _terms(self):
        choices = [
            {"model": line.model_name, "id": line.record_number, "choice": line.choice}
            for line in self.line_ids
            if line.choice
        ]
        return {"on_conflict": self.on_conflict, "choices": choices}

    def _show(self, report):
        chosen = {(line.model_name, line.record_number): line.choice for line in self.line_ids if line.choice}
        lines = [self._line(one, chosen) for one in report["conflicts"]]
        self.write(
            {
                "line_ids": [fields.Command.clear(), *[fields.Command.create(line) for line in lines]],
                "refused": report["refused"],
                "ready": not report["refused"],
                "summary_html": self.env["ir.qweb"]._render(
                    "loomworks_ai.undo_summary",
                    {
                        **self._planned(report),
                        "rows": self._rows(report["rows"]),
                        "effects": [self.operation_ids._effect_words(one) for one in report["effects"]],
                        "gone": report["gone"],
                        "back": report["back"],
                    },
                ),
            }
        )

    def _line(self, conflict, chosen):
        record = conflict["model"], int(conflict["id"] or 0)
        offered, message = conflict["choices"], conflict["message"]
        if offered and not all(record):  # a link is no record, of which one could be chosen
            offered, message = [], f"{message} {self.env._('The choice for all decides about it.')}"
        return {
            "model_name": record[0],
            "record_number": record[1],
            "message": message,
            "offered": ",".join(offered),
            "choice": chosen.get(record) if chosen.get(record) in offered else False,
        }

    def _planned(self, report):
        """Return what the summary shows of a preview's changes; of messages and what tracks changes, their number."""
        groups = report.get("changes", [])
        said = {table: self._counted(counts) for table, counts in report["rows"].items()}
        shown = [{**one, "said": said.get(one["table"], "")} for one in groups[:SHOWN_TABLES]]
        shown = [{**one, "rows": [], "more": 0} if one["table"].startswith("mail_") else one for one in shown]
        return {"planned": True, "groups": shown, "more": len(groups[SHOWN_TABLES:]), "forgotten": False}

    def _counted(self, counts):
        words = [
            (counts["restored"], self.env._("%s restored", counts["restored"])),
            (counts["inserted"], self.env._("%s brought back", counts["inserted"])),
            (counts["deleted"], self.env._("%s removed", counts["deleted"])),
        ]
        return ", ".join(text for number, text in words if number)

    def _rows(self, rows):
        changes = Changes(self.env, [])
        return [{"label": changes.label(table), **counts} for table, counts in rows.items()]

    def _reopen(self):
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Redo") if self.kind == "redo" else self.env._("Undo"),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
        }


class UndoLine(models.TransientModel):
    """Something that stands in the way, and what to do about it."""

    _name = "loomworks.ai.undo.line"
    _description = "Conflict of an undo"

    undo_id = fields.Many2one("loomworks.ai.undo", required=True, ondelete="cascade")
    model_name = fields.Char(readonly=True)
    record_number = fields.Integer(readonly=True)
    message = fields.Text(readonly=True)
    offered = fields.Char(readonly=True)
    choice = fields.Selection(CHOICES, "What to do")

    @api.constrains("choice")
    def _check_choice(self):
        words = dict(self._fields["choice"]._description_selection(self.env))
        for line in self:
            offered = (line.offered or "").split(",")
            if line.choice and line.choice not in offered:
                raise ValidationError(
                    self.env._(
                        "%(message)s\n“%(choice)s” is no way out of that. What can be chosen: %(offered)s.",
                        message=line.message or "",
                        choice=words[line.choice],
                        offered=", ".join(f"“{words[one]}”" for one in offered if one in words)
                        or self.env._("nothing"),
                    )
                )
