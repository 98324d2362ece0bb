"""The provisioning role's work on a real PostgreSQL: roles, templates, clones, and who gets in where."""

import os
import secrets
from contextlib import closing
from urllib.parse import urlsplit

import psycopg2
import pytest
from harness import engines

engines.register()

from addons.loomworks_tenant.errors import (  # noqa: E402  (only importable once registered)
    DatabaseRefused,
    RetryableError,
    SecretUnavailable,
    ServerUnreachable,
    TemplateMissing,
)
from addons.loomworks_tenant.postgres import identity, template  # noqa: E402
from addons.loomworks_tenant.postgres.server import BUILDER_ROLE, TEMPLATE_ROLE, DatabaseServer, Owner  # noqa: E402
from addons.loomworks_tenant.reconciler.spec import ServerSpec  # noqa: E402

PASSWORD_VARIABLE = "LOOMWORKS_TEST_PROVISIONER"
MODULES = ("base", "web")
# As much of Odoo's tables as the check of a template reads.
TABLES = """
    CREATE TABLE ir_module_module (name text, state text);
    INSERT INTO ir_module_module VALUES ('base', 'installed'), ('web', 'installed'), ('crm', 'uninstalled');
    CREATE TABLE ir_attachment (id serial PRIMARY KEY, store_fname text);
    CREATE VIEW installed AS SELECT name FROM ir_module_module WHERE state = 'installed';
"""


def spec_of(url, **changes):
    address = urlsplit(url)
    os.environ[PASSWORD_VARIABLE] = address.password
    values = {"host": address.hostname, "port": address.port, "user": address.username, "sslmode": "disable"}
    return ServerSpec(**{**values, "password_reference": f"env:{PASSWORD_VARIABLE}", **changes})


@pytest.fixture
def server(server_url):
    """The test server, as the provisioning role."""
    return DatabaseServer(spec_of(server_url))


@pytest.fixture
def name(server):
    """A name for databases and roles, which are removed afterwards."""
    name = f"loomworks_test_x{secrets.token_hex(4)}"
    yield name
    for suffix in ("", "_building", "_template", "_two"):
        template.drop(server, name + suffix)
    for suffix in ("", "_two"):
        server.drop_role(name + suffix)


@pytest.fixture
def builder(server):
    """The password of the role that fills templates."""
    password = secrets.token_hex(16)
    template.ensure_roles(server, password)
    return password


@pytest.fixture
def finished(server, builder, name):
    """A finished template of two modules."""
    fill(server, builder, f"{name}_building")
    template.finish(server, f"{name}_building", f"{name}_template")
    return f"{name}_template"


def fill(server, password, database, statements=TABLES):
    """Do what the Job does: log in as the builder and make tables."""
    template.create_empty(server, database)
    with closing(log_in(server, BUILDER_ROLE, password, database)) as connection:
        connection.cursor().execute(statements)
        connection.commit()


def log_in(server, role, password, database):
    options = {"host": server.spec.host, "port": server.spec.port, "sslmode": "disable"}
    return psycopg2.connect(user=role, password=password, dbname=database, **options)


def refused(server, role, password, database):
    with pytest.raises(psycopg2.OperationalError) as caught:
        log_in(server, role, password, database)
    return str(caught.value)


def test_role_logs_in_with_its_password_and_has_no_power(server, name):
    server.ensure_role(name, "first", 3)
    with server.connect() as cr:
        cr.execute(
            "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolconnlimit FROM pg_roles WHERE rolname=%s",
            [name],
        )
        assert tuple(cr.fetchone().values()) == (True, False, False, False, 3)


def test_password_and_limit_of_an_existing_role_are_brought_up_to_date(server, name, finished):
    server.ensure_role(name, "first", 3)
    server.ensure_database(name, finished, name)
    server.ensure_role(name, "second", 1)
    assert "password authentication failed" in refused(server, name, "first", name)
    with closing(log_in(server, name, "second", name)):
        assert "too many connections" in refused(server, name, "second", name)


def test_clone_belongs_to_its_role_whole(server, name, finished):
    server.ensure_role(name, "secret", 3)
    server.ensure_database(name, finished, name)
    assert server.database(name) == {"datname": name, "owner": name, "datallowconn": True, "datistemplate": False}
    assert server.foreign_objects(name, name) == 0
    with closing(log_in(server, name, "secret", name)) as connection:
        connection.cursor().execute("DROP VIEW installed; ALTER TABLE ir_attachment ADD COLUMN mine int")


def test_clone_admits_no_other_tenant(server, name, finished):
    server.ensure_role(name, "secret", 3)
    server.ensure_role(f"{name}_two", "other", 3)
    server.ensure_database(name, finished, name)
    assert "permission denied" in refused(server, f"{name}_two", "other", name)


def test_handing_over_again_changes_nothing(server, name, finished):
    server.ensure_role(name, "secret", 3)
    for _ in range(2):
        server.ensure_database(name, finished, name)
    assert server.foreign_objects(name, name) == 0


def test_clone_that_a_crash_left_closed_is_finished(server, name, finished):
    server.ensure_role(name, "secret", 3)
    with server.connect(autocommit=True) as cr:
        server._clone(cr, name, finished, name)
    assert "not currently accepting connections" in refused(server, name, "secret", name)
    server.ensure_database(name, finished, name)
    log_in(server, name, "secret", name).close()


def test_handing_over_one_clone_leaves_the_template_alone(server, name, finished):
    server.ensure_role(name, "secret", 3)
    server.ensure_role(f"{name}_two", "secret", 3)
    for clone in (name, f"{name}_two"):
        server.ensure_database(clone, finished, clone)
        assert server.foreign_objects(clone, clone) == 0


def test_missing_template_is_said(server, name):
    server.ensure_role(name, "secret", 3)
    with pytest.raises(TemplateMissing, match=r"no_such_template is not on 127\.0\.0\.1"):
        server.ensure_database(name, "no_such_template", name)


def test_finished_template_is_closed_and_marked(server, builder, finished):
    assert server.database(finished) == {
        "datname": finished,
        "owner": server.spec.user,
        "datallowconn": False,
        "datistemplate": True,
    }
    assert "not currently accepting connections" in refused(server, BUILDER_ROLE, builder, finished)


def test_template_under_construction_admits_its_builder_only(server, builder, name):
    template.create_empty(server, f"{name}_building")
    server.ensure_role(name, "secret", 3)
    assert "permission denied" in refused(server, name, "secret", f"{name}_building")
    with closing(log_in(server, BUILDER_ROLE, builder, f"{name}_building")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (TEMPLATE_ROLE,)


def test_template_has_the_extensions_that_need_no_superuser(server, builder, name):
    template.create_empty(server, f"{name}_building")
    with server.connect(f"{name}_building") as cr:
        cr.execute("SELECT extname FROM pg_extension")
        assert set(template.EXTENSIONS) <= {row["extname"] for row in cr.fetchall()}


def test_making_an_empty_template_again_keeps_what_is_there(server, builder, name):
    fill(server, builder, f"{name}_building")
    template.create_empty(server, f"{name}_building")
    template.check(server, f"{name}_building", MODULES)


def test_template_that_lacks_a_module_is_refused(server, builder, name):
    fill(server, builder, f"{name}_building")
    with pytest.raises(DatabaseRefused, match="lacks modules: crm, sale"):
        template.check(server, f"{name}_building", (*MODULES, "crm", "sale"))


def test_template_with_files_outside_the_database_is_refused(server, builder, name):
    fill(server, builder, f"{name}_building", TABLES + "INSERT INTO ir_attachment (store_fname) VALUES ('ab/abcd');")
    with pytest.raises(DatabaseRefused, match=r"1 attachment\(s\) outside the database"):
        template.check(server, f"{name}_building", MODULES)


def test_old_templates_of_a_plan_are_found_and_dropped(server, name):
    plan = name.removeprefix("loomworks_test_")
    names = [f"loomworks_template_{plan}_{digest}" for digest in ("aaa", "bbb")]
    for database in names:
        template.create_empty(server, database)
    assert template.others(server, plan, [names[1]]) == [names[0]]
    for database in names:
        template.drop(server, database)
        template.drop(server, database)  # one that is gone is fine
    assert template.others(server, plan, []) == []


def test_closing_a_database_ends_who_is_connected(server, name, finished):
    server.ensure_role(name, "secret", 3)
    server.ensure_database(name, finished, name)
    with closing(log_in(server, name, "secret", name)) as connection:
        server.close_database(name)
        with pytest.raises(psycopg2.OperationalError):
            connection.cursor().execute("SELECT 1")
    assert "not currently accepting connections" in refused(server, name, "secret", name)
    server.open_database(name)
    log_in(server, name, "secret", name).close()


def test_closing_and_dropping_what_is_not_there_is_fine(server, name):
    server.close_database(name)
    server.drop_database(name)
    server.drop_role(name)
    assert server.database(name) is None


def test_facts_tell_version_checksums_and_room(server):
    facts = server.facts()
    assert facts["version"].startswith("17.")
    assert facts["data_checksums"] is True
    assert facts["max_connections"] == 200
    assert facts["size_bytes"] > 0


def test_failed_statement_is_rolled_back(server, name):
    with pytest.raises(DatabaseRefused), server.connect() as cr:
        cr.execute(f"CREATE ROLE {name}; SELECT * FROM no_such_table")
    with server.connect() as cr:
        cr.execute("SELECT FROM pg_roles WHERE rolname = %s", [name])
        assert not cr.rowcount


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"port": 1}, ServerUnreachable, "cannot be reached"),
        ({"host": "no-such-host.invalid"}, ServerUnreachable, "cannot be reached"),
        ({"user": "nobody_of_this_name"}, ServerUnreachable, "password"),
        ({"sslmode": "require"}, ServerUnreachable, "SSL"),
        ({"maintenance_database": "no_such_database"}, DatabaseRefused, "does not exist"),
        ({"password_reference": "env:LOOMWORKS_NOT_SET"}, SecretUnavailable, "empty or not there"),
    ],
)
def test_unusable_server_is_said_for_what_it_is(server_url, changes, error, message):
    with pytest.raises(error, match=message):
        DatabaseServer(spec_of(server_url, **changes)).facts()


def test_no_free_connection_is_tried_again_later(server_url, server, name, finished):
    server.ensure_role(name, "secret", 1)
    server.ensure_database(name, finished, name)
    os.environ["LOOMWORKS_TEST_TENANT"] = "secret"
    full = spec_of(server_url, user=name, password_reference="env:LOOMWORKS_TEST_TENANT", maintenance_database=name)
    with DatabaseServer(full).connect(), pytest.raises(RetryableError, match="no free connection"):
        DatabaseServer(full).facts()


def test_row_locked_by_somebody_else_is_tried_again_soon(server, name):
    server.ensure_role(name, "secret", 3)
    with pytest.raises(RetryableError, match="busy with the same object") as caught, server.connect() as cr:
        cr.execute(f"CREATE ROLE {name}")
    assert caught.value.retry_after == 1


def test_server_that_breaks_off_is_unreachable(server):
    with pytest.raises(ServerUnreachable, match="broke off"), server.connect() as cr:
        cr.execute("SELECT pg_terminate_backend(pg_backend_pid())")


# What the owner of a database may leave in it for whoever comes: code behind a table, and another search path.
AMBUSH = """
    CREATE TABLE ir_config_parameter (
        key text UNIQUE, value text, create_uid int, create_date timestamp, write_uid int, write_date timestamp
    );
    CREATE TABLE met (who text);
    CREATE FUNCTION ambush() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO met VALUES (session_user); RETURN NEW; END $$;
    CREATE TRIGGER ambush BEFORE INSERT ON ir_config_parameter FOR EACH ROW EXECUTE FUNCTION ambush();
    CREATE FUNCTION pg_get_userbyid(oid) RETURNS name LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO met VALUES (session_user); RETURN 'anybody'; END $$;
"""


def test_what_a_tenant_leaves_in_its_database_never_runs_as_the_provisioning_role(server, finished, name):
    server.ensure_role(name, "its own", 5)
    server.ensure_database(name, finished, name)
    own = Owner(name, "its own")
    with server.connect(name, owner=own) as cr:
        cr.execute(AMBUSH)
        cr.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")

    with server.connect(name, owner=own) as cr:
        identity.set_parameters(cr, {"loomworks.plan": "basic"})
    assert server.foreign_objects(name, name) == 0
    server.ensure_database(name, finished, name)
    with server.connect(name) as cr:
        cr.execute("SHOW search_path")
        assert cr.fetchone() == {"search_path": "pg_catalog"}
    with server.connect(name, owner=own) as cr:
        cr.execute("SELECT DISTINCT who FROM met")
        assert cr.fetchall() == [{"who": name}]
    assert "its own" not in repr(own)
