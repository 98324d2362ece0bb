"""The dialog of an undo and of a redo."""

from odoo.exceptions import ValidationError

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
        third = operation.browse(second.action_undo()["operation"])
        self.assertEqual((self.partner.phone, operation.state, first.state), ("1", "rolled_back", "done"))
        self.assertEqual((second.state, third.state), ("rolled_back", "done"))

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
