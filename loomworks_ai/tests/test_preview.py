"""What a preview says that would change: of records, in names, and as it then does."""

from .common import AgentCase


class TestPreview(AgentCase):
    def preview(self, operations, user=None, **terms):
        """Return what the preview says of each record: (table, name) -> (act, fields with both values)."""
        found = operations.with_user(user or self.manager).preview_undo(**terms)["changes"]
        return {(group["table"], row["name"]): self.told(row) for group in found for row in group["rows"]}

    def told(self, row):
        return row["act"], {one["label"]: (one["before"], one["after"]) for one in row["fields"]}

    def test_several_operations_are_one_change(self):
        operations = self.operation_log()
        for phone in ("2", "3"):
            operations |= self.change_phone(phone)
        self.assertEqual(self.preview(operations)["res_partner", "Azure"], ("changed", {"Phone": ("3", "1")}))

    def test_the_undo_then_does_just_that(self):
        tags = self.env["res.partner.category"].create([{"name": "Old tag"}, {"name": "New tag"}])
        gone = self.env["res.partner"].create({"name": "Gone", "city": "Ghent"})
        self.partner.category_id = tags[0]
        with self.request() as env:
            self.partner.with_env(env).write({"phone": "2", "category_id": [(6, 0, tags[1].ids)]})
            gone.with_env(env).unlink()
            env["res.partner"].create({"name": "New", "city": "Bruges"})
        operation = self.operation.with_user(self.manager)
        before = operation.preview_undo()["changes"]
        undo = operation.action_undo()
        done = self.operation_log().browse(undo["operation"])._changes().described()

        def shape(groups):
            return {one["table"]: sorted(map(str, map(self.told, one["rows"]))) for one in groups}

        self.assertEqual(shape(before), shape(done))
        self.assertEqual(
            {one["act"] for group in before for one in group["rows"] if group["table"] == "res_partner"},
            {"created", "deleted", "changed"},
        )
        self.assertIn("res_partner_res_partner_category_rel", shape(before))

    def test_what_is_left_to_others_is_not_said_to_change(self):
        with self.request() as env:
            self.partner.with_env(env).write({"phone": "2", "email": "b@example.test"})
        self.partner.phone = "3"
        self.assertEqual(self.preview(self.operation), {})
        told = self.preview(self.operation, on_conflict="theirs")
        self.assertEqual(told["res_partner", "Azure"][1]["Email"], ("b@example.test", "a@example.test"))
        self.assertNotIn("Phone", told["res_partner", "Azure"][1])

    def test_what_rules_and_groups_hide_is_hidden(self):
        with self.request() as env:
            self.partner.with_env(env).write({"phone": "2", "email": "b@example.test"})
        self.patch(type(self.partner)._fields["phone"], "groups", "base.group_system")
        (_act, fields) = self.preview(self.operation, self.agent)["res_partner", "Azure"]
        self.assertIn("Email", fields)
        self.assertNotIn("Phone", fields)
        rule = {"model_id": self.env["ir.model"]._get_id("res.partner"), "name": "hide"}
        self.env["ir.rule"].create({**rule, "domain_force": f"[('id', '!=', {self.partner.id})]"})
        self.assertEqual(self.preview(self.operation, self.manager), {("res_partner", ""): ("changed", {})})

    def test_the_dialog_shows_it(self):
        gone = self.env["res.partner"].create({"name": "Gone", "city": "Ghent"})
        with self.request() as env:
            gone.with_env(env).unlink()
            env["res.partner"].create({"name": "New <b>"})
            self.partner.with_env(env).phone = "2"
        action = self.operation.with_user(self.manager).action_open_undo()
        html = self.env[action["res_model"]].browse(action["res_id"]).summary_html
        for words in (
            "Now",
            "Then",
            "Azure",
            "comes back",
            "Ghent",
            "New &lt;b&gt;",
            "goes",
            "1 brought back, 1 removed",
        ):
            self.assertIn(words, html)
        self.assertNotIn("created", html)

    def test_bookkeeping_is_told_as_such(self):
        tag = self.env["res.partner.category"].create({"name": "Tag"})
        with self.request() as env:
            self.partner.with_env(env).category_id = tag.with_env(env)
        log = self.operation.with_user(self.manager)
        self.assertIn("Only when it was last changed, and by whom.", log.changes_html)
        self.assertNotIn("No visible field.", log.changes_html)

    def test_a_changed_credential_is_told_without_its_value(self):
        with self.request() as env:
            self.bystander.with_env(env).sudo().password = "correct horse battery staple"
        html = self.operation.with_user(self.manager).changes_html
        self.assertRegex(html, r"(?s)<td>Password</td>.*not kept.*not kept")
        self.assertNotIn("Only when it was last changed", html)
        self.assertNotIn("pbkdf2", html)

    def test_rows_can_be_named_for_an_undo_of_some(self):
        with self.request() as env:
            env["res.partner"].create({"name": "New"})
            self.partner.with_env(env).phone = "2"
        (group,) = [
            one
            for one in self.operation.with_user(self.manager).preview_undo()["changes"]
            if one["model"] == "res.partner"
        ]
        record = next({"model": group["model"], "id": one["id"]} for one in group["rows"] if one["name"] == "Azure")
        told = self.preview(self.operation, records=[record])
        self.assertEqual(set(told), {("res_partner", "Azure")})

    def operation_log(self):
        return self.env["loomworks.ai.operation.log"].with_user(self.manager)
