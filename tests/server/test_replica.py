"""An Odoo with a replica: agents read there for nothing and write on the primary; a standby undoes nothing."""

from contextlib import closing

import psycopg2
import pytest
from agent_calls import AgentClient, Refused
from harness import engines
from odoo_server import REPOSITORY, OdooServer
from replicated import Replicated, role_of
from stack.test_database import ADDRESS

engines.register()

from addons.loomworks_ai import journal  # noqa: E402  (only importable once registered)

LOG = "loomworks.ai.operation.log"
MODULES = ("base", "web", "loomworks_client", "loomworks_ai", "says_it_reads")
# Methods that Odoo calls with a cursor on the replica first, and that write.
SAYS_IT_READS = """
from odoo import api, models


class Partner(models.Model):
    _inherit = "res.partner"

    @api.readonly
    def stamp(self):
        self.phone = "stamped"
        return self.phone

    @api.readonly
    def stop_half_way(self):
        self.phone = "half"
        if self.env.cr.readonly:
            return None  # the answer is ready, and what it has changed is written after that
        self.env.cr.commit()
        self.env.cr.execute("SELECT state FROM loomworks_ai_operation_log ORDER BY id DESC LIMIT 1")
        return self.env.cr.fetchone()[0]

    @api.readonly
    def break_after_stamping(self):
        self.phone = "broken"
        self.env.flush_all()
        self.env["res.partner"].browse(-1).name


class Log(models.Model):
    _inherit = "loomworks.ai.operation.log"

    @api.readonly
    def look(self):
        return self.preview_undo()
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """A primary and its standby."""
    servers = Replicated(tmp_path_factory.mktemp("replicated"))
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="module")
def tenant(servers):
    """A tenant's role with its database on the primary."""
    return role_of(servers)


@pytest.fixture(scope="module")
def replicated_odoo(servers, tenant, tmp_path_factory):
    """An Odoo that reads from the standby where it may."""
    folder = tmp_path_factory.mktemp("odoo")
    addon = folder / "addons" / "says_it_reads"
    addon.mkdir(parents=True)
    (addon / "__manifest__.py").write_text(
        '{"name": "Says it reads", "depends": ["loomworks_ai"], "license": "LGPL-3"}'
    )
    (addon / "__init__.py").write_text(SAYS_IT_READS)
    replica = {"db_replica_host": ADDRESS, "db_replica_port": servers.standby_port}
    paths = f"{REPOSITORY},{folder / 'addons'}"
    server = OdooServer(tenant, folder, servers.url, addons_path=paths, **replica)
    server.install(*MODULES)
    servers.wait(tenant)
    server.start()
    server.login("admin", "admin", tenant.name)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def agent(replicated_odoo, servers, tenant):
    """An agent of that Odoo."""
    odoo = replicated_odoo
    names = ("loomworks_ai.group_agent", "base.group_partner_manager")
    ids = [odoo.call("ir.model.data", "check_object_reference", *name.split("."))[1] for name in names]
    uid = odoo.call("res.users", "create", {"name": "Robin", "login": "robin", "group_ids": [[6, 0, ids]]})
    wizard = odoo.call("loomworks.ai.agent.key", "create", {"agent_id": uid, "days": "7"})
    key = odoo.call("loomworks.ai.agent.key", "action_make", [wizard])["context"]["default_key"]
    servers.wait(tenant)
    return AgentClient(odoo.port, tenant.name, uid, key)


@pytest.fixture
def partner(replicated_odoo, servers, tenant):
    """A record that both servers have."""
    number = replicated_odoo.call("res.partner", "create", {"name": "Azure", "phone": "1"})
    servers.wait(tenant)
    return number


@pytest.fixture
def primary(tenant):
    """A cursor on the primary that sees each change as it comes."""
    with closing(tenant.connect()) as connection:
        connection.autocommit = True
        yield connection.cursor()


def recorded(cr):
    """Return all that recording an operation moves: rows of the log, entries, transactions, and numbers taken."""
    cr.execute(
        """
        SELECT (SELECT count(*) FROM loomworks_ai_operation_log), (SELECT count(*) FROM loomworks.entry),
               (SELECT count(*) FROM loomworks.transaction),
               (SELECT last_value FROM loomworks_ai_operation_log_id_seq)
        """
    )
    return cr.fetchone()


def last(cr):
    cr.execute("SELECT id, state, row_changes, method_name FROM loomworks_ai_operation_log ORDER BY id DESC LIMIT 1")
    return cr.fetchone()


def phone(cr, partner):
    cr.execute("SELECT phone FROM res_partner WHERE id = %s", [partner])
    return cr.fetchone()[0]


def test_reading_runs_on_the_replica_and_costs_nothing(replicated_odoo, servers, tenant, agent, partner, primary):
    before = recorded(primary)
    with servers.standing_still(tenant):
        primary.execute("UPDATE res_partner SET phone = 'only on the primary' WHERE id = %s", [partner])
        found = agent("res.partner", "search_read", domain=[["id", "=", partner]], fields=["phone"])
        assert found == [{"id": partner, "phone": "1"}]
        assert agent("res.partner", "read", ids=[partner], fields=["phone"]) == found
        assert agent("res.partner", "search_count", domain=[["phone", "=", "only on the primary"]]) == 0
        with pytest.raises(Refused):
            agent("res.partner", "search_read", domain=[["nothing", "=", 1]])
    assert recorded(primary) == before
    assert agent("res.partner", "read", ids=[partner], fields=["phone"])[0]["phone"] == "only on the primary"


def test_writing_is_recorded_on_the_primary(servers, tenant, agent, partner, primary):
    with servers.standing_still(tenant):
        agent("res.partner", "write", ids=[partner], vals={"phone": "2"})
        number, state, _entries, method = last(primary)
        assert (state, method, phone(primary, partner)) == ("done", "write", "2")
        assert agent(LOG, "search_count", domain=[["id", "=", number]]) == 0  # the replica does not know of it yet
    (values,) = agent(LOG, "read", ids=[number], fields=["values_before", "values_after", "changes_html", "effects"])
    assert values["values_before"]["res.partner"][str(partner)]["phone"] == "1"
    assert values["values_after"]["res.partner"][str(partner)]["phone"] == "2"


def test_a_request_that_begins_on_the_replica_and_writes_is_recorded_once(
    replicated_odoo, servers, tenant, agent, partner, primary
):
    before = recorded(primary)
    assert agent("res.partner", "stamp", ids=[partner]) == "stamped"
    assert "retrying with a read/write cursor" in replicated_odoo.log.read_text()
    number, state, entries, method = last(primary)
    assert (state, method) == ("done", "stamp")
    after = recorded(primary)
    assert (after[0], after[1], after[2], number) == (before[0] + 1, before[1] + entries, before[2] + 1, before[3] + 1)
    told = agent(LOG, "action_undo", ids=[number])
    assert told["done"]
    assert phone(primary, partner) == "1"


def test_one_that_commits_half_way_is_under_way_until_its_end(agent, partner, primary):
    assert agent("res.partner", "stop_half_way", ids=[partner]) == "pending"
    assert last(primary)[1] == "done"


def test_one_that_fails_after_that_leaves_one_failed_row_and_nothing_else(agent, partner, primary):
    before = recorded(primary)
    with pytest.raises(Refused):
        agent("res.partner", "break_after_stamping", ids=[partner])
    after = recorded(primary)
    assert (after[0], after[1], after[2]) == (before[0] + 1, before[1], before[2])
    assert last(primary)[1] == "failed"
    assert phone(primary, partner) == "1"


def test_a_preview_that_begins_on_the_replica_is_made_on_the_primary(
    replicated_odoo, servers, tenant, agent, partner, primary
):
    agent("res.partner", "write", ids=[partner], vals={"phone": "2"})
    number = last(primary)[0]
    before = recorded(primary)
    servers.wait(tenant)
    told = agent(LOG, "look", ids=[number])
    assert (told["refused"], told["rows"]["res_partner"]["restored"]) == (None, 1)
    assert "needs the primary" in replicated_odoo.log.read_text()
    assert recorded(primary)[:3] == before[:3]
    assert phone(primary, partner) == "2"


def test_the_standby_itself_undoes_nothing_and_says_why(servers, tenant, agent, partner, primary):
    agent("res.partner", "write", ids=[partner], vals={"phone": "2"})
    number = last(primary)[0]
    servers.wait(tenant)
    before = recorded(primary)
    with closing(servers.connect_to_standby(tenant)) as standby, standby.cursor() as cr:
        assert journal.changes(cr, [number])
        for attempt in (lambda: journal.preview(cr, [number]), lambda: journal.undo(cr, [number], by=10**6)):
            with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction, match="needs the primary server"):
                attempt()
            cr.execute("SELECT current_setting('loomworks.operation', true)")  # the transaction can go on
            assert not cr.fetchone()[0]
    assert recorded(primary) == before
    assert agent(LOG, "action_undo", ids=[number])["done"]
    assert phone(primary, partner) == "1"
