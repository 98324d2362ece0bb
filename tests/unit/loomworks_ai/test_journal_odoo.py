"""What the journal knows of Odoo's tables: references without keys, number sequences, files, who wrote last."""

import sys

import pytest
from acting import act, person
from addons.loomworks_ai import journal
from addons.loomworks_ai.journal import rules
from journal_state import state

SCHEMA = """
    CREATE TABLE ir_model (id serial PRIMARY KEY, model varchar, transient bool);
    CREATE TABLE ir_model_fields (id serial PRIMARY KEY, model varchar, name varchar, ttype varchar, relation varchar,
        store bool, company_dependent bool);
    CREATE TABLE res_partner (id serial PRIMARY KEY, name varchar, total numeric, account jsonb, write_uid int,
        write_date timestamp, parent_id int REFERENCES res_partner ON DELETE RESTRICT);
    CREATE TABLE account_account (id serial PRIMARY KEY, name varchar);
    CREATE TABLE account_analytic_account (id serial PRIMARY KEY, name varchar);
    CREATE TABLE line (id serial PRIMARY KEY, analytic_distribution jsonb);
    CREATE TABLE ir_default (id serial PRIMARY KEY, field_id int, json_value varchar);
    CREATE TABLE mail_message (id serial PRIMARY KEY, model varchar, res_id int, body text);
    CREATE TABLE note (id serial PRIMARY KEY, about varchar);
    CREATE TABLE ir_actions (id serial PRIMARY KEY, name varchar);
    CREATE TABLE ir_act_window (PRIMARY KEY (id)) INHERITS (ir_actions);
    CREATE TABLE ir_filters (id serial PRIMARY KEY, action_id int);
    CREATE TABLE project (id serial PRIMARY KEY, task_definition jsonb);
    CREATE TABLE task (id serial PRIMARY KEY, properties jsonb);
    CREATE TABLE some_log (id serial PRIMARY KEY, res_model varchar, res_id int);
    CREATE TABLE ir_attachment (id serial PRIMARY KEY, store_fname varchar);
    CREATE TABLE wizard (id serial PRIMARY KEY);
    CREATE TABLE wizard_partner_rel (wizard_id int REFERENCES wizard ON DELETE CASCADE, partner_id int);
    CREATE TABLE ir_sequence (id serial PRIMARY KEY, implementation varchar, number_increment int, number_next int);
    CREATE TABLE ir_sequence_date_range (id serial PRIMARY KEY, number_next int,
        sequence_id int REFERENCES ir_sequence ON DELETE CASCADE);
    INSERT INTO ir_model (model, transient) VALUES ('res.partner', false), ('account.account', false), ('note', false),
        ('mail.message', false), ('ir.actions.act_window', false), ('some.log', false), ('wizard', true),
        ('line', false), ('account.analytic.account', false), ('ir.default', false),
        ('project', false), ('task', false), ('ir.actions.actions', false), ('ir.filters', false);
    INSERT INTO ir_model_fields (model, name, ttype, relation, store, company_dependent) VALUES
        ('mail.message', 'res_id', 'many2one_reference', NULL, true, false),
        ('some.log', 'res_id', 'many2one_reference', NULL, true, false),
        ('note', 'about', 'reference', NULL, true, false),
        ('res.partner', 'account', 'many2one', 'account.account', true, true),
        ('res.partner', 'not_there', 'many2one_reference', NULL, true, false),
        ('line', 'analytic_distribution', 'json', NULL, true, false),
        ('ir.default', 'json_value', 'char', NULL, true, false),
        ('project', 'task_definition', 'properties_definition', NULL, true, false),
        ('task', 'properties', 'properties', NULL, true, false),
        ('ir.filters', 'action_id', 'many2one', 'ir.actions.actions', true, false),
        ('line', 'partner_id', 'many2one', 'res.partner', true, false);
    INSERT INTO project (task_definition) VALUES (NULL), ('null'), ('[
        {"name": "customer", "type": "many2one", "comodel": "res.partner"}, {"name": "color", "type": "integer"},
        {"name": "accounts", "type": "many2many", "comodel": "account.account"}, {"name": "any", "type": "many2one"}]');
    INSERT INTO res_partner (name, total) VALUES ('Ada', 1), ('Bob', 2);
"""


@pytest.fixture
def cr(db):
    with db.cursor() as cr:
        cr.execute(SCHEMA)
        journal.install(cr)
        db.commit()
        yield cr


CREATE_PARTNER = "INSERT INTO res_partner (id, name) VALUES (10, 'New')"
CREATE_ACCOUNT = "INSERT INTO account_account (id, name) VALUES (7, 'Sales')"
CREATE_ANALYTIC = "INSERT INTO account_analytic_account (id, name) VALUES (7, 'North')"
DEFAULT = "INSERT INTO ir_default (field_id, json_value) SELECT id, '{}' FROM ir_model_fields WHERE name = 'partner_id'"
CREATE_ACTION = "INSERT INTO ir_act_window (id, name) VALUES (3, 'w')"
TASK = "INSERT INTO task (id, properties) VALUES (9, '{}')"


@pytest.mark.parametrize(
    ("made", "later", "table", "fate"),
    [
        (CREATE_PARTNER, "INSERT INTO mail_message (model, res_id) VALUES ('res.partner', 10)", "mail_message", "c"),
        (CREATE_PARTNER, "INSERT INTO some_log (res_model, res_id) VALUES ('res.partner', 10)", "some_log", "r"),
        (CREATE_PARTNER, "INSERT INTO note (about) VALUES ('res.partner,10')", "note", "n"),
        (CREATE_ACCOUNT, 'UPDATE res_partner SET account = \'{"1": 7, "2": null}\' WHERE id = 1', "res_partner", "r"),
        (
            CREATE_ANALYTIC,
            "INSERT INTO line (analytic_distribution) VALUES ('{\"5\": 40, \"6,7\": 60}'), ('null'), (NULL)",
            "line",
            "r",
        ),
        (CREATE_PARTNER, DEFAULT.format(10), "ir_default", "c"),
        (CREATE_ACTION, "INSERT INTO ir_filters (action_id) VALUES (3)", "ir_filters", "r"),
        (CREATE_PARTNER, TASK.format('{"color": 1, "customer": 10}'), "task", "r"),
        (CREATE_ACCOUNT, TASK.format('{"customer": 1, "accounts": [5, 7]}'), "task", "r"),
        (
            CREATE_ACTION,
            "INSERT INTO mail_message (model, res_id) VALUES ('ir.actions.act_window', 3)",
            "mail_message",
            "c",
        ),
    ],
)
def test_later_references_without_a_key_are_dependants(cr, made, later, table, fate):
    act(cr, 1, made)
    person(cr, later)
    before = state(cr)
    report = journal.undo(cr, [1], by=2)
    assert not report["done"]
    (conflict,) = report["conflicts"]
    assert conflict["type"] == "depended"
    assert (conflict["detail"]["table"], conflict["detail"]["on_delete"]) == (table, fate)
    assert state(cr) == before


def test_references_to_other_records_do_not_matter(cr):
    act(cr, 1, CREATE_PARTNER, CREATE_ACCOUNT, CREATE_ANALYTIC, CREATE_ACTION)
    person(
        cr,
        "INSERT INTO ir_filters (action_id) VALUES (10), (7), (NULL)",
        "INSERT INTO line (analytic_distribution) VALUES ('{\"5,77\": 100}')",
        DEFAULT.format(100),
        DEFAULT.format(10).replace("partner_id", "not_there"),
        "INSERT INTO mail_message (model, res_id) VALUES ('account.account', 10), ('res.partner', 1), (NULL, 10)",
        "INSERT INTO note (about) VALUES ('res.partner,100'), ('account.account,10')",
        "UPDATE res_partner SET account = '{\"1\": 70}' WHERE id = 1",
        TASK.format('{"customer": 7, "color": 10, "any": 10, "accounts": [10, 70], "not defined": 10}'),
        "INSERT INTO task (properties) VALUES (NULL), ('null'), ('{\"customer\": false, \"accounts\": null}')",
    )
    assert journal.undo(cr, [1], by=2)["done"]


def test_what_was_referred_to_within_the_operation_goes_with_it(cr):
    before = state(cr)
    act(cr, 1, CREATE_PARTNER, "INSERT INTO mail_message (model, res_id) VALUES ('res.partner', 10)")
    assert journal.undo(cr, [1], by=2)["done"]
    assert state(cr) == before


def test_taken_along_when_chosen(cr):
    act(cr, 1, CREATE_PARTNER)
    person(
        cr,
        "INSERT INTO mail_message (model, res_id) VALUES ('res.partner', 10), ('res.partner', 1)",
        "INSERT INTO note (id, about) VALUES (1, 'res.partner,10')",
    )
    report = journal.undo(cr, [1], by=2, on_conflict="ours")
    assert report["done"], report
    cr.execute("SELECT res_id FROM mail_message")
    assert cr.fetchall() == [(1,)]
    cr.execute("SELECT about FROM note")
    assert cr.fetchall() == [(None,)]
    cr.connection.commit()
    assert journal.undo(cr, [2], by=3)["done"]
    cr.execute("SELECT count(*) FROM mail_message")
    assert cr.fetchone() == (2,)


def test_a_restored_reference_to_what_is_gone_is_refused(cr):
    person(cr, "INSERT INTO mail_message (id, model, res_id) VALUES (1, 'res.partner', 2)")
    act(cr, 1, "DELETE FROM mail_message WHERE id = 1")
    person(cr, "DELETE FROM res_partner WHERE id = 2")
    report = journal.undo(cr, [1], by=2)
    assert [one["type"] for one in report["conflicts"]] == ["parent"]
    assert report["conflicts"][0]["detail"] == {"table": "res_partner", "column": "res_id"}


@pytest.mark.parametrize(
    ("there", "changed", "gone"),
    [
        ("mail_message VALUES (9, 'res.partner', 2)", "mail_message SET res_id = 1", "res_partner"),
        ("note VALUES (9, 'res.partner,2')", "note SET about = NULL", "res_partner"),
        ("res_partner (id, account) VALUES (9, '{\"1\": 2}')", "res_partner SET account = NULL", "account_account"),
        (
            "line VALUES (9, '{\"1,2\": 100}')",
            "line SET analytic_distribution = '{\"1\": 1}'",
            "account_analytic_account",
        ),
        ("ir_filters VALUES (9, 2)", "ir_filters SET action_id = NULL", "ir_actions"),
        ("task VALUES (9, '{\"customer\": 2}')", "task SET properties = '{\"customer\": 1}'", "res_partner"),
        ("task VALUES (9, '{\"accounts\": [1, 2]}')", "task SET properties = NULL", "account_account"),
        (
            "ir_default SELECT 9, id, '2' FROM ir_model_fields WHERE name = 'partner_id'",
            "ir_default SET json_value = '1'",
            "res_partner",
        ),
    ],
)
@pytest.mark.parametrize("deleted", [False, True])
def test_no_reference_without_a_key_comes_back_to_what_is_gone(cr, there, changed, gone, deleted):
    person(
        cr,
        "INSERT INTO account_account VALUES (1), (2)",
        "INSERT INTO account_analytic_account VALUES (1), (2)",
        "INSERT INTO ir_act_window VALUES (1), (2)",
        f"INSERT INTO {there}",
    )
    table = there.split()[0]
    act(cr, 1, f"DELETE FROM {table} WHERE id NOT IN (1, 2)" if deleted else f"UPDATE {changed}")
    assert journal.preview(cr, [1])["refused"] is None
    person(cr, f"DELETE FROM {gone} WHERE id = 2")
    before = state(cr)
    report = journal.undo(cr, [1], by=2)
    assert [(one["type"], one["detail"]["table"]) for one in report["conflicts"]] == [("parent", gone)]
    assert state(cr) == before


def test_a_restored_reference_to_what_comes_back_too_is_fine(cr):
    person(cr, "INSERT INTO mail_message (id, model, res_id) VALUES (1, 'res.partner', 2)")
    before = state(cr)
    act(cr, 1, "DELETE FROM mail_message WHERE id = 1", "DELETE FROM res_partner WHERE id = 2")
    assert journal.undo(cr, [1], by=2)["done"]
    assert state(cr) == before


def test_a_restored_reference_to_what_goes_with_the_undo_is_refused(cr):
    act(cr, 1, CREATE_PARTNER)
    person(cr, "INSERT INTO mail_message (id, model, res_id) VALUES (1, 'res.partner', 10)")
    act(cr, 2, "DELETE FROM mail_message WHERE id = 1")
    before = state(cr)
    report = journal.undo(cr, [1, 2], by=3)
    assert [one["type"] for one in report["conflicts"]] == ["parent"]
    assert state(cr) == before


def test_who_wrote_last_is_no_conflict(cr):
    act(cr, 1, "UPDATE res_partner SET name = 'X', write_uid = 5, write_date = '2026-01-01' WHERE id = 1")
    person(cr, "UPDATE res_partner SET total = 9, write_uid = 6, write_date = '2026-02-02' WHERE id = 1")
    report = journal.undo(cr, [1], by=2)
    assert report["done"], report
    assert report["conflicts"] == []
    cr.execute("SELECT name, total, write_uid, write_date::text FROM res_partner WHERE id = 1")
    assert cr.fetchone() == ("Ada", 9, 6, "2026-02-02 00:00:00")


def test_computed_columns_are_named_and_left(cr):
    act(
        cr,
        1,
        "UPDATE res_partner SET name = 'X', total = 5 WHERE id = 1",
        "UPDATE res_partner SET total = 6 WHERE id = 2",
    )
    person(cr, "UPDATE res_partner SET total = 9 WHERE id = 1")
    assert [one["type"] for one in journal.preview(cr, [1])["conflicts"]] == ["changed"]
    report = journal.undo(cr, [1], by=2, computed={"res_partner": {"total"}})
    assert report["done"], report
    assert report["recompute"] == {"res_partner": {"total": [{"id": "1"}]}}
    cr.execute("SELECT name, total FROM res_partner ORDER BY id")
    assert cr.fetchall() == [("Ada", 9), ("Bob", 2)]


def test_a_created_row_whose_computed_columns_changed_goes(cr):
    act(cr, 1, CREATE_PARTNER)
    person(cr, "UPDATE res_partner SET total = 9 WHERE id = 10")
    assert not journal.preview(cr, [1])["rows"].get("nothing")
    assert journal.undo(cr, [1], by=2, computed={"res_partner": {"total"}})["done"]


def test_a_created_row_that_somebody_deleted_is_no_conflict(cr):
    act(cr, 1, CREATE_PARTNER, "UPDATE res_partner SET name = 'X' WHERE id = 1")
    person(cr, "DELETE FROM res_partner WHERE id = 10")
    report = journal.undo(cr, [1], by=2)
    assert report["done"]
    assert report["gone"] == 1
    assert report["rows"] == {"res_partner": {"restored": 1, "inserted": 0, "deleted": 0}}


def test_wizards_and_their_links_are_not_captured(cr):
    told = act(cr, 1, "INSERT INTO wizard DEFAULT VALUES", "INSERT INTO wizard_partner_rel VALUES (1, 1)")
    assert told == {"operation": 1, "entries": 0, "restore_only": None}


# --- number sequences ---


def make_sequence(cr, number=1):
    cr.execute("INSERT INTO ir_sequence VALUES (%s, 'standard', 2, 1)", [number])
    cr.execute(f"CREATE SEQUENCE ir_sequence_{number:03d} INCREMENT BY 2 START WITH 1")


def drop_sequence(cr, operation, *names):
    journal.remember_sequences(cr, operation, names)
    for name in names:
        cr.execute(f"DROP SEQUENCE IF EXISTS {name}")


def test_a_created_sequence_goes_and_comes_back(cr):
    journal.begin(cr, 1)
    make_sequence(cr)
    cr.execute("SELECT nextval('ir_sequence_001'), nextval('ir_sequence_001')")
    assert journal.end(cr)["restore_only"] is None
    cr.connection.commit()
    assert journal.undo(cr, [1], by=2)["done"]
    cr.execute("SELECT to_regclass('ir_sequence_001')")
    assert cr.fetchone() == (None,)
    cr.connection.commit()
    assert journal.undo(cr, [2], by=3)["done"]
    cr.execute("SELECT nextval('ir_sequence_001')")
    assert cr.fetchone() == (5,)


def test_a_deleted_sequence_comes_back_where_it_stood(cr):
    make_sequence(cr)
    cr.execute("INSERT INTO ir_sequence_date_range VALUES (4, 1, 1)")
    cr.execute("CREATE SEQUENCE ir_sequence_001_004 INCREMENT BY 2 START WITH 10")
    cr.execute("SELECT nextval('ir_sequence_001'), nextval('ir_sequence_001')")
    cr.connection.commit()
    journal.begin(cr, 1)
    drop_sequence(cr, 1, "ir_sequence_001", "ir_sequence_001_004", "ir_sequence_009")
    cr.execute("DELETE FROM ir_sequence WHERE id = 1")
    assert journal.end(cr)["restore_only"] is None
    cr.connection.commit()
    assert journal.undo(cr, [1], by=2)["done"]
    cr.execute("SELECT nextval('ir_sequence_001'), nextval('ir_sequence_001_004'), nextval('ir_sequence_001_004')")
    assert cr.fetchone() == (5, 10, 12)
    cr.connection.commit()
    assert journal.undo(cr, [2], by=3)["done"]
    cr.execute("SELECT to_regclass('ir_sequence_001'), to_regclass('ir_sequence_001_004')")
    assert cr.fetchone() == (None, None)


def test_an_undo_follows_the_implementation_and_the_step(cr):
    make_sequence(cr)
    cr.connection.commit()
    journal.begin(cr, 1)
    drop_sequence(cr, 1, "ir_sequence_001")
    cr.execute("UPDATE ir_sequence SET implementation = 'no_gap', number_increment = 5 WHERE id = 1")
    journal.end(cr)
    cr.connection.commit()
    assert journal.undo(cr, [1], by=2)["done"]
    cr.execute("SELECT nextval('ir_sequence_001'), nextval('ir_sequence_001')")
    assert cr.fetchone() == (1, 3)


def numbers_of(cr, *names):
    """Take a number of each of these sequences; None of one that is not there."""
    found = []
    for name in names:
        cr.execute("SELECT nextval(oid) FROM pg_class WHERE relname = %s", [name])
        found.append((cr.fetchone() or [None])[0])
    cr.connection.commit()
    return found


def test_ranges_of_dates_follow_the_implementation_and_the_step(cr):
    make_sequence(cr)
    cr.execute("INSERT INTO ir_sequence_date_range VALUES (4, 1, 1)")
    cr.execute("CREATE SEQUENCE ir_sequence_001_004 INCREMENT BY 2 START WITH 10")
    both = ("ir_sequence_001", "ir_sequence_001_004")
    assert numbers_of(cr, *both) == [1, 10]
    journal.begin(cr, 1)
    drop_sequence(cr, 1, *both)
    cr.execute("UPDATE ir_sequence SET implementation = 'no_gap', number_increment = 5 WHERE id = 1")
    journal.end(cr)
    cr.connection.commit()
    assert journal.undo(cr, [1], by=2)["done"]
    assert numbers_of(cr, *both, *both) == [3, 12, 5, 14]
    assert journal.undo(cr, [2], by=3)["done"]
    assert numbers_of(cr, *both) == [None, None]
    assert journal.undo(cr, [3], by=4)["done"]
    assert numbers_of(cr, *both) == [7, 16]


@pytest.mark.parametrize(("to", "then"), [(1, [9, 11]), (100, [102, 104])])
@pytest.mark.parametrize("row", [True, False])
def test_a_sequence_that_was_set_back_goes_on_where_it_stood(cr, to, then, row):
    make_sequence(cr)
    assert numbers_of(cr, *["ir_sequence_001"] * 4) == [1, 3, 5, 7]
    journal.begin(cr, 1)
    journal.remember_sequences(cr, 1, ["ir_sequence_001"])
    cr.execute(f"ALTER SEQUENCE ir_sequence_001 RESTART WITH {to}")
    if row:  # Odoo writes none where the row has that number already
        cr.execute(f"UPDATE ir_sequence SET number_next = {to + 1} WHERE id = 1")
    journal.end(cr)
    cr.connection.commit()
    assert numbers_of(cr, "ir_sequence_001") == [to]
    assert journal.undo(cr, [1], by=2)["done"]
    assert numbers_of(cr, *["ir_sequence_001"] * 2) == then


def test_a_preview_makes_no_sequence(cr):
    make_sequence(cr)
    cr.connection.commit()
    journal.begin(cr, 1)
    drop_sequence(cr, 1, "ir_sequence_001")
    cr.execute("DELETE FROM ir_sequence")
    journal.end(cr)
    cr.connection.commit()
    assert journal.preview(cr, [1])["refused"] is None
    cr.execute("SELECT to_regclass('ir_sequence_001')")
    assert cr.fetchone() == (None,)


# --- files, effects, reading ---


def test_files_that_an_undo_may_need_are_named(cr):
    person(cr, "INSERT INTO ir_attachment (store_fname) VALUES ('ab/abc'), ('cd/cde'), ('ef/efg')")
    act(cr, 1, "DELETE FROM ir_attachment WHERE id = 1", "UPDATE ir_attachment SET store_fname = 'gh/ghi' WHERE id = 2")
    names = ["ab/abc", "cd/cde", "ef/efg", "gh/ghi"]
    assert journal.named_files(cr, names) == {"ab/abc", "cd/cde", "gh/ghi"}
    assert journal.forgotten_files(cr, "2000_01") == set()
    assert journal.forgotten_files(cr, "2999_01") == {"ab/abc", "cd/cde", "gh/ghi"}
    assert journal.named_files(cr, []) == set()


def test_effects_are_reported(cr):
    act(cr, 1, CREATE_PARTNER)
    journal.add_effect(cr, 1, "mail", {"to": "ada@example.test"})
    (effect,) = journal.preview(cr, [1])["effects"]
    assert (effect["kind"], effect["detail"]) == ("mail", {"to": "ada@example.test"})


def test_what_an_operation_has_made_and_left_is_named_in_that_order(cr):
    cr.execute("CREATE TABLE link (a int, b int, PRIMARY KEY (a, b))")
    journal.install(cr)
    person(cr, "INSERT INTO res_partner (id, name) VALUES (90, 'Old')")
    journal.begin(cr, 1)
    cr.execute("INSERT INTO res_partner (id, name) VALUES (70, 'One'), (60, 'Two'), (80, 'Three'), (50, 'Four')")
    cr.execute("INSERT INTO note (id) VALUES (1)")
    cr.execute("INSERT INTO link VALUES (1, 2)")
    cr.execute("UPDATE res_partner SET name = 'X' WHERE id IN (70, 90)")
    cr.execute("DELETE FROM res_partner WHERE id IN (60, 80, 90)")
    cr.execute("INSERT INTO res_partner (id, name) VALUES (60, 'Two again')")
    journal.end(cr)
    assert journal.created(cr, 1, "res_partner", 10) == [70, 50, 60]
    cr.connection.commit()
    assert journal.created(cr, 1, "res_partner", 2) == [70, 50]
    assert journal.created(cr, 1, "note", 10) == [1]
    assert journal.created(cr, 1, "link", 10) == journal.created(cr, 1, "nothing", 10) == []
    assert journal.created(cr, 2, "res_partner", 10) == []


def test_of_each_table_as_many_changes_are_read(cr):
    act(cr, 1, CREATE_ACCOUNT, "INSERT INTO res_partner (name) SELECT 'P' FROM generate_series(1, 9)", CREATE_ANALYTIC)
    found = [(one["table"], one["rows"]) for one in journal.changes(cr, [1], limit=2)]
    assert found == [("account_account", 1), ("account_analytic_account", 1), ("res_partner", 9), ("res_partner", 9)]


def test_changes_are_read_as_before_and_after(cr):
    act(cr, 1, CREATE_PARTNER, "UPDATE res_partner SET name = 'X' WHERE id = 1", "DELETE FROM res_partner WHERE id = 2")
    found = {one["act"]: one for one in journal.changes(cr, [1])}
    created, changed, deleted = found["created"], found["changed"], found["deleted"]
    assert (created["before"], created["after"]["name"]) == (None, "New")
    assert (changed["key"], changed["before"], changed["after"]) == ({"id": "1"}, {"name": "Ada"}, {"name": "X"})
    assert (deleted["before"]["name"], deleted["after"]) == ("Bob", None)
    assert [one["rows"] for one in journal.changes(cr, [1], limit=1)] == [3]
    assert journal.changes(cr, [1], tables=["note"]) == []
    assert journal.counts(cr, [1, 2]) == {1: 3}
    assert journal.accounted(cr, [1, 2]) == {1: 3}
    assert journal.undo(cr, [1], by=2)["done"]
    assert journal.touched(cr, ["note"]) == {}
    touched = journal.touched(cr, ["res_partner", "note"]).pop("res_partner")
    assert {act: found["ids"] for act, found in touched.items()} == {"deleted": [10], "restored": [1], "inserted": [2]}
    assert (touched["deleted"]["columns"], touched["restored"]["columns"]) == ([], ["name"])
    assert {"id", "name", "total"} <= set(touched["inserted"]["columns"])


def test_changes_made_before_the_capture_are_noticed(cr):
    cr.execute(
        "CREATE FUNCTION sneak() RETURNS int LANGUAGE sql AS $$ UPDATE res_partner SET total = 0 RETURNING id $$"
    )
    cr.connection.commit()
    assert journal.overlooked(cr) == []
    cr.execute("SELECT FROM res_partner FOR UPDATE")
    assert journal.overlooked(cr) == []
    cr.execute("SELECT sneak()")
    assert journal.overlooked(cr) == ["res_partner"]
    journal.mark_restore_only(cr, 1, "sneaked")
    cr.connection.commit()
    assert journal.overlooked(cr) == []
    report = journal.undo(cr, [1], by=2)
    assert "can only be taken back by a restore: sneaked" in report["refused"]


def test_capture_goes_on_after_a_savepoint_that_was_rolled_back(cr):
    cr.execute("SAVEPOINT a")
    journal.begin(cr, 1)
    cr.execute("UPDATE res_partner SET name = 'lost'")
    cr.execute("ROLLBACK TO SAVEPOINT a")
    journal.resume(cr, 1)
    cr.execute("UPDATE res_partner SET name = 'kept' WHERE id = 1")
    told = journal.end(cr, savepoints_rolled_back=True)
    assert told == {"operation": 1, "entries": 1, "restore_only": None}
    cr.connection.commit()
    assert journal.undo(cr, [1], by=2)["done"]


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("res_users", "password totp_secret oauth_access_token"),
        ("ir_mail_server", "smtp_pass smtp_ssl_private_key google_gmail_refresh_token microsoft_outlook_access_token"),
        ("payment_provider", "stripe_secret_key stripe_webhook_secret paypal_client_secret adyen_api_key"),
        ("payment_provider", "asiapay_secure_hash_secret iyzico_key_secret adyen_hmac_key authorize_transaction_key"),
        ("pos_payment_method", "glory_password mp_webhook_secret_key pine_labs_security_token"),
        ("res_company", "l10n_ro_edi_refresh_token sms_twilio_auth_token gelato_webhook_secret"),
        ("account_edi_proxy_client_user", "refresh_token"),
        ("res_company_ldap", "ldap_password"),
        ("iap_account", "account_token"),
        ("mail_ice_server", "credential"),
    ],
)
def test_credentials_of_odoos_modules_are_known_as_such(table, names):
    assert rules.secrets("public", table, names.split()) == tuple(names.split())
    assert rules.secrets("loomworks", table, names.split()) == ()


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("sale_order", "name key token access_token invite_token password_changed_at credential secret"),
        ("res_users_settings", "google_calendar_token google_calendar_sync_token"),
        ("pos_payment_method", "dpopay_bearer_token viva_com_bearer_token"),
        ("res_company", "l10n_in_edi_token"),
    ],
)
def test_what_is_shared_or_renewed_by_odoo_itself_is_no_reason_to_refuse(table, names):
    assert rules.secrets("public", table, names.split()) == ()


USERS = """
    CREATE TABLE res_users (id serial PRIMARY KEY, login varchar, password varchar, totp_secret varchar);
    INSERT INTO res_users (login, password) VALUES ('ada', 'correct horse');
"""


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("UPDATE res_users SET password = 'battery staple'", ["password"]),
        ("UPDATE res_users SET login = 'x', totp_secret = 'battery staple'", ["totp_secret"]),
        ("DELETE FROM res_users", ["password"]),
    ],
)
def test_a_credential_is_not_kept_and_its_undo_is_refused(cr, statement, columns):
    person(cr, USERS)
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, statement)
    after = state(cr)
    report = journal.undo(cr, [1], by=2)
    assert [(one["type"], one["detail"]["columns"]) for one in report["conflicts"]] == [("secret", columns)]
    assert not report["done"]
    assert journal.undo(cr, [1], by=2, on_conflict="skip")["done"]
    assert state(cr) == after
    cr.execute("SELECT count(*) FROM loomworks.entry e WHERE e::text ~ 'horse|staple'")
    assert cr.fetchone() == (0,)


CREDENTIALS = """
    CREATE TABLE res_users_apikeys (id serial PRIMARY KEY, key varchar,
        user_id integer NOT NULL REFERENCES res_users ON DELETE CASCADE);
    CREATE TABLE bus_presence (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES res_users ON DELETE CASCADE);
"""
MADE = "INSERT INTO res_users (id, login) VALUES (9, 'bob')"


@pytest.fixture
def users(cr):
    """Users whose keys have a table of their own."""
    person(cr, USERS, CREDENTIALS)
    journal.install(cr)
    cr.connection.commit()
    return cr


def test_a_user_who_was_made_and_has_a_password_since_is_not_deleted_unasked(users):
    act(users, 1, MADE)
    person(users, "UPDATE res_users SET password = 'battery staple' WHERE id = 9")
    before = state(users)
    report = journal.undo(users, [1], by=2)
    told = [(one["type"], one["columns"], one["detail"]) for one in report["conflicts"]]
    assert told == [("changed", ["password"], None)]
    assert journal.undo(users, [1], by=2, on_conflict="theirs")["done"]
    assert state(users) == before
    assert journal.undo(users, [1], by=3, on_conflict="ours")["done"]
    assert "bob" not in str(state(users)["public.res_users"])


def test_a_user_who_was_made_and_has_a_key_since_is_not_deleted(users):
    act(users, 1, MADE)
    person(users, "INSERT INTO bus_presence (user_id) VALUES (9)")
    assert journal.preview(users, [1])["refused"] is None
    person(users, "INSERT INTO res_users_apikeys (user_id, key) VALUES (9, 'k')")
    before = state(users)
    for choice in ("refuse", "ours"):
        report = journal.undo(users, [1], by=2, on_conflict=choice)
        assert not report["done"]
        assert [(one["type"], one["choices"]) for one in report["conflicts"]] == [("depended", ["skip"])]
        assert report["conflicts"][0]["detail"]["table"] == "res_users_apikeys"
    assert state(users) == before
    assert journal.undo(users, [1], by=2, on_conflict="skip")["done"]
    assert state(users) == before


def test_what_is_taken_along_takes_its_credentials_along(users):
    person(users, "ALTER TABLE res_users ADD partner_id integer REFERENCES res_partner ON DELETE CASCADE")
    journal.install(users)
    users.connection.commit()
    act(users, 1, CREATE_PARTNER)
    person(users, "INSERT INTO res_users (login, password, partner_id) VALUES ('bob', 'battery staple', 10)")
    assert not journal.undo(users, [1], by=2)["done"]
    assert journal.undo(users, [1], by=2, on_conflict="ours")["done"]
    assert "bob" not in str(state(users)["public.res_users"])


def test_a_user_who_was_made_goes_and_does_not_come_back_without_a_password(cr):
    person(cr, USERS)
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 1, "INSERT INTO res_users (login, password) VALUES ('bob', 'battery staple')")
    assert journal.undo(cr, [1], by=2)["done"]
    assert state(cr) == before
    cr.connection.commit()
    report = journal.undo(cr, [2], by=3)
    assert [one["type"] for one in report["conflicts"]] == ["secret"]
    assert state(cr) == before
    cr.execute("SELECT count(*) FROM loomworks.entry e WHERE e::text ~ 'horse|staple'")
    assert cr.fetchone() == (0,)


PARAMETERS = """
    CREATE TABLE ir_config_parameter (id serial PRIMARY KEY, key varchar UNIQUE NOT NULL, value text NOT NULL, by int);
    INSERT INTO ir_config_parameter (key, value) VALUES ('database.secret', 'horse'), ('web.base.url', 'http://a');
"""


@pytest.mark.parametrize(
    ("statements", "types"),
    [
        (["INSERT INTO ir_config_parameter (key, value) VALUES ('mail.web_push_vapid_private_key', 'staple')"], set()),
        (["UPDATE ir_config_parameter SET value = 'staple', by = 2 WHERE key = 'database.secret'"], {"secret"}),
        (["DELETE FROM ir_config_parameter WHERE key = 'database.secret'"], {"secret"}),
        (["UPDATE ir_config_parameter SET value = 'http://b' WHERE key = 'web.base.url'"], set()),
        (["DELETE FROM ir_config_parameter WHERE key = 'web.base.url'"], set()),
        (["UPDATE ir_config_parameter SET by = 2"], set()),
    ],
)
def test_parameters_that_are_keys_are_not_kept(cr, statements, types):
    person(cr, PARAMETERS)
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 1, *statements)
    report = journal.undo(cr, [1], by=2)
    assert {one["type"] for one in report["conflicts"]} == types
    if not types:
        assert report["done"], report
        assert state(cr) == before
    cr.execute("SELECT count(*) FROM loomworks.entry e WHERE e::text ~ 'horse|staple'")
    assert cr.fetchone() == (0,)


RENAMED = "UPDATE ir_config_parameter SET key = '{}', value = '{}' WHERE key = '{}'"


@pytest.mark.parametrize(
    "statements",
    [
        [RENAMED.format("plain.name", "x", "database.secret")],
        [RENAMED.format("some.api_key", "staple", "web.base.url")],
        ["UPDATE ir_config_parameter SET id = 77, key = 'plain.name', value = 'x' WHERE key = 'database.secret'"],
        ["UPDATE ir_config_parameter SET id = 77, key = 'some.api_key', value = 'staple' WHERE key = 'web.base.url'"],
    ],
)
def test_a_parameter_that_is_renamed_is_a_key_before_or_after(cr, statements):
    person(cr, PARAMETERS)
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, *statements)
    cr.execute("SELECT count(*), count(*) FILTER (WHERE e::text ~ 'horse|staple') FROM loomworks.entry e")
    assert cr.fetchone() == (1, 0)
    report = journal.undo(cr, [1], by=2)
    assert "secret" in {one["type"] for one in report["conflicts"]}


def test_a_key_that_is_only_renamed_is_called_as_before(cr):
    person(cr, PARAMETERS)
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 1, "UPDATE ir_config_parameter SET key = 'plain.name' WHERE key = 'database.secret'")
    assert journal.undo(cr, [1], by=2)["done"]
    assert state(cr) == before


@pytest.mark.parametrize(
    "name",
    [
        *("mail.sfu_server_key", "mail.sfu_local_key", "unsplash.access_key", "cloud_storage_google_account_info"),
        *("database.secret", "mail.web_push_vapid_private_key", "cloud_storage_azure_client_secret"),
    ],
)
def test_keys_of_odoos_modules_are_known_as_such(cr, name):
    cr.execute("SELECT %s ~ %s", [name, rules.SECRET_ROWS["ir_config_parameter"].pattern])
    assert cr.fetchone() == (True,)


def test_a_message_that_somebody_has_read_since_is_taken_back(cr):
    columns = "id serial PRIMARY KEY, mail_message_id int REFERENCES mail_message ON DELETE CASCADE"
    person(cr, f"CREATE TABLE mail_notification ({columns}, is_read bool, read_date timestamp)")
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    message = "INSERT INTO mail_message (id, model, res_id) VALUES (5, 'res.partner', 1)"
    act(cr, 1, message, "INSERT INTO mail_notification (mail_message_id, is_read) VALUES (5, false)")
    person(cr, "UPDATE mail_notification SET is_read = true, read_date = '2026-01-01'")
    report = journal.undo(cr, [1], by=2)
    assert report["done"], report["conflicts"]
    assert state(cr) == before


def test_a_parameter_that_is_a_key_and_was_made_does_not_come_back(cr):
    person(cr, PARAMETERS)
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, "INSERT INTO ir_config_parameter (key, value) VALUES ('some.api_key', 'staple'), ('some.other', 'x')")
    assert journal.undo(cr, [1], by=2)["done"]
    report = journal.undo(cr, [2], by=3)
    assert [(one["type"], one["detail"]) for one in report["conflicts"]] == [("secret", {"columns": ["value"]})]
    assert journal.undo(cr, [2], by=3, on_conflict="skip")["done"]
    assert "some.other" in str(state(cr)["public.ir_config_parameter"])


HIDDEN_SINCE = {"ir_config_parameter": rules.SecretRows("key", "[.]token$", ("value",))}
LOCKS = """
    SELECT count(*) FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid' AND mode <> 'AccessShareLock'
"""


def test_another_rule_of_what_is_secret_holds_in_databases_from_before(cr, monkeypatch):
    person(cr, PARAMETERS)
    journal.install(cr)
    cr.connection.commit()
    monkeypatch.setattr(rules, "SECRET_ROWS", HIDDEN_SINCE)
    assert journal.install(cr) == {"made": 0, "dropped": 0, "shape": 1}
    cr.connection.commit()
    act(cr, 1, "INSERT INTO ir_config_parameter (key, value) VALUES ('some.token', 'staple')")
    cr.execute("SELECT count(*), count(*) FILTER (WHERE e::text ~ 'staple') FROM loomworks.entry e")
    assert cr.fetchone() == (1, 0)
    cr.connection.commit()
    assert journal.install(cr) == {"made": 0, "dropped": 0, "shape": 0}
    cr.execute(LOCKS)
    assert cr.fetchone() == (0,)


def test_another_way_of_capturing_holds_in_databases_from_before(cr, monkeypatch):
    installing = sys.modules[journal.install.__wrapped__.__module__]
    monkeypatch.setattr(installing, "BODY", installing.BODY.replace("RETURN NULL", "RETURN OLD"))
    cr.execute("SELECT count(*) FROM loomworks.relation")
    (count,) = cr.fetchone()
    assert journal.install(cr) == {"made": 0, "dropped": 0, "shape": count}
    assert journal.install(cr) == {"made": 0, "dropped": 0, "shape": 0}


TENANTS = """
    CREATE TABLE loomworks_tenant (id serial PRIMARY KEY, name varchar, state varchar NOT NULL, erased_at timestamp);
    INSERT INTO loomworks_tenant (name, state) VALUES ('Acme', 'active');
"""
ARCHIVED = "UPDATE loomworks_tenant SET state = 'archived'"
ERASED = "UPDATE loomworks_tenant SET erased_at = '2026-01-01', state = 'archived'"
CREATED = "INSERT INTO loomworks_tenant (id, name, state) VALUES (9, 'New', 'draft')"
PROVISIONED = "UPDATE loomworks_tenant SET state = 'active' WHERE id = 9"


@pytest.mark.parametrize(
    ("statements", "since", "outcome"),
    [
        ([ARCHIVED], [ERASED], rules.ERASED),
        ([CREATED, PROVISIONED], [], rules.REMAINS),
        ([CREATED], [], "done"),
        ([CREATED, PROVISIONED], [ERASED + " WHERE id = 9"], "changed"),
        (["DELETE FROM loomworks_tenant"], [], "done"),
        ([ARCHIVED], [], "done"),
    ],
)
def test_of_a_tenant_nothing_is_left_behind_and_nothing_comes_back_that_is_gone(cr, statements, since, outcome):
    person(cr, TENANTS)
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, *statements)
    person(cr, *since)
    before = state(cr)
    report = journal.undo(cr, [1], by=2)
    if outcome in (rules.ERASED, rules.REMAINS):
        assert ("protected", {"reason": outcome}) in [(one["type"], one["detail"]) for one in report["conflicts"]]
        assert not journal.undo(cr, [1], by=2, on_conflict="ours")["done"]
        assert state(cr) == before
    elif outcome == "done":
        assert report["done"], report["conflicts"]
    else:
        assert not report["done"]
        assert {one["type"] for one in report["conflicts"]} == {outcome}


@pytest.mark.parametrize("model", rules.OUTSIDE)
def test_what_stands_for_data_elsewhere_is_not_taken_out_of_the_list(cr, model):
    """A snapshot, say: the repository keeps what rows ask it to keep."""
    person(cr, f"CREATE TABLE loomworks_{model} (id serial PRIMARY KEY, state varchar)")
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, f"INSERT INTO loomworks_{model} (state) VALUES ('creating')")
    person(cr, f"UPDATE loomworks_{model} SET state = 'ready'")
    before = state(cr)
    for choice in ("refuse", "ours"):
        report = journal.undo(cr, [1], by=2, on_conflict=choice)
        assert not report["done"]
        assert {"reason": rules.STANDS} in [one["detail"] for one in report["conflicts"]]
        assert state(cr) == before
    act(cr, 3, f"DELETE FROM loomworks_{model}")
    assert journal.undo(cr, [3], by=4)["done"]
    assert state(cr) == before


LINK = "INSERT INTO tagged (partner_id, tag_id, note) VALUES (1, 1, 'x')"


@pytest.mark.parametrize(("again", "back"), [(LINK, 1), (LINK.replace("'x'", "'y'"), None)])
def test_a_link_that_somebody_has_made_again_is_back_already(cr, again, back):
    person(
        cr,
        "CREATE TABLE tagged (partner_id int REFERENCES res_partner, tag_id int, note text)",
        "ALTER TABLE tagged ADD PRIMARY KEY (partner_id, tag_id)",
        LINK,
    )
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, "DELETE FROM tagged", "UPDATE res_partner SET name = 'X' WHERE id = 1")
    person(cr, again)
    report = journal.undo(cr, [1], by=2)
    if back:
        assert (report["done"], report["back"], report["conflicts"]) == (True, 1, [])
        assert journal.undo(cr, [2], by=3)["done"]
        assert "x" in str(state(cr)["public.tagged"])
    else:
        assert [one["type"] for one in report["conflicts"]] == ["key_taken"]
