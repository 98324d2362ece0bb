"""An agent, a manager and a bystander, and what the agent does within a test's transaction."""

from contextlib import contextmanager

from odoo.tests import TransactionCase, new_test_user

from ..models import requests
from ..recording import Call, Operation, cursors


class AgentCase(TransactionCase):
    """Operations without commits: the test's transaction holds them all."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        groups = "loomworks_ai.group_agent,base.group_partner_manager"
        cls.agent = new_test_user(cls.env, "robin", groups=groups)
        cls.other_agent = new_test_user(cls.env, "sam", groups=groups)
        cls.manager = new_test_user(cls.env, "mona", groups="loomworks_ai.group_manager,base.group_partner_manager")
        cls.bystander = new_test_user(cls.env, "bill", groups="base.group_user")
        cls.partner = cls.env["res.partner"].create({"name": "Azure", "phone": "1", "email": "a@example.test"})
        cls.env.flush_all()

    @contextmanager
    def request(self, user=None, session=""):
        """What a user does as one operation; yields the environment."""
        user = user or self.agent
        call = Call(
            user_id=user.id, agent_id=user.id, session=session, tool="test", model="res.partner", method="write"
        )
        operation = Operation(self.env.cr.dbname, call, requests.log_of(self.env), answered=True)
        with cursors.within(operation):
            yield self.env(user=user)
            self.env.flush_all()
            operation.committing(self.env.cr._cnx, alone=False)
            operation.committed(self.env.cr._cnx)
        self.env.invalidate_all()
        self.operation = self.env["loomworks.ai.operation.log"].browse(operation.number)

    def change_phone(self, phone="2"):
        """Have the agent change the partner; return the operation as the manager sees it."""
        with self.request() as env:
            self.partner.with_env(env).phone = phone
        return self.operation.with_user(self.manager)
