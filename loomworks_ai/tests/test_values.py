"""What is shown of an operation, and to whom."""

from ..models import operation_log
from .common import AgentCase


class TestValues(AgentCase):
    def hide(self, record):
        """Have a rule hide it from everybody."""
        model = self.env["ir.model"]._get_id(record._name)
        self.env["ir.rule"].create({"name": "hide", "model_id": model, "domain_force": f"[('id', '!=', {record.id})]"})

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
        self.hide(self.partner)
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

    def test_fields_of_other_groups_are_hidden_in_the_values_as_well(self):
        with self.request() as env:
            self.partner.with_env(env).write({"phone": "2", "email": "new@example.test"})
        operation = self.operation.with_user(self.agent)
        self.assertIn("Phone", operation.changes_html)
        self.patch(type(self.partner)._fields["phone"], "groups", "base.group_system")
        self.env.invalidate_all()
        number = str(self.partner.id)
        for values in (operation.values_before, operation.values_after):
            self.assertIn("email", values["res.partner"][number])
            self.assertNotIn("phone", values["res.partner"][number])
        self.assertIn("new@example.test", operation.changes_html)
        self.assertNotIn("Phone", operation.changes_html)

    def test_records_that_came_later_are_named_to_those_who_may_see_them(self):
        with self.request() as env:
            created = env["res.partner"].create({"name": "New"})
        child = self.env["res.partner"].create({"name": "Bob", "parent_id": created.id})

        def told(user):
            conflicts = self.operation.with_user(user).preview_undo()["conflicts"]
            return next(one["detail"] for one in conflicts if one["type"] == "depended")

        self.assertEqual(told(self.agent)["keys"], [{"id": str(child.id)}])
        self.hide(child)
        self.assertEqual((told(self.agent)["rows"], told(self.agent)["keys"]), (1, []))

    def test_records_left_alone_are_named_to_those_who_may_see_them(self):
        number = {"id": str(self.partner.id)}
        operation = self.change_phone().with_user(self.agent)
        self.partner.phone = "3"
        self.assertEqual([one["key"] for one in operation.preview_undo(on_conflict="skip")["skipped"]], [number])
        self.hide(self.partner)
        (skipped,) = operation.preview_undo(on_conflict="skip")["skipped"]
        self.assertEqual(skipped, {"table": "res_partner", "key": None, "type": "changed"})

    def test_rows_that_would_not_become_what_they_were_are_named_to_those_who_may_see_them(self):
        operation = self.change_phone().with_user(self.agent)
        self.env.cr.execute(
            """
            CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN NEW.street := ''Elm''; RETURN NEW; END';
            CREATE TRIGGER meddle BEFORE UPDATE ON res_partner FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
            """
        )
        told = operation.preview_undo()
        self.assertIn("res_partner: 1 of 1 rows would not become what they were", told["refused"])
        self.assertNotIn(str(self.partner.id), told["refused"])
        self.assertEqual(told["unmeant"], [{"table": "res_partner", "key": {"id": str(self.partner.id)}}])
        self.hide(self.partner)
        self.assertEqual(operation.preview_undo()["unmeant"], [{"table": "res_partner", "key": None}])

    def test_links_are_shown_with_both_ends_and_hidden_with_either(self):
        old, new = self.env["res.partner.category"].create([{"name": "Old tag"}, {"name": "New tag"}])
        self.partner.category_id = old
        with self.request() as env:
            self.partner.with_env(env).category_id = new.with_env(env)
        operation = self.operation.with_user(self.agent)
        html = operation.changes_html
        self.assertRegex(html, r"(?s)<h5>Contact: Tags</h5>.*Azure.*created.*<td>Tags</td>.*New tag")
        self.assertRegex(html, r"(?s)Azure.*deleted.*<td>Tags</td>.*Old tag")
        self.assertNotIn("partner_id", html)
        self.hide(new)
        self.env.invalidate_all()
        self.assertIn("Old tag", operation.changes_html)
        self.assertNotIn("New tag", operation.changes_html)
        self.hide(self.partner)
        self.env.invalidate_all()
        self.assertNotIn("Old tag", operation.changes_html)
        self.assertNotIn("Azure", operation.changes_html)

    def test_of_many_rows_as_many_are_listed_of_each_table_and_the_rest_is_counted(self):
        with self.request() as env:
            partners = env["res.partner"].create([{"name": f"New {number}"} for number in range(25)])
            self.partner.with_env(env).category_id = env["res.partner.category"].create({"name": "Tag"})
        self.patch(operation_log, "LISTED", 22)
        operation = self.operation.with_user(self.manager)
        self.assertEqual(len(operation.values_after["res.partner"]), 22)
        self.assertEqual(operation.values_left_out, {"res.partner": len(partners) + 1 - 22})
        self.assertIn("res.partner.category", operation.values_after)
        self.assertRegex(operation.changes_html, "and 6 more")
        self.assertIn("Contact: Tags", operation.changes_html)

    def test_values_that_are_not_kept_any_more(self):
        operation = self.change_phone()
        self.assertNotIn("not kept any more", operation.changes_html)
        self.env.cr.execute("DELETE FROM loomworks.entry WHERE operation = %s", operation.ids)
        self.env.invalidate_all()
        self.assertIn("The values are not kept any more", operation.changes_html)
        self.assertNotIn("Nothing was changed", operation.changes_html)

    def test_a_conflict_names_the_later_operation_to_those_who_may_see_it(self):
        first = self.change_phone("2")
        with self.request(self.other_agent) as env:
            self.partner.with_env(env).phone = "3"
        (told,) = first.preview_undo()["conflicts"]
        self.assertEqual(told["operation"], self.operation.id)
        self.assertIn(f"Changed since by {self.other_agent.name} in operation {self.operation.id}.", told["message"])
        (told,) = first.with_user(self.agent).preview_undo()["conflicts"]
        self.assertEqual(told["operation"], None)
        self.assertNotIn(self.other_agent.name, told["message"])
        with self.request() as env:
            self.partner.with_env(env).phone = "4"
        (told,) = first.with_user(self.agent).preview_undo()["conflicts"]
        self.assertEqual(told["operation"], self.operation.id)
        self.hide(self.partner)
        (told,) = first.with_user(self.agent).preview_undo()["conflicts"]
        self.assertEqual(told["operation"], None)

    def test_parameters_that_are_keys_are_not_in_the_journal(self):
        with self.request() as env:
            env["ir.config_parameter"].sudo().set_param("mail.web_push_vapid_private_key", "correct horse")
        operation = self.operation.with_user(self.manager)
        self.env.cr.execute("SELECT count(*) FROM loomworks.entry e WHERE e::text LIKE '%correct horse%'")
        self.assertEqual(self.env.cr.fetchone(), (0,))
        self.assertTrue(operation.action_undo()["done"])
        self.assertFalse(self.env["ir.config_parameter"].sudo().get_param("mail.web_push_vapid_private_key"))

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
