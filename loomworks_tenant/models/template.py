"""Template databases: one a plan and server, built once for each image and set of modules."""

from odoo import api, fields, models

from ..errors import LoomworksError, PermanentError
from ..postgres.server import DatabaseServer as Server
from ..reconciler import backoff, template_build
from ..reconciler.spec import TemplateSpec
from ..reconciler.step import Boundaries, Done
from ..tenant_http import TenantHttp

FAILED_RETRY = 600  # seconds until a failed build is tried again by itself


class Template(models.Model):
    """The template database of one plan on one server."""

    _name = "loomworks.template"
    _inherit = ["loomworks.reconcilable"]
    _description = "Template database"
    _rec_name = "database_name"
    _order = "plan_id, server_id"

    plan_id = fields.Many2one("loomworks.plan", required=True, ondelete="cascade", index=True)
    server_id = fields.Many2one("loomworks.database.server", required=True, ondelete="cascade", index=True)
    state = fields.Selection(
        [("building", "Being built"), ("ready", "Ready"), ("failed", "Failed")],
        required=True,
        default="building",
        readonly=True,
    )
    database_name = fields.Char(readonly=True, help="The newest finished template; clones are made from it.")
    fingerprint = fields.Char(readonly=True, help="Of the image and modules that the newest template was built from.")
    tried_fingerprint = fields.Char(readonly=True, help="Of the last build that failed.")
    message = fields.Char(readonly=True)
    started_at = fields.Datetime(readonly=True)
    built_at = fields.Datetime(readonly=True)
    attempts = fields.Integer(readonly=True)

    _plan_server_unique = models.Constraint("unique(plan_id, server_id)", "A plan has one template on a server.")

    @api.model
    def _ensure(self, plan, server):
        """Return the template of ``plan`` on ``server``, and have it built when it is not what it should be."""
        template = self.sudo().search([("plan_id", "=", plan.id), ("server_id", "=", server.id)])
        if not template:
            template = self.sudo().create({"plan_id": plan.id, "server_id": server.id})
            template._request_reconcile()
        elif template._is_to_be_built():
            template._request_reconcile()
        return template

    def _is_to_be_built(self):
        """Tell whether it is out of date and nobody looks at it, or what failed was something else."""
        wanted = self._to_spec().fingerprint
        if self.fingerprint == wanted:
            return False
        return not self.reconcile_at or (self.state == "failed" and self.tried_fingerprint != wanted)

    def _current_database(self):
        """Return the name of the template to clone, or None while the right one is not there."""
        self.ensure_one()
        return self.database_name if self.fingerprint == self._to_spec().fingerprint else None

    def _to_spec(self):
        self.ensure_one()
        plan, server = self.plan_id, self.server_id
        return TemplateSpec(
            plan=plan.code,
            modules=plan._modules(),
            languages=plan._languages(),
            cluster=server.cluster_id._to_spec(),
            server=server._to_spec(),
        )

    def action_rebuild(self):
        """Look again at once, even after a failure."""
        self.env["loomworks.tenant"]._check_operator()
        self.sudo().write({"attempts": 0, "state": "building"})
        self.sudo()._request_reconcile()

    def _reconcile_step(self):
        template = self.try_lock_for_update()
        if not template or not template.reconcile_at:
            return None
        spec = template._to_spec()
        world = Boundaries(template.server_id.cluster_id._client(), Server(spec.server), TenantHttp())
        try:
            answer = template_build.advance(spec, world)
        except LoomworksError as error:
            return template._record_failure(spec, error)
        return template._record_done(spec) if isinstance(answer, Done) else template._record_progress(answer)

    def _record_failure(self, spec, error):
        attempts = self.attempts + 1
        permanent = isinstance(error, PermanentError)
        pause = FAILED_RETRY if permanent else backoff.delay(attempts)
        self.write(
            {
                "state": "failed" if permanent else self.state,
                "message": str(error).splitlines()[0],
                "error_message": str(error),
                "error_code": error.code,
                "attempts": attempts,
                "tried_fingerprint": spec.fingerprint,
                "reconcile_at": self._look_again(pause),
            }
        )
        return pause

    def _record_progress(self, answer):
        self.write(
            {
                "state": "building",
                "message": answer.message,
                "error_message": answer.message if answer.code else False,
                "error_code": answer.code,
                "started_at": self.started_at
                if self.state == "building" and self.started_at
                else fields.Datetime.now(),
                "reconcile_at": self._look_again(answer.retry_after),
            }
        )
        return answer.retry_after

    def _record_done(self, spec):
        self.write(
            {
                "state": "ready",
                "database_name": spec.database,
                "fingerprint": spec.fingerprint,
                "message": False,
                "error_message": False,
                "error_code": False,
                "attempts": 0,
                "built_at": fields.Datetime.now(),
                "reconcile_at": False,
            }
        )

    @api.model
    def _cron_keep_ready(self):
        """Have the templates built that plans want to have ready, and those that are out of date."""
        plans = self.env["loomworks.plan"].search([("keep_template_ready", "=", True)])
        for server in self.env["loomworks.database.server"].search([]):
            for plan in plans:
                self._ensure(plan, server)
