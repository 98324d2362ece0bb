"""An agent administers nothing."""

from odoo import api, models
from odoo.exceptions import ValidationError

# Whose members write expressions into templates, which are evaluated with the whole of Odoo at hand.
RUNNING_CODE = frozenset({"mail.group_mail_template_editor"})
# Whose members write views of websites, which are evaluated with the whole of Odoo at hand, too. No setting puts
# ordinary users into them.
WRITING_VIEWS = ("website.group_website_designer",)


class ResGroups(models.Model):
    """Groups, of which agents cannot have every one."""

    _inherit = "res.groups"

    @api.model
    def _closed_to_agents(self):
        """Return the groups whose members could give themselves any other, or run code."""
        groups = self.env.ref("base.group_erp_manager") | self.env.ref("base.group_system")
        for name in WRITING_VIEWS:
            groups |= self.env.ref(name, raise_if_not_found=False) or self.browse()
        return groups

    @api.model
    def _running_code(self):
        """Return the names of groups that count for nothing with an agent, as whoever is in them runs code.

        A setting of Odoo puts all internal users into them, so an agent cannot be kept out.
        """
        return RUNNING_CODE

    @api.constrains("implied_ids", "implied_by_ids", "user_ids")
    def _check_agents_administer_nothing(self):
        agents = self.env.ref("loomworks_ai.group_agent", raise_if_not_found=False)
        if agents:
            self.env.registry.clear_cache("groups")
            users = self.env["res.users"].with_context(active_test=False).sudo()
            users.search([("all_group_ids", "in", agents.ids)])._check_agent_administers_nothing()

    @api.model
    def _check_agent_users(self, users):
        """Refuse users who would be agents and administrators."""
        agents = self.env.ref("loomworks_ai.group_agent", raise_if_not_found=False)
        for user in users.sudo():
            both = agents and agents in user.all_group_ids and user.all_group_ids & self._closed_to_agents()
            if both:
                raise ValidationError(
                    self.env._(
                        "%(user)s is an AI agent, and agents have no part in “%(groups)s”: they could change their own "
                        "rights there, or run code. Give the agent the groups of its work instead.",
                        user=user.name,
                        groups="”, “".join(both.mapped("full_name")),
                    )
                )
