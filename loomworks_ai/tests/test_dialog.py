"""The dialog of an undo and of a redo."""

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
