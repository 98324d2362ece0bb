"""Imports: a tenant of another platform, whose dump and files lie in a bucket, becomes a tenant here."""

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools.misc import formatLang

from ..importing.errors import ListUnreadable
from ..importing.lines import bare, check_place
from ..imports.spec import SUFFIX

STATES = [
    ("draft", "To do"),
    ("waiting", "Preparing"),
    ("loading", "Bringing in"),
    ("installing", "Installing"),
    ("starting", "Starting"),
    ("done", "Done"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
    ("erased", "Deleted again"),
]
RUNNING = ("waiting", "loading", "installing", "starting")
OVER = ("cancelled", "erased")  # the source may be brought in once more
# Stage of a Job -> its title, and how much of the whole it is, in hundredths.
STAGES = {
    "queue": ("Waiting for its turn", 0),
    "start": ("Getting ready", 2),
    "database": ("Database", 28),
    "files": ("Files", 50),
    "proof": ("Proof", 10),
    "modules": ("Modules", 10),
}
EDITABLE = frozenset(
    "name subdomain plan_id cluster_id admin_ids source dump expected_files expected_bytes source_off".split()
)
QUIET = {"error_message": False, "error_code": False, "troubled_since": False}
FRESH = {**QUIET, "stage": "start", "stage_share": 0.0, "attempts": 0, "report": False, "finished_at": False}
NAMED = 3  # files that a result names of each kind


class Import(models.Model):
    """One import. It may be changed until it has begun; from then on only actions and the reconciler change it."""

    _name = "loomworks.import"
    _inherit = ["loomworks.reconcilable"]
    _description = "Import of a tenant"
    _order = "id desc"

    name = fields.Char(required=True, help="Of the new tenant.")
    subdomain = fields.Char(required=True)
    plan_id = fields.Many2one("loomworks.plan", required=True, ondelete="restrict")
    cluster_id = fields.Many2one(
        "loomworks.cluster",
        required=True,
        ondelete="restrict",
        default=lambda self: self.env["loomworks.cluster"].sudo().search([], limit=1),
    )
    admin_ids = fields.Many2many("res.users", string="Administrators", help="Who sees the new tenant here.")
    source = fields.Char(required=True, help="A folder, or a zip, below the cluster's place of sources.")
    dump = fields.Char(help="Where the dump is when it is not in the source; below the same place.")
    expected_files = fields.Integer(help="How many files the source has to have. 0: nobody says.")
    expected_bytes = fields.Float(digits=(20, 0), help="Of all files. 0: nobody says.")
    source_off = fields.Boolean(
        "The source is switched off",
        help="Its scheduled actions, mail and payments are stopped: two Odoos with the same data would both send.",
    )

    tenant_id = fields.Many2one(
        "loomworks.tenant", readonly=True, ondelete="set null", index="btree_not_null", copy=False
    )
    state = fields.Selection(STATES, required=True, readonly=True, default="draft", index=True, copy=False)
    requested_by_id = fields.Many2one("res.users", "By", readonly=True, ondelete="set null", copy=False)
    started_at = fields.Datetime("Begun", readonly=True, copy=False)
    loaded_at = fields.Datetime("Data brought in", readonly=True, copy=False)
    finished_at = fields.Datetime("Finished", readonly=True, copy=False)
    stage = fields.Selection([(code, title) for code, (title, _share) in STAGES.items()], readonly=True, copy=False)
    stage_share = fields.Float(readonly=True, copy=False)
    progress = fields.Integer("Progress (%)", compute="_compute_progress")
    attempts = fields.Integer("Broken off", readonly=True, copy=False, help="Jobs that have broken off.")
    troubled_since = fields.Datetime(readonly=True, copy=False)
    abandoned = fields.Boolean(
        readonly=True, copy=False, help="Its new tenant goes with it. Where that was archived, it does not."
    )
    without_missing = fields.Boolean(
        "Went on without", readonly=True, copy=False, help="An operator went on although files are missing."
    )
    report = fields.Json(readonly=True, copy=False, help="What the program that brings a source in has found.")
    files = fields.Integer(compute="_compute_result", store=True, help="Of the source.")
    bytes = fields.Float(digits=(20, 0), compute="_compute_result", store=True)
    problem_files = fields.Integer("Files with a problem", compute="_compute_result", store=True)
    result = fields.Char(compute="_compute_result", store=True)
    problems_text = fields.Text("Which files", compute="_compute_problems_text")
    working = fields.Boolean("In progress", compute="_compute_working")

    _one_a_source = models.UniqueIndex(
        "(cluster_id, source) WHERE state NOT IN ('cancelled', 'erased')", "This source is imported already."
    )
    _expected_not_negative = models.Constraint(
        "CHECK(expected_files >= 0 AND expected_bytes >= 0)", "What is expected cannot be negative."
    )

    @api.depends("state", "stage", "stage_share")
    def _compute_progress(self):
        for one in self:
            before = 0
            for code, (_title, share) in STAGES.items():
                if code == one.stage:
                    before += share * one.stage_share
                    break
                before += share
            one.progress = 100 if one.state in ("starting", "done", "erased") else round(before) if one.stage else 0

    @api.depends("state")
    def _compute_working(self):
        for one in self:
            one.working = one.state in RUNNING

    @api.depends("report")
    def _compute_result(self):
        for one in self:
            files, arrival = (one.report or {}).get("files") or {}, (one.report or {}).get("arrival") or {}
            spoilt = max(_count(files, "wrong"), _count(arrival, "lost"))  # what is not brought is lost as well
            wrong = spoilt + sum(_count(arrival, kind) for kind in ("missing", "wrong", "elsewhere"))
            one.files, one.bytes, one.problem_files = files.get("files", 0), files.get("bytes", 0), wrong
            one.result = one._result_text(arrival) if one.report else False

    def _result_text(self, arrival):
        """Say in one line what has arrived."""
        said = self._counted_text(arrival)
        other = _count(arrival, "other_size")
        return (
            self.env._("%(said)s; the database says another size of %(other)s", said=said, other=other)
            if other
            else said
        )

    def _counted_text(self, arrival):
        size = in_units(self.bytes)
        counted = self.env._("%(files)s files, %(size)s", files=formatLang(self.env, self.files, digits=0), size=size)
        if not self.problem_files:
            return self.env._(
                "%(counted)s, all digests equal; the database needs %(needed)s of them, and has them",
                counted=counted,
                needed=formatLang(self.env, arrival.get("there", 0), digits=0),
            )
        return self.env._("%(counted)s; %(wrong)s with a problem", counted=counted, wrong=self.problem_files)

    @api.depends("report")
    def _compute_problems_text(self):
        for one in self:
            one.problems_text = "\n".join(_problem_lines(one.report or {})) or False

    @api.constrains("source", "dump")
    def _check_places(self):
        for one in self:
            try:
                check_place(one.source)
                if one.dump:
                    check_place(one.dump)
            except ListUnreadable as error:
                raise UserError(str(error)) from error

    # --- rows -----------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        """Make rows that have not begun."""
        for vals in vals_list:
            self._guard(vals)
        return super().create([_tidied(vals) for vals in vals_list])

    def write(self, vals):
        """Change what has not begun."""
        self.check_access("write")
        self._guard(vals)
        if not self.env.su and any(one.state != "draft" for one in self):
            raise UserError(self.env._("An import that has begun cannot be changed: cancel it, and make another."))
        return super().write(_tidied(vals))

    @api.model
    def _may_be_proposed(self, name):
        return super()._may_be_proposed(name) and name in EDITABLE

    @api.model
    def _guard(self, vals):
        touched = sorted(set(vals) - EDITABLE)
        if touched and not self.env.su:
            raise UserError(self.env._("%s cannot be set directly: use the actions of the import.", ", ".join(touched)))

    @api.ondelete(at_uninstall=False)
    def _unlink_only_without_remains(self):
        for one in self.filtered(lambda one: one.state != "draft"):
            if one.state not in OVER:
                raise UserError(self.env._("Cancel an import before it is removed."))
            if one.reconcile_at or (one.tenant_id and not one.tenant_id.erased_at):
                raise UserError(
                    self.env._("What “%s” has made is not taken away yet: it can be removed after that.", one.name)
                )

    # --- actions --------------------------------------------------------------------------------------

    def action_import(self):
        """Begin: make the tenants, and bring their data in. Return the ids of the tenants.

        :raises UserError: when one has begun already, or its source is not switched off
        """
        self._check_operator()
        for one in self:
            one._check_can_begin()
            one._begin()
        return self.tenant_id.ids

    def action_retry(self):
        """Try failed imports again from the beginning."""
        self._check_operator()
        for one in self:
            one._check_in(("failed",), self.env._("Only a failed import can be tried again."))
            one.sudo().write({**FRESH, "state": "waiting", "without_missing": False})
            one._go_on("import_retry")
        return True

    def action_go_on(self):
        """Go on although files are missing or spoilt: attachments that need them stay empty."""
        self._check_operator()
        for one in self:
            if one.state != "failed" or one.error_code != "import_not_whole":
                raise UserError(self.env._("“%s” does not wait for files.", one.name))
            one.sudo().write({**QUIET, "state": "installing", "without_missing": True, "finished_at": False})
            one.sudo().write({"stage": "modules", "stage_share": 0.0, "attempts": 0})
            one._go_on("import_without_files", one.result or "")
        return True

    def action_cancel(self):
        """Give up an import that does not serve yet; what it has made is taken away soon. The source stays as it is."""
        self._check_operator()
        for one in self:
            possible = ("draft", "waiting", "loading", "installing", "failed")
            one._check_in(possible, self.env._("It is too late: archive the tenant instead."))
            one.sudo().abandoned = True
            one.sudo()._end("cancelled")
            self.env["loomworks.audit"]._record("import_cancel", one)
        return True

    def action_tenant(self):
        """Show the new tenant."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "loomworks.tenant",
            "res_id": self.tenant_id.id,
            "view_mode": "form",
        }

    def _begin(self):
        values = {"name": self.name, "subdomain": self.subdomain, "plan_id": self.plan_id.id}
        values |= {"cluster_id": self.cluster_id.id, "admin_ids": [(6, 0, self.admin_ids.ids)]}
        tenant = self.env["loomworks.tenant"].create(values)
        tenant.sudo().write({"imported_by_id": self.id, "database_name": f"{tenant.database_name}{SUFFIX}"})
        begun = {**FRESH, "state": "waiting", "tenant_id": tenant.id, "started_at": fields.Datetime.now()}
        self.sudo().write({**begun, "requested_by_id": self.env.uid})
        tenant.action_provision()
        self._go_on("import", self.source)

    def _go_on(self, action, result=""):
        self.env["loomworks.audit"]._record(action, self.tenant_id, result)
        self.sudo()._request_reconcile()
        self.sudo().tenant_id._request_reconcile()

    def _check_can_begin(self):
        self._check_in(("draft",), self.env._("“%s” has begun already.", self.name))
        if not self.source_off:
            raise UserError(
                self.env._(
                    "Switch the source of “%s” off first, and say so: with the same data in two Odoos, both would send "
                    "its mails, fetch its mailboxes and run its scheduled actions.",
                    self.name,
                )
            )
        cluster = self.cluster_id.sudo()
        if not cluster._import_sources() or not cluster.postgres_image:
            raise UserError(
                self.env._(
                    "The cluster does not say where sources of imports are, or which PostgreSQL image reads them. Fill "
                    "that in on its form."
                )
            )

    def _check_in(self, states, otherwise):
        if self.state not in states:
            raise UserError(otherwise)

    def _check_operator(self):
        if not (self.env.su or self.env.user.has_group("loomworks_tenant.group_operator")):
            raise AccessError(self.env._("Only platform operators may do this."))

    def _end(self, state):
        """Be over, and have what is left in the cluster cleared away."""
        self.write({"state": state, "finished_at": fields.Datetime.now(), **QUIET})
        self.filtered("tenant_id")._request_reconcile()


def _tidied(vals):
    return {**vals, "source": bare(vals["source"])} if vals.get("source") else vals


def _count(part, name):
    return part.get(f"{name}_count", len(part.get(name) or ()))


def _problem_lines(report):
    """Yield what is wrong with which files."""
    files, arrival = report.get("files") or {}, report.get("arrival") or {}
    for digest, why in (files.get("wrong") or {}).items():
        yield f"{digest}: {why}"
    told = {
        "missing": "the database needs it, and the source does not have it",
        "lost": "in the source, and not on the volume",
        "wrong": "spoilt on the volume",
        "elsewhere": "kept by another storage module",
        "other_size": "right by its digest, and the database says another size",
    }
    for kind, why in told.items():
        for name in arrival.get(kind) or ():
            if name not in (files.get("wrong") or {}):
                yield f"{name}: {why}"


def in_units(size):
    """Return a number of bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.1f} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1000
    return f"{size:.1f} TB"
