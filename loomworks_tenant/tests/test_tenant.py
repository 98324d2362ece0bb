from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger
from psycopg2.errors import UniqueViolation

from .common import TenantCase


@tagged("post_install", "-at_install")
class TestTenant(TenantCase):
    def test_new_tenant_is_a_draft_named_by_its_own_uuid(self):
        tenant = self.make_tenant()
        self.assertEqual(tenant.state, "draft")
        self.assertRegex(tenant.uuid, r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
        self.assertEqual(tenant.database_name, "t_" + tenant.uuid.replace("-", ""))

    def test_address_has_scheme_and_port_of_the_platform(self):
        self.assertEqual(self.make_tenant().public_url, "https://acme.example.test:8443")

    def test_limits_come_from_the_plan_and_may_differ(self):
        tenant = self.make_tenant(max_users=7)
        self.assertEqual((tenant.max_users, tenant.max_storage_gb), (7, self.plan.max_storage_gb))

    def test_negative_limit_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "cannot be negative"):
            self.make_tenant(max_users=-1)

    def test_invalid_subdomains_are_refused_with_the_rule(self):
        for wrong in ("ab", "Acme", "1acme", "ac me", "acme-", "-acme", "a" * 64, "ac.me", "acmé", "a_b_c"):
            with self.subTest(wrong), self.assertRaisesRegex(ValidationError, "3 to 63 small letters"):
                self.make_tenant(wrong)

    def test_longest_subdomain_is_accepted(self):
        self.assertTrue(self.make_tenant("a" * 63))

    def test_reserved_subdomain_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "reserved"):
            self.make_tenant("console")

    @mute_logger("odoo.sql_db")
    def test_taken_subdomain_is_refused(self):
        self.make_tenant()
        with self.assertRaisesRegex(UniqueViolation, "loomworks_tenant_subdomain_unique"), self.cr.savepoint():
            self.make_tenant()

    def test_subdomain_of_an_erased_tenant_is_free_again(self):
        self.make_tenant().action_archive()
        self.env.flush_all()
        self.assertTrue(self.make_tenant())

    def test_guarded_fields_are_refused_to_everybody(self):
        tenant = self.make_tenant()
        for values in (
            {"state": "active"},
            {"uuid": "x"},
            {"server_id": self.server.id},
            {"database_name": "postgres"},
        ):
            with self.subTest(values), self.assertRaisesRegex(UserError, "use the actions"):
                tenant.write(values)
        with self.assertRaisesRegex(UserError, "use the actions"):
            self.make_tenant("other", state="active")

    def test_tenant_with_data_cannot_be_removed(self):
        tenant = self.make_active()
        with self.assertRaisesRegex(UserError, "still has data"):
            tenant.unlink()

    def test_provisioned_tenant_keeps_its_cluster(self):
        tenant = self.make_active()
        other = self.cluster.copy({"name": "other"})
        with self.assertRaisesRegex(ValidationError, "cannot change its cluster"):
            tenant.cluster_id = other

    def test_secret_is_named_and_never_written(self):
        with self.assertRaisesRegex(ValidationError, "no way to name a secret"):
            self.server.password_reference = "hunter2"
        with self.assertRaisesRegex(ValidationError, "no way to name a secret"):
            self.cluster.kubeconfig = "apiVersion: v1"
