"""The control plane's calls over JSON-2, as it makes them: with a key that it wrote itself."""

from odoo import release
from odoo.tests import HttpCase, new_test_user

BODY = {"context": {}}


class TestControlPlaneCalls(HttpCase):
    def setUp(self):
        super().setUp()
        self.key = self.key_of(self.env.ref("loomworks_client.user_service"))

    def key_of(self, user):
        return self.env["res.users.apikeys"].with_user(user).sudo()._generate("rpc", "test", False)

    def call(self, method, key):
        headers = {"Authorization": f"bearer {key}"}
        return self.url_open(f"/json/2/loomworks.client/{method}", json=BODY, headers=headers)

    def test_health_says_users_limit_size_version_and_modules(self):
        self.env["ir.config_parameter"].set_param("loomworks.max_users", "7")
        answer = self.call("health", self.key).json()
        users = self.env["res.users"]._internal_user_count().users
        self.assertEqual((answer["users"], answer["max_users"]), (users, 7))
        self.assertEqual(answer["version"], release.version)
        self.assertGreater(answer["database_size"], 1_000_000)
        self.assertIn("loomworks_client", answer["modules"])

    def test_first_login_link_leads_to_the_page(self):
        answer = self.call("first_login_link", self.key).json()
        self.assertRegex(answer["path"], r"^/loomworks/first-login/[A-Za-z0-9_-]+$")
        self.assertRegex(answer["expires_at"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertIn("Choose your password", self.url_open(answer["path"]).text)

    def test_administrator_may_not_call(self):
        admin = new_test_user(self.env, "boss@example.test", groups="base.group_system")
        for method in ("health", "first_login_link"):
            answer = self.call(method, self.key_of(admin))
            self.assertEqual(answer.status_code, 403)
            self.assertIn("Only the Loomworks control plane", answer.text)

    def test_member_of_the_service_group_may_not_call(self):
        member = new_test_user(self.env, "member@example.test", groups="loomworks_client.group_service")
        self.assertEqual(self.call("health", self.key_of(member)).status_code, 403)

    def test_nobody_calls_without_a_key(self):
        self.assertEqual(self.url_open("/json/2/loomworks.client/health", json=BODY).status_code, 401)

    def test_internal_methods_cannot_be_called(self):
        self.assertEqual(self.call("_first_login_user", self.key).status_code, 403)

    def test_archived_administrator_gets_no_link(self):
        new_test_user(self.env, "other@example.test", groups="base.group_system")
        self.env.ref("base.user_admin").active = False
        answer = self.call("first_login_link", self.key)
        self.assertEqual(answer.status_code, 422)
        self.assertIn("is archived", answer.text)
