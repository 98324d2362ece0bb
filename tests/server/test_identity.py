"""Giving a clone of a real Odoo database its own identity."""

from contextlib import closing

import pytest
from harness import engines
from psycopg2.extras import RealDictCursor

engines.register()

from addons.loomworks_tenant.postgres import api_key, identity  # noqa: E402  (only importable once registered)

IDENTITY = identity.Identity("0d3c8a52", "https://acme.example.test", "ada@acme.test", "Ada", api_key.generate())


@pytest.fixture
def cr(odoo, role):
    """A cursor on a tenant's database; what it does is rolled back."""
    with closing(role.connect()) as connection:
        connection.cursor_factory = RealDictCursor
        yield connection.cursor()
        connection.rollback()


def value(cr, statement, *parameters):
    cr.execute(statement, parameters)
    row = cr.fetchone()
    return next(iter(row.values())) if row else None


def parameter(cr, key):
    return value(cr, "SELECT value FROM ir_config_parameter WHERE key = %s", key)


def test_clone_gets_a_secret_uuid_and_address_of_its_own(cr):
    old = parameter(cr, "database.secret")
    assert identity.assign(cr, IDENTITY)
    assert parameter(cr, "database.secret") not in {old, None}
    assert parameter(cr, "database.uuid") == "0d3c8a52"
    assert parameter(cr, "web.base.url") == "https://acme.example.test"
    assert parameter(cr, "web.base.url.freeze") == "True"


def test_second_time_changes_nothing(cr):
    identity.assign(cr, IDENTITY)
    secret = parameter(cr, "database.secret")
    assert not identity.assign(cr, IDENTITY)
    assert parameter(cr, "database.secret") == secret


def test_administrator_is_named_and_has_no_password(cr):
    identity.assign(cr, IDENTITY)
    cr.execute(
        "SELECT u.login, u.password, p.name, p.email FROM res_users u JOIN res_partner p ON p.id = u.partner_id"
        " JOIN ir_model_data d ON d.res_id = u.id AND d.module = 'base' AND d.name = 'user_admin'"
    )
    assert cr.fetchone() == {"login": "ada@acme.test", "password": None, "name": "Ada", "email": "ada@acme.test"}


def test_nobody_keeps_a_password_key_session_or_device(cr):
    cr.execute("INSERT INTO res_users_apikeys (name, user_id, index, key) VALUES ('old', 2, '12345678', 'x')")
    identity.assign(cr, IDENTITY)
    assert value(cr, "SELECT count(*) FROM res_users WHERE password IS NOT NULL") == 0
    assert value(cr, "SELECT count(*) FROM res_users_apikeys WHERE name = 'old'") == 0
    assert value(cr, "SELECT count(*) FROM res_users_log") == 0
    assert value(cr, "SELECT count(*) FROM res_device_log") == 0


def test_only_key_is_the_service_users(cr):
    identity.assign(cr, IDENTITY)
    cr.execute("SELECT u.login, k.scope, k.index FROM res_users_apikeys k JOIN res_users u ON u.id = k.user_id")
    assert cr.fetchall() == [{"login": "loomworks-service", "scope": "rpc", "index": IDENTITY.service_key[:8]}]


def test_attachments_of_the_template_stay_in_rows_and_new_ones_go_to_the_volume(cr):
    identity.set_parameters(cr, {"ir_attachment.location": "db"})
    identity.assign(cr, IDENTITY)
    assert parameter(cr, "ir_attachment.location") is None


def test_crons_of_a_copy_do_not_wait_for_a_restore_of_its_original(cr):
    identity.set_parameters(cr, {"loomworks.crons_wait": "1"})
    identity.assign(cr, IDENTITY)
    assert parameter(cr, "loomworks.crons_wait") is None
    identity.set_parameters(cr, {"loomworks.crons_wait": "1"})
    identity.assign(cr, IDENTITY)
    assert parameter(cr, "loomworks.crons_wait") == "1"  # its own restore


def test_limits_are_written_over_older_ones(cr):
    identity.set_parameters(cr, {"loomworks.max_users": "5"})
    identity.set_parameters(cr, {"loomworks.max_users": "7"})
    assert parameter(cr, "loomworks.max_users") == "7"


def test_database_without_the_client_is_refused(cr):
    cr.execute("DELETE FROM ir_model_data WHERE module = 'loomworks_client' AND name = 'user_service'")
    with pytest.raises(LookupError, match=r"loomworks_client\.user_service"):
        identity.assign(cr, IDENTITY)


COPY = identity.Identity("7f1c0b9e", "https://test.example.test", "ada@acme.test", "Ada", api_key.generate(), True)


def test_copy_keeps_its_users_and_nothing_that_programs_come_in_with(cr):
    identity.assign(cr, IDENTITY)
    secret = parameter(cr, "database.secret")
    cr.execute("UPDATE res_users SET password = 'hash' WHERE login = 'ada@acme.test'")
    cr.execute("INSERT INTO res_users_apikeys (name, user_id, index, key) VALUES ('old', 2, '12345678', 'x')")
    assert identity.assign(cr, COPY)
    assert value(cr, "SELECT password FROM res_users WHERE login = 'ada@acme.test'") == "hash"
    cr.execute("SELECT u.login, k.index FROM res_users_apikeys k JOIN res_users u ON u.id = k.user_id")
    assert cr.fetchall() == [{"login": "loomworks-service", "index": COPY.service_key[:8]}]
    assert parameter(cr, "database.uuid") == parameter(cr, identity.MARK) == "7f1c0b9e"
    assert parameter(cr, "database.secret") not in {secret, None}
    assert value(cr, "SELECT count(*) FROM res_device_log") == 0
