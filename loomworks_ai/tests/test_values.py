"""What is shown of an operation, and to whom."""

from .common import AgentCase


class TestValues(AgentCase):
    def test_before_and_after(self):
        operation = self.change_phone()
        number = str(self.partner.id)
        self.assertEqual(operation.values_before["res.partner"][number]["phone"], "1")
        self.assertEqual(operation.values_after["res.partner"][number]["phone"], "2")
        self.assertIn("Azure", operation.changes_html)
        self.assertEqual(operation.display_name, f"#{operation.id} res.partner write")
        self.assertFalse(operation.effects)

    def test_created_and_deleted(self):
        with self.request() as env:
            country = env.ref("base.be")
            created = env["res.partner"].create({"name": "New <b>", "country_id": country.id, "is_company": True})
            self.partner.with_env(env).unlink()
        operation = self.operation.with_user(self.manager)
        self.assertNotIn(str(created.id), operation.values_before.get("res.partner", {}))
        self.assertEqual(operation.values_after["res.partner"][str(created.id)]["country_id"], country.id)
        self.assertEqual(operation.values_before["res.partner"][str(self.partner.id)]["name"], "Azure")
        html = operation.changes_html
        self.assertIn("Belgium", html)
        self.assertIn("New &lt;b&gt;", html)
        self.assertIn("deleted", html)

    def test_what_rules_hide_is_hidden_in_the_log_as_well(self):
        operation = self.change_phone()
        self.env["ir.rule"].create(
            {
                "name": "hide",
                "model_id": self.env["ir.model"]._get_id("res.partner"),
                "domain_force": f"[('id', '!=', {self.partner.id})]",
            }
        )
        log = operation.with_user(self.agent)
        self.assertEqual(log.values_before, False)
        self.assertNotIn("Azure", log.changes_html)
        self.assertIn("may not see", log.changes_html)
        self.partner.phone = "3"
        (conflict,) = log.preview_undo()["conflicts"]
        self.assertNotIn("“3”", conflict["message"])
        self.assertIsNone(conflict["detail"])

    def test_fields_of_other_groups_are_hidden_in_a_conflict_as_well(self):
        operation = self.change_phone().with_user(self.agent)
        self.patch(type(self.partner)._fields["phone"], "groups", "base.group_system")
        self.partner.sudo().phone = "3"
        (conflict,) = operation.preview_undo()["conflicts"]
        self.assertEqual((conflict["type"], conflict["fields"]), ("changed", []))
        self.assertNotIn("phone", conflict["detail"]["left"] | conflict["detail"]["now"])
        self.assertNotIn("3", conflict["message"].replace(str(self.partner.id), ""))

    def test_records_that_came_later_are_named_to_those_who_may_see_them(self):
        with self.request() as env:
            created = env["res.partner"].create({"name": "New"})
        child = self.env["res.partner"].create({"name": "Bob", "parent_id": created.id})

        def told(user):
            conflicts = self.operation.with_user(user).preview_undo()["conflicts"]
            return next(one["detail"] for one in conflicts if one["type"] == "depended")

        self.assertEqual(told(self.agent)["keys"], [{"id": str(child.id)}])
        self.env["ir.rule"].create(
            {
                "name": "hide",
                "model_id": self.env["ir.model"]._get_id("res.partner"),
                "domain_force": f"[('id', '!=', {child.id})]",
            }
        )
        self.assertEqual((told(self.agent)["rows"], told(self.agent)["keys"]), (1, []))

    def test_secrets_are_not_in_the_journal(self):
        with self.request() as env:
            self.bystander.with_env(env).sudo().password = "correct horse"
        self.env.cr.execute(
            "SELECT count(*) FROM loomworks.entry e WHERE operation = %s AND e::text LIKE '%%pbkdf2%%'",
            self.operation.ids,
        )
        self.assertEqual(self.env.cr.fetchone(), (0,))
        told = self.operation.with_user(self.manager).preview_undo()
        self.assertIn("secret", {one["type"] for one in told["conflicts"]})
