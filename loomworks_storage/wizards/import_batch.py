"""Bring many tenants in from a list: each line is shown with what is wrong with it before anything is made."""

import base64
import binascii

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.models.tenant import RESERVED_SUBDOMAINS
from odoo.exceptions import UserError

from ..importing import lines
from ..importing.errors import ListUnreadable
from ..models.imports import OVER

NAMED = 5  # lines that a refusal names
DRY_RUN = ["number", "name", "subdomain", "source", "files", "bytes", "state", "problems"]


class ImportBatch(models.TransientModel):
    """A list, what was found of its lines, and the choice what to do where some are wrong."""

    _name = "loomworks.import.batch"
    _description = "Import a list of tenants"

    file = fields.Binary("List (CSV)", required=True, attachment=False)
    filename = fields.Char()
    cluster_id = fields.Many2one(
        "loomworks.cluster",
        required=True,
        default=lambda self: self.env["loomworks.cluster"].sudo().search([], limit=1),
    )
    whole = fields.Boolean("All or nothing", default=True, help="One line that is wrong stops all of them.")
    source_off = fields.Boolean("All these sources are switched off")
    line_ids = fields.One2many("loomworks.import.batch.line", "batch_id", "Lines", readonly=True)
    looked = fields.Boolean(readonly=True)
    good_count = fields.Integer(compute="_compute_counts")
    bad_count = fields.Integer(compute="_compute_counts")
    known_count = fields.Integer(compute="_compute_counts")

    @api.depends("line_ids.state")
    def _compute_counts(self):
        for batch in self:
            states = batch.line_ids.mapped("state")
            batch.good_count, batch.bad_count, batch.known_count = map(states.count, ("good", "bad", "known"))

    @api.onchange("file", "cluster_id")
    def _onchange_file(self):
        """What was found is of another list."""
        self.looked = False

    # --- what is found --------------------------------------------------------------------------------

    def action_preview(self):
        """Read the list and look at every source; nothing is made. Show what was found."""
        self.ensure_one()
        found = self._read()
        known = self._known_sources()
        to_look = [line for line in found if not line.problems and line.source not in known]
        looked = dict(zip((line.number for line in to_look), self.cluster_id._look_at_sources(to_look), strict=True))
        commands = [self._line_values(line, known, *looked.get(line.number, ([], {}))) for line in found]
        self.write({"line_ids": [fields.Command.clear(), *map(fields.Command.create, commands)], "looked": True})
        return self._show()

    def action_dry_run(self):
        """Read the list and look at every source; nothing is made. Return the lines as plain values.

        :return: a list of dicts: ``number``, ``name``, ``subdomain``, ``source``, ``files``, ``bytes``, ``state``
            (``good``: it would begin; ``bad``; ``known``: an import has it) and ``problems``
        """
        self.action_preview()
        return self.line_ids.read(DRY_RUN)

    def _read(self):
        taken = self.env["loomworks.tenant"].sudo().search([("erased_at", "=", False)]).mapped("subdomain")
        try:
            data = base64.b64decode(self.file or b"", validate=True)
            return lines.read(data, self._plans(), taken, RESERVED_SUBDOMAINS)
        except binascii.Error as error:
            raise UserError(self.env._("The list is no file in base 64.")) from error
        except ListUnreadable as error:
            raise UserError(str(error)) from error

    def _plans(self):
        """Return the plans by what a list may call them: their names and their codes."""
        plans = self.env["loomworks.plan"].search([])
        return {**{plan.code: plan for plan in plans}, **{plan.name: plan for plan in plans}}

    def _known_sources(self):
        """Return the imports there are, by source: a list may be uploaded again."""
        domain = [("cluster_id", "=", self.cluster_id.id), ("state", "not in", OVER)]
        return {one.source: one for one in self.env["loomworks.import"].search(domain)}

    def _line_values(self, line, known, problems, contents):
        plan = self._plans().get(line.plan, self.env["loomworks.plan"])
        problems = [*line.problems, *problems, *plan._too_small_for(contents)] if plan else [*line.problems, *problems]
        before = known.get(line.source)
        values = {
            "number": line.number,
            "name": line.name,
            "subdomain": line.subdomain,
            "plan_id": plan.id,
            "source": line.source,
            "dump": line.dump,
            "expected_files": line.files,
            "expected_bytes": line.bytes,
            "files": contents.get("files", 0),
            "bytes": contents.get("bytes", 0),
        }
        if before:
            return {**values, "state": "known", "import_id": before.id, "problems": self._said_of(before)}
        return {**values, "state": "bad" if problems else "good", "problems": "; ".join(problems)}

    def _said_of(self, before):
        state = dict(before._fields["state"]._description_selection(self.env))[before.state]
        return self.env._("It is among the imports already: %s.", state)

    # --- what is done ---------------------------------------------------------------------------------

    def action_confirm(self):
        """Begin the imports of the lines that are right, and show them."""
        self.ensure_one()
        if not self.looked:
            raise UserError(self.env._("Look at the list first."))
        if self.whole and self.bad_count:
            raise UserError(self._refusal())
        good = self.line_ids.filtered(lambda one: one.state == "good")
        made = self.env["loomworks.import"].create([one._import_values() for one in good])
        made.action_import()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_storage.action_import")
        shown = made | self.line_ids.import_id
        return {**action, "domain": [("id", "in", shown.ids)], "context": {}}

    def _refusal(self):
        wrong = self.line_ids.filtered(lambda one: one.state == "bad")[:NAMED]
        told = [self.env._("Line %(number)s: %(why)s", number=one.number, why=one.problems) for one in wrong]
        return "\n".join([self.env._("%s line(s) are wrong; nothing was made.", self.bad_count), *told])

    def _show(self):
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Import a list"),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
            "context": {"dialog_size": "extra-large"},
        }


class ImportBatchLine(models.TransientModel):
    """One line of a list, and what was found of it."""

    _name = "loomworks.import.batch.line"
    _description = "Line of a list to import"
    _order = "number, id"

    batch_id = fields.Many2one("loomworks.import.batch", required=True, ondelete="cascade")
    number = fields.Integer("Line", readonly=True)
    name = fields.Char(readonly=True)
    subdomain = fields.Char(readonly=True)
    plan_id = fields.Many2one("loomworks.plan", readonly=True)
    source = fields.Char(readonly=True)
    dump = fields.Char(readonly=True)
    expected_files = fields.Integer(readonly=True)
    expected_bytes = fields.Float(digits=(20, 0), readonly=True)
    files = fields.Integer(readonly=True)
    bytes = fields.Float(digits=(20, 0), readonly=True)
    state = fields.Selection([("good", "Right"), ("bad", "Wrong"), ("known", "Already there")], readonly=True)
    problems = fields.Text("What was found", readonly=True)
    import_id = fields.Many2one("loomworks.import", readonly=True)

    def _import_values(self):
        names = ("name", "subdomain", "source", "dump", "expected_files", "expected_bytes")
        values = {name: self[name] for name in names}
        batch = self.batch_id
        return {**values, "plan_id": self.plan_id.id, "cluster_id": batch.cluster_id.id, "source_off": batch.source_off}
