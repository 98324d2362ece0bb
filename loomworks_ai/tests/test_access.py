"""Who may be an agent, see operations, make keys."""

from unittest.mock import patch

from odoo.exceptions import AccessError, UserError, ValidationError

from ..models import rights
from .common import AgentCase


class TestAccess(AgentCase):
    def test_an_agent_is_no_administrator(self):
        for name in ("base.group_system", "base.group_erp_manager"):
            group = self.env.ref(name)
            with self.assertRaises(ValidationError):
                self.agent.group_ids = [(4, group.id)]
            with self.assertRaises(ValidationError):
                group.user_ids = [(4, self.agent.id)]

    def test_an_agent_designs_no_websites(self):
        designers = self.env.ref("website.group_website_designer", raise_if_not_found=False)
        if not designers:  # the module is not installed: as it would name them
            designers = self.env["res.groups"].create({"name": "Editor and Designer"})
            named = {"module": "website", "name": "group_website_designer"}
            self.env["ir.model.data"].create({**named, "model": "res.groups", "res_id": designers.id})
        with self.assertRaisesRegex(ValidationError, "run code"):
            self.agent.group_ids = [(4, designers.id)]

    def test_an_administrator_is_no_agent(self):
        admin = self.env.ref("base.user_admin")
        with self.assertRaises(ValidationError):
            admin.group_ids = [(4, self.env.ref("loomworks_ai.group_agent").id)]

    def test_not_by_way_of_another_group_either(self):
        detour = self.env["res.groups"].create({"name": "Detour"})
        self.agent.group_ids = [(4, detour.id)]
        with self.assertRaises(ValidationError):
            detour.implied_ids = [(4, self.env.ref("base.group_system").id)]

    def test_agents_are_known(self):
        self.assertTrue(self.agent.is_ai_agent)
        self.assertFalse(self.manager.is_ai_agent)
        self.assertIn(self.agent, self.env["res.users"].search([("is_ai_agent", "=", True)]))
        self.assertNotIn(self.manager, self.env["res.users"].search([("is_ai_agent", "=", True)]))

    def test_who_sees_which_operations(self):
        operation = self.change_phone()
        logs = self.env["loomworks.ai.operation.log"]
        self.assertIn(operation, logs.with_user(self.agent).search([]))
        self.assertIn(operation, logs.with_user(self.manager).search([]))
        self.assertNotIn(operation, logs.with_user(self.other_agent).search([]))
        with self.assertRaises(AccessError):
            logs.with_user(self.bystander).search([])
        self.assertEqual(self.agent.ai_operation_count, 1)
        self.assertEqual(self.agent.action_ai_operations()["domain"], [("agent_id", "=", self.agent.id)])

    def test_nobody_writes_the_log(self):
        operation = self.change_phone()
        for user in (self.agent, self.manager):
            log = operation.with_user(user)
            with self.assertRaises(AccessError):
                log.write({"state": "failed"})
            with self.assertRaises(AccessError):
                log.unlink()
            with self.assertRaises(AccessError):
                log.create({})

    def test_others_do_not_take_it_back(self):
        operation = self.change_phone()
        for user in (self.other_agent, self.bystander):
            with self.assertRaises(AccessError):
                operation.with_user(user).action_undo()
        self.assertEqual(self.partner.phone, "2")

    def test_only_people_overrule_others(self):
        operation = self.change_phone()
        with self.assertRaisesRegex(AccessError, "Only a person"):
            operation.with_user(self.agent).action_undo(on_conflict="ours")
        with self.assertRaises(UserError):
            operation.action_undo(on_conflict="whatever")
        with self.assertRaises(UserError):
            operation.action_undo(records=[{"model": "no.such", "id": 1}])

    def test_an_agent_takes_back_nothing_that_it_may_no_longer_do(self):
        operation = self.change_phone()
        self.agent.group_ids -= self.env.ref("base.group_partner_manager")
        mine = operation.with_user(self.agent)
        with self.assertRaisesRegex(AccessError, "may no longer change"), self.request():
            mine.action_undo()
        with self.assertRaisesRegex(AccessError, "may no longer change"):
            mine.preview_undo()
        self.assertTrue(operation.action_undo()["done"])
        self.assertEqual(self.partner.phone, "1")
        with self.assertRaisesRegex(AccessError, "may no longer change"):
            mine.sudo(False).browse(operation._undone_by().ids)._check_still_allowed()

    def close(self, domain):
        """Close partners to all users but those that match."""
        model = self.env["ir.model"]._get_id("res.partner")
        rule = {"name": "closed", "model_id": model, "domain_force": domain, "perm_read": False}
        return self.env["ir.rule"].create(rule)

    def test_an_agent_takes_back_nothing_of_a_record_that_was_closed_to_it(self):
        operation = self.change_phone().with_user(self.agent)
        rule = self.close(f"[('id', '!=', {self.partner.id})]")
        before = self.env["loomworks.ai.operation.log"].search_count([])
        with self.assertRaisesRegex(AccessError, "may no longer change"), self.request():
            operation.action_undo()
        with self.assertRaisesRegex(AccessError, "may no longer change"):
            operation.preview_undo()
        self.assertEqual(self.partner.phone, "2")
        self.assertEqual(self.env["loomworks.ai.operation.log"].search_count([]), before)
        rule.unlink()
        with self.request():
            self.assertTrue(operation.action_undo()["done"])

    def test_an_agent_does_nothing_again_of_which_nobody_knows_what_it_was(self):
        """Months are forgotten one after the other: an undo may be kept for longer than what it has undone."""
        operation = self.change_phone().with_user(self.agent)
        with self.request():
            self.assertTrue(operation.action_undo()["done"])
        self.env.cr.execute("DELETE FROM loomworks.entry WHERE operation = %s", [operation.id])
        with self.assertRaisesRegex(AccessError, "may no longer change"), self.request():
            operation.action_redo()
        self.assertEqual(self.partner.phone, "1")
        self.assertTrue(operation.with_user(self.env.ref("base.user_admin")).action_redo()["done"])

    def test_an_agent_takes_back_what_it_has_given_away(self):
        self.partner.user_id = self.agent
        self.close("[('user_id', '=', user.id)]")
        with self.request() as env:
            self.partner.with_env(env).user_id = self.bystander
        operation = self.operation.with_user(self.agent)
        self.assertFalse(self.partner.with_user(self.agent).has_access("write"))
        self.assertIsNone(operation.preview_undo()["refused"])
        self.assertEqual(self.partner.user_id, self.bystander)
        with self.request():
            self.assertTrue(operation.action_undo()["done"])
        self.assertEqual(self.partner.user_id, self.agent)
        with self.request():  # and gives it away again: it is open to it before
            self.assertTrue(operation.action_redo()["done"])
        self.assertEqual(self.partner.user_id, self.bystander)

    def test_only_the_records_chosen_have_to_be_open_to_an_agent(self):
        other = self.partner.copy({"phone": "1"})
        with self.request() as env:
            (self.partner + other).with_env(env).phone = "2"
        operation = self.operation.with_user(self.agent)
        self.close(f"[('id', '!=', {other.id})]")
        own, others = ([{"model": "res.partner", "id": one.id}] for one in (self.partner, other))
        with self.assertRaisesRegex(AccessError, "may no longer change"), self.request():
            operation.action_undo(records=others)
        with self.request():
            self.assertTrue(operation.action_undo(records=own)["done"])
        self.assertEqual((self.partner.phone, other.phone), ("1", "2"))

    def test_what_is_left_alone_may_be_closed_to_an_agent(self):
        other = self.partner.copy({"phone": "1"})
        with self.request() as env:
            (self.partner + other).with_env(env).phone = "2"
        operation = self.operation.with_user(self.agent)
        other.phone = "3"
        self.close(f"[('id', '!=', {other.id})]")
        self.assertIsNone(operation.preview_undo(on_conflict="skip")["refused"])
        with self.request():
            self.assertTrue(operation.action_undo(on_conflict="skip")["done"])
        self.assertEqual((self.partner.phone, other.phone), ("1", "3"))

    def test_all_records_are_looked_at(self):
        everybody = self.partner.browse().union(*(self.partner.copy() for _one in range(5)))
        with self.request() as env:
            everybody.with_env(env).phone = "2"
        self.close(f"[('id', '!=', {everybody[-1].id})]")
        with patch.object(rights, "PAGE", 2), self.assertRaisesRegex(AccessError, "may no longer change"):
            self.operation.with_user(self.agent).preview_undo()

    def test_what_is_undone_already_is_not_asked_for(self):
        first, second = self.change_phone(), self.change_phone("3")
        with self.request():
            self.assertTrue(second.with_user(self.agent).action_undo()["done"])
        both = first + second
        self.env.cr.execute("UPDATE loomworks_ai_operation_log SET model_name = 'ir.rule' WHERE id = %s", [second.id])
        self.env.invalidate_all()
        with self.request():
            self.assertTrue(both.with_user(self.agent).action_undo()["done"])

    def test_keys_are_made_by_who_manages_users(self):
        admin = self.env.ref("base.user_admin")
        action = self.agent.with_user(admin).action_new_agent_key()
        wizard = self.env[action["res_model"]].with_user(admin).create({"agent_id": self.agent.id})
        key = wizard.action_make()["context"]["default_key"]
        found = self.env["res.users.apikeys"]._check_credentials(scope="rpc", key=key)
        self.assertEqual(found, self.agent.id)
        with self.assertRaisesRegex(UserError, "no AI agent"):
            wizard.create({"agent_id": self.bystander.id}).action_make()
        with self.assertRaises(AccessError):
            self.agent.with_user(self.manager).action_new_agent_key()

    def limit_to(self, number):
        self.env.cr.execute(
            "INSERT INTO ir_config_parameter (key, value) VALUES ('loomworks.max_ai_operations_daily', %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [str(number)],
        )

    def test_the_limit_of_a_day(self):
        self.change_phone()
        self.limit_to(1)
        with self.assertRaisesRegex(UserError, "used up"), self.request() as env:
            self.partner.with_env(env).phone = "3"
            env.flush_all()

    def test_what_failed_counts_for_the_limit_if_something_of_it_stays(self):
        failed = self.change_phone()
        self.limit_to(1)
        failed.sudo().write({"state": "failed", "row_changes": 0})
        self.env.flush_all()
        self.change_phone("3").sudo().write({"state": "failed"})  # after a commit of its own
        self.env.flush_all()
        with self.assertRaisesRegex(UserError, "used up"), self.request() as env:
            self.partner.with_env(env).phone = "4"
            env.flush_all()
