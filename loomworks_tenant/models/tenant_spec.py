"""From rows to the plain specification that the steps work from."""

from odoo import fields, models

from ..reconciler.spec import Goal, Resources, TenantSpec
from ..reconciler.steps import tenant_steps

GOALS = {
    "provisioning": Goal.ACTIVE,
    "active": Goal.ACTIVE,
    "suspended": Goal.SUSPENDED,
    "archived": Goal.ARCHIVED,
}
DEFAULT_ADMIN = "admin"


class TenantSpecification(models.Model):
    """What the reconciler is told of a tenant. Addons add to it by inheritance."""

    _inherit = "loomworks.tenant"

    def _goal(self):
        """Return where the tenant is to be brought, or None for a draft."""
        self.ensure_one()
        return Goal.ERASED if self.erase_requested else GOALS.get(self.state)

    def _steps(self):
        """Return the steps of a tenant, in the order in which they are ensured; addons insert theirs."""
        return tenant_steps()

    def _to_spec(self):
        return TenantSpec(**self._spec_values())

    def _spec_values(self):
        self.ensure_one()
        plan, cluster = self.plan_id, self.cluster_id
        admin = self.admin_ids[:1]
        template = self.server_id and self.env["loomworks.template"]._ensure(plan, self.server_id)
        return {
            "uuid": self.uuid,
            "name": self.name,
            "subdomain": self.subdomain,
            "database": self.database_name,
            "goal": self._goal(),
            "cluster": cluster._to_spec(),
            "server": self.server_id._to_spec(),
            "resources": Resources(
                cpu_request=cluster.cpu_request or plan.cpu_request,
                cpu_limit=plan.cpu_limit,
                memory_request=cluster.memory_request or plan.memory_request,
                memory_limit=plan.memory_limit,
            ),
            "template_database": template._current_database() if template else None,
            "template_problem": (template and template.error_message) or "",
            "admin_login": admin.login or DEFAULT_ADMIN,
            "admin_name": admin.name or self.name,
            "connection_limit": plan.connection_limit,
            "parameters": self._parameters(),
            "previous_database": self.previous_database or "",
            "switching": self.switching,
            "restarted_at": fields.Datetime.to_string(self.restarted_at) or "",
        }

    def _parameters(self):
        """Return the system parameters that the tenant's Odoo is run by."""
        return {
            "loomworks.max_users": str(self.max_users),
            "loomworks.max_storage_gb": str(self.max_storage_gb),
            "loomworks.max_ai_operations_daily": str(self.max_ai_operations_daily),
            "loomworks.plan": self.plan_id.code,
        }
