"""PostgreSQL servers ("cells"): where tenants' databases live."""

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from .. import secret_reference
from ..errors import LoomworksError, SecretUnavailable
from ..postgres.server import DatabaseServer as Server
from ..reconciler.spec import ServerSpec

ACCESS = frozenset("host port sslmode ca_file provisioning_role password_reference".split())


class DatabaseServer(models.Model):
    """A PostgreSQL server on which the control plane may create roles and databases."""

    _name = "loomworks.database.server"
    _inherit = ["loomworks.setting", "loomworks.place"]
    _description = "Database server"
    _order = "sequence, id"
    _tenant_field = "server_id"

    name = fields.Char(required=True)
    sequence = fields.Integer(default=10)
    cluster_id = fields.Many2one("loomworks.cluster", required=True, ondelete="restrict", index=True)
    host = fields.Char(required=True)
    port = fields.Integer(required=True, default=5432)
    provisioning_role = fields.Char(required=True, default="loomworks_provisioner")
    password_reference = fields.Char(required=True, help="Where its password is: file:/path or env:VARIABLE.")
    sslmode = fields.Selection(
        [("require", "Encrypted"), ("verify-full", "Encrypted and verified"), ("disable", "Not encrypted")],
        required=True,
        default="require",
    )
    ca_file = fields.Char("CA certificate", help="The path of the authority's certificate, to verify the server's.")
    stanza = fields.Char(required=True, default="main", help="The server's name in the pgBackRest repository.")
    capacity = fields.Integer("Capacity (tenants)", required=True, default=100)
    tenant_ids = fields.One2many("loomworks.tenant", "server_id", "Tenants")
    tenant_count = fields.Integer(compute="_compute_load")
    load = fields.Float("Load (%)", compute="_compute_load", help="Share of the capacity that is taken.")

    checked_at = fields.Datetime(readonly=True, copy=False)
    reachable = fields.Boolean(readonly=True, copy=False)
    check_message = fields.Char("Last check", readonly=True, copy=False)
    server_version = fields.Char("Version", readonly=True, copy=False)
    data_checksums = fields.Boolean(readonly=True, copy=False)
    archiving = fields.Boolean("Archives its WAL", readonly=True, copy=False)
    connections = fields.Integer(readonly=True, copy=False)
    max_connections = fields.Integer(readonly=True, copy=False)
    size_bytes = fields.Float("Size (bytes)", digits=(20, 0), readonly=True, copy=False)

    _name_unique = models.Constraint("unique(name)", "There is a database server of this name already.")
    _capacity_positive = models.Constraint("CHECK(capacity >= 0)", "The capacity cannot be negative.")

    @api.depends("capacity", "tenant_ids.erased_at")
    def _compute_load(self):
        domain = [("server_id", "in", self.ids), ("erased_at", "=", False)]
        counts = dict(self.env["loomworks.tenant"].sudo()._read_group(domain, ["server_id"], ["__count"]))
        for server in self:
            server.tenant_count = counts.get(server, 0)
            server.load = 100.0 * server.tenant_count / server.capacity if server.capacity else 100.0

    @api.constrains("password_reference")
    def _check_password_reference(self):
        for server in self:
            try:
                secret_reference.check(server.password_reference)
            except SecretUnavailable as error:
                raise ValidationError(str(error)) from error

    @api.model
    def _system_fields(self):
        """Return where the provisioning role's password is, and to whom it is sent."""
        return super()._system_fields() | ACCESS

    @api.model
    def _least_loaded(self, cluster):
        """Return the server of ``cluster`` with the smallest share of its capacity taken.

        :raises UserError: when none has room
        """
        servers = self.sudo().search([("cluster_id", "=", cluster.id)])
        free = servers.filtered(lambda server: server.tenant_count < server.capacity)
        if not servers:
            raise UserError(self.env._("The cluster “%s” has no database server. Add one first.", cluster.name))
        if not free:
            taken = ", ".join(f"{one.name} ({one.tenant_count} of {one.capacity})" for one in servers)
            raise UserError(self.env._("Every database server is full: %s. Raise a capacity or add a server.", taken))
        return min(free, key=lambda server: (server.load, server.sequence, server.id))

    def _to_spec(self):
        self.ensure_one()
        return ServerSpec(
            host=self.host,
            port=self.port,
            user=self.provisioning_role,
            password_reference=self.password_reference,
            sslmode=self.sslmode,
            ca_file=self.ca_file or "",
        )

    def action_check(self):
        """Ask the servers for their facts and keep them."""
        for server in self:
            server._check()

    def _check(self):
        try:
            facts = Server(self._to_spec()).facts()
        except LoomworksError as error:
            self.write({"checked_at": fields.Datetime.now(), "reachable": False, "check_message": str(error)})
            return
        self.write(
            {
                "checked_at": fields.Datetime.now(),
                "reachable": True,
                "check_message": self._check_verdict(facts),
                "server_version": facts["version"],
                **{name: facts[name] for name in FACTS},
            }
        )

    def _check_verdict(self, facts):
        missing = [text for name, text in WANTED.items() if not facts[name]]
        return self.env._("Lacks: %s", ", ".join(missing)) if missing else self.env._("Fit")

    @api.model
    def _cron_check(self):
        """Look at every server; a crash of one does not keep the others from being looked at."""
        self._in_use().action_check()


FACTS = ("data_checksums", "archiving", "connections", "max_connections", "size_bytes")
WANTED = {"data_checksums": "data checksums", "archiving": "WAL archiving"}
