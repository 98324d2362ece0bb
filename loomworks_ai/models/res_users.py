"""Users who are AI agents."""

from odoo import api, fields, models
from odoo.exceptions import AccessError


class ResUsers(models.Model):
    """Users, of whom some are AI agents: what they do is recorded and can be taken back."""

    _inherit = "res.users"

    is_ai_agent = fields.Boolean("AI agent", compute="_compute_is_ai_agent", search="_search_is_ai_agent")
    ai_operation_count = fields.Integer("Operations", compute="_compute_ai_operation_count")

    @api.depends("group_ids")
    def _compute_is_ai_agent(self):
        group = self.env.ref("loomworks_ai.group_agent")
        for user in self:
            user.is_ai_agent = group in user.sudo().all_group_ids

    def _search_is_ai_agent(self, operator, value):
        group = self.env.ref("loomworks_ai.group_agent")
        return [("all_group_ids", operator, group.ids)]

    def _compute_ai_operation_count(self):
        groups = (
            self.env["loomworks.ai.operation.log"]
            .sudo()
            ._read_group([("agent_id", "in", self.ids)], ["agent_id"], ["__count"])
        )
        counts = {agent.id: count for agent, count in groups}
        for user in self:
            user.ai_operation_count = counts.get(user.id, 0)

    @api.constrains("group_ids")
    def _check_agent_administers_nothing(self):
        self.env["res.groups"]._check_agent_users(self)

    def _is_ai_agent(self):
        """Tell whether this user is an agent; cheap, as each request asks."""
        self.ensure_one()
        return bool(self.id) and self.has_group("loomworks_ai.group_agent")

    def _has_group(self, group_ext_id):
        """Leave out groups whose members run code, though every user of the company is in them."""
        if group_ext_id in self.env["res.groups"]._running_code() and self._is_ai_agent():
            return False
        return super()._has_group(group_ext_id)

    def action_ai_operations(self):
        """Show what this agent has done."""
        self.ensure_one()
        action = self.env["ir.actions.actions"]._for_xml_id("loomworks_ai.action_operation_log")
        return {**action, "domain": [("agent_id", "=", self.id)], "context": {}}

    def action_new_agent_key(self):
        """Ask for the name and the lifetime of a new key of this agent."""
        self.ensure_one()
        self._check_may_make_agent_key()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("New API Key"),
            "res_model": "loomworks.ai.agent.key",
            "view_mode": "form",
            "target": "new",
            "context": {"default_agent_id": self.id},
        }

    def _check_may_make_agent_key(self):
        if not self.env.user.has_group("base.group_erp_manager"):
            raise AccessError(self.env._("Only who manages users can make keys for agents."))
