"""What a restored database has to be before anybody is served from it, asked of a real PostgreSQL."""

import uuid

import pytest
from addons.loomworks_snapshot.restoring import flow
from addons.loomworks_tenant.reconciler.step import Boundaries
from plain_databases import connect, made
from test_restore_flow import restore_spec

ODOO = "CREATE TABLE ir_module_module (id int); CREATE TABLE part (id int PRIMARY KEY); CREATE TABLE whole (part int)"
KEY = "ALTER TABLE whole ADD CONSTRAINT whole_part FOREIGN KEY (part) REFERENCES part"
KEY_NAME = "public.whole.whole_part"
TABLES = {"tables": 3}


class Server:
    """The boundary, on the test database's server."""

    def connect(self, name):
        return connect(name)

    def run(self, name, statements):
        with self.connect(name) as cr:
            cr.execute(statements)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def spec():
    """A restore of a tenant whose new database is there, and empty."""
    number = str(uuid.uuid4())
    spec = restore_spec(uuid=number, database="t_" + number.replace("-", ""))
    with made(spec.database):
        yield spec


def check(spec, server, report=TABLES):
    flow.check(spec, Boundaries(None, server, None), report)


def refused(spec, server, report=TABLES):
    with pytest.raises(flow.RestoreFailed) as caught:
        check(spec, server, report)
    return caught.value


def test_whole_database_of_an_odoo_is_accepted(spec, server):
    server.run(spec.database, f"{ODOO}; {KEY}; CREATE VIEW seen AS SELECT * FROM whole")
    check(spec, server)


def test_database_without_odoos_tables_is_refused(spec, server):
    server.run(spec.database, "CREATE TABLE one (id int)")
    assert refused(spec, server, {"tables": 1}).code == "not_an_odoo"


def test_empty_database_is_refused(spec, server):
    assert refused(spec, server, {"tables": 0}).code == "not_an_odoo"


@pytest.mark.parametrize("restored", [2, 4])
def test_database_with_other_tables_than_were_restored_is_refused(spec, server, restored):
    server.run(spec.database, ODOO)
    error = refused(spec, server, {"tables": restored})
    assert (error.code, error.message) == ("incomplete", f"{restored} tables were restored, and 3 have arrived")


def test_key_that_was_not_checked_is_refused_by_its_name(spec, server):
    server.run(spec.database, f"{ODOO}; {KEY} NOT VALID")
    error = refused(spec, server)
    assert (error.code, error.message) == ("unchecked_keys", f"1 foreign key(s) were not checked: {KEY_NAME}")


def test_key_that_was_not_valid_at_the_moment_either_is_accepted(spec, server):
    server.run(spec.database, f"{ODOO}; {KEY} NOT VALID")
    check(spec, server, TABLES | {"unchecked_keys": [KEY_NAME]})


def test_another_key_that_was_not_checked_is_refused(spec, server):
    other = "ALTER TABLE whole ADD CONSTRAINT other FOREIGN KEY (part) REFERENCES part NOT VALID"
    server.run(spec.database, f"{ODOO}; {KEY} NOT VALID; {other}")
    error = refused(spec, server, TABLES | {"unchecked_keys": [KEY_NAME]})
    assert error.message == "1 foreign key(s) were not checked: public.whole.other"
