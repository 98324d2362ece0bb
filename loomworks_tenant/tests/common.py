"""Factories of the rows that tests need."""

from odoo.tests import TransactionCase, new_test_user


class TenantCase(TransactionCase):
    """A cluster with one database server, and one user of each group."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["loomworks.database.server"].search([]).active = False
        cls.cluster = cls.env["loomworks.cluster"].create(
            {
                "name": "test",
                "kubeconfig": "file:/nowhere",
                "domain": "example.test",
                "public_url": "https://console.example.test:8443",
                "image": "registry.example/loomworks-odoo:1",
            }
        )
        cls.server = cls.make_server("db1", capacity=10)
        cls.plan = cls.env.ref("loomworks_tenant.plan_basic")
        cls.operator = cls.make_user("operator", "group_operator")
        cls.customer = cls.make_user("customer", "group_tenant_admin")
        cls.stranger = cls.make_user("stranger", "group_tenant_admin")
        cls.auditor = cls.make_user("auditor", "group_auditor")

    @classmethod
    def make_user(cls, login, group):
        return new_test_user(cls.env, f"{login}@example.test", groups=f"loomworks_tenant.{group}")

    @classmethod
    def make_server(cls, name, **values):
        values = {"cluster_id": cls.cluster.id, "host": name, "password_reference": "env:TEST_PASSWORD", **values}
        return cls.env["loomworks.database.server"].create({"name": name, **values})

    @classmethod
    def make_tenant(cls, subdomain="acme", user=None, **values):
        tenants = cls.env["loomworks.tenant"].with_user(user or cls.operator)
        values = {"name": subdomain.title(), "plan_id": cls.plan.id, "cluster_id": cls.cluster.id, **values}
        return tenants.create({"subdomain": subdomain, **values})

    @classmethod
    def make_active(cls, subdomain="acme", **values):
        """Return a tenant whose every step has been done, without a cluster."""
        tenant = cls.make_tenant(subdomain, **values)
        tenant.action_provision()
        cls.finish_steps(tenant)
        return tenant

    @classmethod
    def finish_steps(cls, tenant):
        """Mark the steps as done for what the tenant is now, and let the row draw its conclusion."""
        from ..reconciler import engine

        spec = tenant.sudo()._to_spec()
        fingerprints = {line.step.code: line.fingerprint for line in engine.plan(tenant.sudo()._steps(), spec)}
        for step in tenant.sudo().step_ids:
            step.write({"state": "done", "fingerprint": fingerprints[step.code]})
        tenant.sudo()._settle()
