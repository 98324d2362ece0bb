"""Kubernetes clusters, by reference: no row holds a credential."""

import os
from functools import lru_cache

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from .. import secret_reference
from ..errors import LoomworksError, SecretUnavailable
from ..kube.client import IN_CLUSTER, KubeClient
from ..reconciler.spec import ClusterSpec

# What tenants' objects, or the way to them, depend on.
TENANT_FIELDS = frozenset(
    "kubeconfig context domain public_url image control_namespace routes_namespace service_account".split()
) | {"cpu_request", "memory_request"}


@lru_cache(maxsize=32)
def kube_client(kubeconfig, context):
    """Return the process's one client of a cluster; its connections are pooled and safe to share by threads."""
    return KubeClient(kubeconfig, context or None)


class Cluster(models.Model):
    """A Kubernetes cluster in which tenants run."""

    _name = "loomworks.cluster"
    _inherit = ["loomworks.setting", "loomworks.place"]
    _description = "Cluster"
    _order = "sequence, id"
    _tenant_field = "cluster_id"

    name = fields.Char(required=True)
    sequence = fields.Integer(default=10)
    kubeconfig = fields.Char(
        required=True,
        default=IN_CLUSTER,
        help="“in-cluster” for the cluster that the control plane itself runs in, or file:/path/to/kubeconfig.",
    )
    context = fields.Char(help="The kubeconfig's context; empty: its current one.")
    domain = fields.Char(required=True, help="Tenants are served under <subdomain>.<domain>.")
    public_url = fields.Char(
        required=True, help="The control plane's address as people type it; tenants get its scheme and port."
    )
    image = fields.Char("Odoo image", required=True)
    control_namespace = fields.Char(required=True, default="loomworks")
    routes_namespace = fields.Char(required=True, default="loomworks-routes")
    service_account = fields.Char(required=True, default="control-plane")
    storage_class = fields.Char(help="For plans that name none; empty: the cluster's default class.")
    cpu_request = fields.Char(help="Overrides the plans' (a small test cluster).")
    memory_request = fields.Char(help="Overrides the plans' (a small test cluster).")
    tenant_ids = fields.One2many("loomworks.tenant", "cluster_id", "Tenants")
    server_ids = fields.One2many("loomworks.database.server", "cluster_id", "Database servers")

    _name_unique = models.Constraint("unique(name)", "There is a cluster of this name already.")

    @api.constrains("kubeconfig")
    def _check_kubeconfig(self):
        for cluster in self.filtered(lambda one: one.kubeconfig != IN_CLUSTER):
            try:
                secret_reference.check(cluster.kubeconfig)
            except SecretUnavailable as error:
                raise ValidationError(str(error)) from error

    def _client(self):
        self.ensure_one()
        return kube_client(self.kubeconfig, self.context)

    def _to_spec(self):
        self.ensure_one()
        return ClusterSpec(
            kubeconfig=self.kubeconfig,
            domain=self.domain,
            public_url=self.public_url,
            image=self.image,
            control_namespace=self.control_namespace,
            routes_namespace=self.routes_namespace,
            service_account=self.service_account,
        )

    def action_check(self):
        """Ask the API server something harmless, and say what came of it."""
        self.ensure_one()
        try:
            classes = [item["metadata"]["name"] for item in self._client().list("StorageClass")]
        except LoomworksError as error:
            raise UserError(str(error)) from error
        message = self.env._("The cluster answers. Storage classes: %s", ", ".join(classes) or "none")
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {"type": "success", "message": message},
        }

    @api.model
    def _system_fields(self):
        return super()._system_fields() | {"kubeconfig", "context"}

    @api.model
    def _tenant_fields(self):
        """Return the names of the fields that have tenants reconciled when they change; addons add theirs."""
        return TENANT_FIELDS

    def write(self, vals):
        """Change it, and have its tenants reconciled where that concerns them."""
        done = super().write(vals)
        if self._tenant_fields().intersection(vals):
            self.tenant_ids._reconcile_if_changed()
        return done

    @api.model
    def _ensure_own(self):
        """Make rows for the cluster and database server that this control plane was deployed with.

        What the deployment says (image, domain, addresses) is written each time; what an operator
        may choose (names, capacity) only once.
        """
        env = os.environ
        values = {
            "domain": env["LOOMWORKS_DOMAIN"],
            "public_url": env["LOOMWORKS_PUBLIC_URL"],
            "image": env["LOOMWORKS_ODOO_IMAGE"],
            "kubeconfig": env.get("LOOMWORKS_KUBECONFIG", IN_CLUSTER),
            "routes_namespace": env.get("LOOMWORKS_ROUTES_NAMESPACE", "loomworks-routes"),
            "storage_class": env.get("LOOMWORKS_STORAGE_CLASS", False),
            "cpu_request": env.get("LOOMWORKS_TENANT_CPU_REQUEST", False),
            "memory_request": env.get("LOOMWORKS_TENANT_MEMORY_REQUEST", False),
        }
        if not self.env.ref("loomworks_tenant.own_cluster", raise_if_not_found=False):
            self.env["loomworks.plan"]._keep_ready(env.get("LOOMWORKS_READY_PLANS"))
        cluster = own_row(self, "own_cluster", {"name": "This cluster"}, values)
        server = {
            "host": env["LOOMWORKS_DATABASE_HOST"],
            "port": int(env.get("LOOMWORKS_DATABASE_PORT", 5432)),
            "password_reference": f"file:{env['PROVISIONER_PASSWORD_FILE']}",
            "cluster_id": cluster.id,
        }
        own_row(self.env["loomworks.database.server"], "own_server", {"name": "postgres"}, server)
        return cluster


def own_row(model, xmlid, once, always):
    """Create or update the row behind ``loomworks_tenant.<xmlid>``."""
    row = model.env.ref(f"loomworks_tenant.{xmlid}", raise_if_not_found=False)
    if row:
        row.write(always)
        return row
    data = {"xml_id": f"loomworks_tenant.{xmlid}", "values": {**once, **always}, "noupdate": True}
    return model._load_records([data])
