"""The dialog of an undo and of a redo."""

from odoo import fields
from odoo.exceptions import ValidationError

from ..models.plain_words import ConflictWords
from ..models.values import Changes
from .common import AgentCase


class TestDialog(AgentCase):
    def open(self, operation, kind="undo"):
        action = getattr(operation, f"action_open_{kind}")()
        return self.env[action["res_model"]].with_user(self.manager).browse(action["res_id"])

    def test_nothing_in_the_way(self):
        operation = self.change_phone()
        self.assertTrue(operation.can_undo)
        dialog = self.open(operation)
        self.assertTrue(dialog.ready)
        self.assertFalse(dialog.line_ids)
        self.assertIn("Contact", dialog.summary_html)
        self.assertEqual(self.partner.phone, "2")
        self.assertEqual(dialog.action_apply()["tag"], "display_notification")
        self.assertEqual(self.partner.phone, "1")
        self.assertEqual(operation.state, "rolled_back")
        self.assertTrue(operation.can_redo)
        self.assertFalse(operation.can_undo)

        self.open(operation, "redo").action_apply()
        self.assertEqual(self.partner.phone, "2")
        self.assertEqual(operation.state, "done")
        self.assertFalse(operation.undone)

    def test_a_conflict_is_decided(self):
        operation = self.change_phone()
        self.partner.phone = "3"
        dialog = self.open(operation)
        self.assertFalse(dialog.ready)
        self.assertIn("“2”", dialog.line_ids.message)
        self.assertEqual(dialog.action_apply()["res_id"], dialog.id)
        self.assertEqual(self.partner.phone, "3")
        dialog.line_ids.choice = "ours"
        dialog.action_look_again()
        self.assertTrue(dialog.ready)
        dialog.action_apply()
        self.assertEqual(self.partner.phone, "1")
        self.assertEqual(operation.state, "rolled_back")

    def test_only_what_is_offered_can_be_chosen(self):
        operation = self.change_phone()
        self.partner.with_context(active_test=False).unlink()
        dialog = self.open(operation)
        self.assertEqual(dialog.line_ids.offered, "skip")
        with self.assertRaisesRegex(ValidationError, "deleted it since.*\\n.*“Leave the record alone”"):
            dialog.line_ids.choice = "ours"
        dialog.line_ids.choice = "skip"
        dialog.action_look_again()
        self.assertTrue(dialog.ready)

    def test_one_choice_for_all(self):
        with self.request() as env:
            self.partner.with_env(env).write({"phone": "2", "email": "b@example.test"})
        operation = self.operation.with_user(self.manager)
        self.partner.phone = "3"
        dialog = self.open(operation)
        dialog.on_conflict = "theirs"
        dialog.action_apply()
        self.assertEqual((self.partner.phone, self.partner.email), ("3", "a@example.test"))
        self.assertEqual(operation.state, "partially_rolled_back")

    def test_of_a_link_the_choice_for_all_decides(self):
        tag = self.env["res.partner.category"].create({"name": "Tag"})
        self.partner.write({"phone": "1", "category_id": [(6, 0, tag.ids)]})
        self.env.flush_all()
        with self.request() as env:
            self.partner.with_env(env).write({"phone": "2", "category_id": [(5, 0, 0)]})
        tag.unlink()
        dialog = self.open(self.operation.with_user(self.manager))
        self.assertEqual(dialog.line_ids.offered, "")
        self.assertIn("The choice for all decides", dialog.line_ids.message)
        with self.assertRaisesRegex(ValidationError, "nothing"):
            dialog.line_ids.choice = "skip"
        dialog.line_ids.choice = False
        dialog.on_conflict = "skip"
        dialog.action_look_again()
        self.assertTrue(dialog.ready)
        dialog.action_apply()
        self.assertEqual((self.partner.phone, self.partner.category_id.ids), ("1", []))

    def test_what_was_left_to_others_can_be_taken_back_later(self):
        with self.request() as env:
            self.partner.with_env(env).write({"phone": "2", "email": "b@example.test"})
        operation = self.operation.with_user(self.manager)
        self.partner.phone = "3"
        first = operation.action_undo(on_conflict="theirs")["operation"]
        (conflict,) = operation.action_undo()["conflicts"]
        self.assertEqual((conflict["type"], conflict["fields"]), ("changed", ["phone"]))
        self.assertTrue(operation.action_undo(on_conflict="ours")["done"])
        self.assertEqual((self.partner.phone, self.partner.email), ("1", "a@example.test"))
        self.assertEqual(operation.state, "rolled_back")
        with self.assertQueryCount(1):
            self.assertEqual((operation | operation.browse(first))._undone_by().ids, [first, operation.undone_by])

    def test_undo_of_an_undo_of_an_undo(self):
        operation = self.change_phone()
        first = operation.browse(operation.action_undo()["operation"])
        self.assertEqual((first.operation_type, first.undoes, first.state), ("undo", operation.ids, "done"))
        second = operation.browse(first.action_undo()["operation"])
        self.assertEqual((self.partner.phone, operation.state, first.state), ("2", "done", "rolled_back"))
        self.assertFalse(operation.undone_at)
        self.assertLess(abs((fields.Datetime.now() - first.undone_at).total_seconds()), 60)
        third = operation.browse(second.action_undo()["operation"])
        self.assertEqual((self.partner.phone, operation.state, first.state), ("1", "rolled_back", "done"))
        self.assertEqual((second.state, third.state), ("rolled_back", "done"))

    def test_an_undo_of_what_several_agents_did_is_nobodys_and_names_them_all(self):
        with self.request(session="tidy"):
            self.partner.with_user(self.agent).phone = "2"
        robins = self.operation
        with self.request(self.other_agent, session="sweep"):
            self.partner.with_user(self.other_agent).email = "b@example.test"
        both = (robins | self.operation).with_user(self.manager)
        self.other_agent.active = False

        def told(log):
            form = {"agent_id": {}, "user_id": {}, "session_id": {}, "agent_ids": {}, "undone_ids": {}}
            (values,) = log.web_read(form)
            return values

        everybody = (self.agent | self.other_agent).ids
        undo = robins.with_user(self.manager).browse(both.action_undo()["operation"])
        nobodys = {"id": undo.id, "agent_id": False, "user_id": self.manager.id, "session_id": False}
        values = {**nobodys, "agent_ids": everybody, "undone_ids": both.ids}
        self.assertEqual(told(undo), values)
        self.assertNotIn(undo, undo.with_user(self.agent).search([]))

        redo = undo.browse(both.action_redo()["operation"])
        self.assertEqual(told(redo), {**values, "id": redo.id, "undone_ids": undo.ids})
        alone = undo.browse(both[0].action_undo()["operation"])
        self.assertEqual((alone.agent_id, alone.agent_ids, alone.session_id), (self.agent, self.agent, "tidy"))
        self.assertEqual((robins.agent_ids, robins.undone_ids.ids), (self.agent, []))

    def test_an_agent_reads_its_own_undo_as_far_as_it_may(self):
        operation = self.change_phone()
        with self.request() as env:
            number = operation.with_env(env).action_undo()["operation"]
        undo = operation.with_user(self.agent).browse(number)
        self.assertEqual((undo.undone_ids, undo.agent_ids), (operation, self.agent))

    def test_what_has_been_undone_is_not_undone_again(self):
        operation = self.change_phone()
        operation.action_undo()
        told = operation.action_undo()
        self.assertFalse(told["done"])
        self.assertIn("undone already", told["refused"])
        self.assertFalse(self.open(operation).ready)

    def test_a_session_of_which_the_agent_has_undone_a_part_itself(self):
        before = self.partner.read(["phone", "email", "street"])
        operations = self.change_phone()
        with self.request(session="tidy") as env:
            self.partner.with_env(env).email = "b@example.test"
        operations |= self.operation.with_user(self.manager)
        with self.request(session="tidy") as env:
            self.assertTrue(operations[1].with_env(env).action_undo()["done"])
        undo = self.operation.with_user(self.manager)
        with self.request(session="tidy") as env:
            self.partner.with_env(env).street = "Elm"
        operations |= undo | self.operation.with_user(self.manager)
        report = operations.action_undo()
        self.assertTrue(report["done"], report["refused"])
        self.assertEqual(self.partner.read(["phone", "email", "street"]), before)
        self.assertEqual(operations.mapped("state"), ["rolled_back", "rolled_back", "done", "rolled_back"])
        self.assertIn("undone already", (operations[1] | undo).action_undo()["refused"])

    def test_an_undo_of_operations_of_which_only_some_are_chosen(self):
        first, second = self.change_phone("2"), self.change_phone("3")
        undo = first.browse((first | second).action_undo()["operation"])
        self.assertIn("only some are chosen", (first | undo).action_undo()["refused"])
        redo = first.browse(undo.action_undo()["operation"])
        report = (first | second | redo).action_undo()
        self.assertTrue(report["done"], report["refused"])
        self.assertEqual((self.partner.phone, redo.state), ("1", "done"))

    def test_what_has_failed_stays_failed(self):
        operation = self.change_phone().sudo()
        operation.write({"state": "failed", "error_message": "it broke"})
        self.assertTrue(operation.with_user(self.manager).action_undo()["done"])
        self.assertEqual(operation.state, "rolled_back")
        self.assertTrue(operation.with_user(self.manager).action_redo()["done"])
        self.assertEqual((operation.state, self.partner.phone), ("failed", "2"))

    def test_what_has_failed_without_a_change_is_passed_over(self):
        operation = self.change_phone()
        empty = operation.sudo().copy({"state": "failed", "row_changes": 0, "error_message": "it broke"})
        empty = empty.with_user(self.manager)
        self.assertTrue((operation | empty).action_undo()["done"])
        self.assertEqual((operation.state, empty.state), ("rolled_back", "failed"))
        self.assertIn("changed nothing", empty.action_undo()["refused"])


class TestPlainWords(AgentCase):
    """Each type of conflict, as people read it: without a name of a table or a column."""

    def told(self, operations=None):
        """Return what an undo of the last operation says of its conflicts."""
        operations = (operations or self.operation).with_user(self.manager)
        return [(one["type"], one["message"]) for one in operations.preview_undo()["conflicts"]]

    def worded(self, kind, detail, **other):
        """Return what is said of a conflict that a test cannot make here."""
        key = {"id": str(self.partner.id)}
        conflict = {
            "type": kind,
            "table": "res_partner",
            "key": key,
            "columns": None,
            "detail": detail,
            "operation": None,
            **other,
        }
        changes = Changes(self.env(su=True), [{"table": "res_partner", "key": key}])
        return ConflictWords(self.env(su=True), changes, conflict).message()

    def test_changed(self):
        self.change_phone()
        self.partner.phone = "3"
        self.assertEqual(
            self.told(),
            [("changed", "Azure: somebody has changed it since: “Phone” was left “2” and is “3” now.")],
        )

    def test_a_password_since(self):
        with self.request():
            made = self.env["res.users"].with_user(self.agent).sudo().create({"name": "New", "login": "new"})
            made.flush_recordset()
        self.env["res.users"].browse(made.id).password = "correct horse"
        self.env.flush_all()
        self.assertIn(("changed", "New: somebody has changed it since: “Password”."), self.told())

    def test_between(self):
        first, number = self.change_phone(), self.partner.id
        self.partner.phone = "3"
        self.env.flush_all()
        with self.request() as env:
            self.partner.with_env(env).unlink()
        told = self.told(first | self.operation.with_user(self.manager))
        self.assertEqual(
            told, [("between", f"Contact {number}: somebody has changed it between two of the operations.")]
        )

    def test_key_taken(self):
        number = self.partner.id
        with self.request() as env:
            self.partner.with_env(env).unlink()
        self.env.cr.execute("INSERT INTO res_partner (id, name, complete_name) VALUES (%s, 'Blue', 'Blue')", [number])
        self.env.invalidate_all()
        self.assertIn(("key_taken", "Blue: it is there now, in place of what was deleted."), self.told())

    def test_depended_by_a_link(self):
        with self.request():
            tag = self.env["res.partner.category"].with_user(self.agent).sudo().create({"name": "Tag"})
            tag.flush_recordset()
        self.partner.category_id = self.env["res.partner.category"].browse(tag.id)
        (told,) = self.told()
        words = "Tag: 1 records of “Partner Tags: Partners” came later and refer to it: they would be deleted with it."
        self.assertEqual(told, ("depended", words))

    def test_unique(self):
        country = self.env.ref("base.be")
        with self.request():
            country.with_user(self.agent).sudo().code = "XX"
            self.env.flush_all()
        self.env["res.country"].create({"name": "Utopia", "code": "BE"})
        words = "Belgium: another record has its value of “Country Code” now, which must be unique."
        self.assertEqual(self.told(), [("unique", words)])

    def test_unique_by_an_expression(self):
        self.partner.phone = "a"
        self.env.flush_all()
        self.change_phone()
        self.env.cr.execute("CREATE UNIQUE INDEX one_phone ON res_partner (lower(phone))")
        self.env["res.partner"].create({"name": "Blue", "phone": "A"})
        self.assertEqual(self.told(), [("unique", "Azure: another record has what only one may have: one_phone")])

    def test_parent_of_a_record_and_of_a_link(self):
        state = self.env["res.country.state"].create(
            {"name": "S", "code": "S", "country_id": self.env.ref("base.be").id}
        )
        tag = self.env["res.partner.category"].create({"name": "Tag"})
        self.partner.write({"state_id": state.id, "category_id": [(6, 0, tag.ids)]})
        self.env.flush_all()
        with self.request() as env:
            self.partner.with_env(env).write({"state_id": False, "category_id": [(5, 0, 0)]})
        state.unlink()
        tag.unlink()
        self.assertEqual(
            sorted(self.told()),
            [
                ("parent", "Azure: the “Country state” that it refers to is gone."),
                (
                    "parent",
                    f"Contact: Tags (Azure / Partner Tags {tag.id}): the “Partner Tags” that it refers to is gone.",
                ),
            ],
        )

    def test_secret(self):
        with self.request():
            self.bystander.with_user(self.agent).sudo().password = "correct horse"
            self.env.flush_all()
        words = f"{self.bystander.name}: a password or key was changed, and those are not written down."
        self.assertIn(("secret", words), self.told())

    def test_deleted(self):
        self.change_phone()
        number = self.partner.id
        self.partner.unlink()
        self.assertEqual(self.told(), [("deleted", f"Contact {number}: somebody has deleted it since.")])

    def test_what_is_of_the_books_of_the_structure_or_of_the_database(self):
        for kind, reason, words in (
            ("protected", "its period is closed", "Azure: it must not be changed: its period is closed."),
            ("schema", "the column is gone", "Azure: the database has been changed: the column is gone."),
            ("refused", "no phone", "Azure: the database does not take it: no phone"),
        ):
            self.assertEqual(self.worded(kind, {"reason": reason}), words)

    def test_what_the_database_refuses_without_saying_where(self):
        told = self.worded("refused", {"reason": "no luck"}, table=None, key=None)
        self.assertEqual(told, "The database does not take it: no luck")
