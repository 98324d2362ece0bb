"""A key for an agent, shown once."""

from datetime import timedelta

from odoo import fields, models
from odoo.exceptions import UserError


class AgentKey(models.TransientModel):
    """What a new key is called and how long it is good for. The key itself is in no row of this."""

    _name = "loomworks.ai.agent.key"
    _description = "New key of an AI agent"

    agent_id = fields.Many2one("res.users", required=True)
    name = fields.Char(required=True, default=lambda self: self.env._("AI agent"))
    days = fields.Selection(
        [("1", "A day"), ("7", "A week"), ("30", "A month"), ("90", "Three months")],
        "Good for",
        required=True,
        default="90",
    )

    def action_make(self):
        """Make the key and show it, once."""
        self.ensure_one()
        self.env.user._check_may_make_agent_key()
        agent = self.agent_id
        if not agent._is_ai_agent():
            raise UserError(self.env._("“%s” is no AI agent: only the user makes their own keys.", agent.name))
        expires = fields.Datetime.now() + timedelta(days=int(self.days))
        key = self.env["res.users.apikeys"].with_user(agent).sudo()._generate("rpc", self.name, expires)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("API Key Ready"),
            "res_model": "res.users.apikeys.show",
            "views": [(False, "form")],
            "target": "new",
            "context": {"default_key": key},
        }
