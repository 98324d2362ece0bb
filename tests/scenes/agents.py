"""People and agents at work in a real Odoo database: every transaction is committed, as a server's are."""

from contextlib import contextmanager
from types import SimpleNamespace

from whole_state import whole_state


class Office:
    """A database with a company whose books are set up."""

    def __init__(self, database):
        self.database = database
        with self.person() as env:
            self.agent_id = self._hire_agent(env)
            self._set_up_books(env)

    @contextmanager
    def cursor(self):
        """A cursor of its own, committed at the end of the block."""
        from odoo.modules.registry import Registry

        with Registry(self.database).cursor() as cr:
            yield cr

    @contextmanager
    def person(self):
        """The administrator's environment."""
        from odoo import api

        with self.cursor() as cr:
            env = api.Environment(cr, 1, {})
            yield env(user=env.ref("base.user_admin").id, context={"tracking_disable": False})

    def state(self):
        """A checksum of every table that a journal is about."""
        with self.cursor() as cr:
            return whole_state(cr)

    def _hire_agent(self, env):
        groups = """
            base.group_partner_manager sales_team.group_sale_manager stock.group_stock_manager
            account.group_account_manager purchase.group_purchase_manager project.group_project_manager
            hr.group_hr_manager
            product.group_product_manager loomworks_ai.group_agent
        """.split()
        address = "robin@example.test"
        values = {"name": "Robin", "login": address, "email": address}
        return env["res.users"].create({**values, "group_ids": [(6, 0, [env.ref(one).id for one in groups])]}).id

    def _set_up_books(self, env):
        company = env.company
        if not company.chart_template:
            env["account.chart.template"].try_loading("generic_coa", company, install_demo=False)


class Agent:
    """An agent whose requests are operations."""

    def __init__(self, office):
        self.office = office
        self.last = None

    def environment(self, cr, **context):
        """The agent's environment."""
        from odoo import api

        return api.Environment(cr, self.office.agent_id, context)

    def operation(self, cr, session=""):
        """A new operation of the agent."""
        from odoo.addons.loomworks_ai.models import requests
        from odoo.addons.loomworks_ai.recording import Call, Operation

        agent = self.office.agent_id
        call = Call(user_id=agent, agent_id=agent, session=session, tool="test")
        return Operation(cr.dbname, call, requests.log_of(self.environment(cr)))

    @contextmanager
    def request(self, session="", **context):
        """One request of the agent: its environment; committed and listed at the end."""
        from odoo.addons.loomworks_ai.recording import cursors

        with self.office.cursor() as cr:
            operation = self.operation(cr, session)
            with cursors.within(operation):
                yield self.environment(cr, **context)
                operation.answered = True
                cr.commit()
            operation.finish()
            self.last = operation.number

    def serve(self, work):
        """Have a request of the agent served in the order in which Odoo's HTTP server does it."""
        from odoo.addons.loomworks_ai.models import requests
        from odoo.addons.loomworks_ai.recording import cursors
        from odoo.service.model import retrying

        with self.office.cursor() as cr, cursors.within(self.operation(cr)) as operation:
            request = SimpleNamespace(env=self.environment(cr), loomworks_operation=operation)
            retrying(lambda: (work(request.env), requests.answered(request)), request.env)
            self.last = operation.number

    def undo(self, *numbers, kind="undo", **choices):
        """Take operations back as the administrator; return the report."""
        with self.office.person() as env:
            logs = env["loomworks.ai.operation.log"].browse(numbers or [self.last])
            return getattr(logs, f"action_{kind}")(**choices)

    def preview(self, *numbers, **choices):
        """Return what an undo would do."""
        with self.office.person() as env:
            return env["loomworks.ai.operation.log"].browse(numbers or [self.last]).preview_undo(**choices)

    def state_of(self, number=None):
        """Return the state of an operation in the log."""
        with self.office.person() as env:
            return env["loomworks.ai.operation.log"].browse(number or self.last).state
