"""What the tests of a tenant's database need."""

from odoo.tests import TransactionCase, new_test_user

from ..models.res_users import LIMIT_PARAMETER


class ClientCase(TransactionCase):
    """A tenant's administrator and a limit of users."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service = cls.env.ref("loomworks_client.user_service")
        cls.admin = new_test_user(
            cls.env, "admin@example.test", groups="base.group_system,base.group_erp_manager,base.group_partner_manager"
        )

    @classmethod
    def limit_to(cls, more):
        """Let there be as many users as there are, and ``more``."""
        count = cls.env["res.users"]._internal_user_count()
        cls.set_limit(count.users + more)

    @classmethod
    def set_limit(cls, limit):
        """Write the limit as the control plane does: by SQL, past every cache."""
        cls.env.cr.execute(
            "INSERT INTO ir_config_parameter (key, value) VALUES (%s, %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [LIMIT_PARAMETER, str(limit)],
        )

    def hire(self, login, groups="base.group_user", **values):
        """Create a user as the tenant's administrator does."""
        group_ids = [(6, 0, [self.env.ref(name).id for name in groups.split(",")])]
        values = {"name": login, "login": login, "group_ids": group_ids, **values}
        return self.env["res.users"].with_user(self.admin).create(values)
