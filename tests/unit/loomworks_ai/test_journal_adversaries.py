"""What gets in the way of an undo: other sessions, timeouts, changed tables, deep and circular references, size."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import psycopg2.errors
import pytest
from acting import act, back_and_forth, person
from addons.loomworks_ai import journal
from addons.loomworks_ai.journal import capture, constraints
from journal_state import checksum, state

SCHEMA = """
    CREATE TABLE a0 (id serial PRIMARY KEY, name text, b int);
    CREATE TABLE b0 (id serial PRIMARY KEY, a int REFERENCES a0 ON DELETE RESTRICT);
    ALTER TABLE a0 ADD FOREIGN KEY (b) REFERENCES b0 ON DELETE RESTRICT;
    CREATE TABLE l0 (id serial PRIMARY KEY);
    CREATE TABLE l1 (id serial PRIMARY KEY, up int REFERENCES l0 ON DELETE CASCADE);
    CREATE TABLE l2 (id serial PRIMARY KEY, up int REFERENCES l1 ON DELETE CASCADE);
    CREATE TABLE l3 (id serial PRIMARY KEY, up int REFERENCES l2 ON DELETE CASCADE);
    CREATE TABLE l4 (id serial PRIMARY KEY, up int REFERENCES l3 ON DELETE CASCADE);
    CREATE TABLE l5 (id serial PRIMARY KEY, up int REFERENCES l4 ON DELETE CASCADE);
    CREATE TABLE wide (id serial PRIMARY KEY, n int, t text, x text UNIQUE);
    INSERT INTO a0 (name) VALUES ('one'), ('two');
    INSERT INTO b0 (a) VALUES (1), (2);
    UPDATE a0 SET b = id;
"""


@pytest.fixture
def cr(db):
    with db.cursor() as cr:
        cr.execute(SCHEMA)
        for level in range(6):
            cr.execute(f"INSERT INTO l{level} SELECT FROM generate_series(1, 3)")
            if level:
                cr.execute(f"UPDATE l{level} SET up = id")
        journal.install(cr)
        db.commit()
        yield cr


def test_a_cascade_five_deep(cr):
    before = state(cr)
    assert act(cr, 1, "DELETE FROM l0 WHERE id < 3")["entries"] == 12
    assert journal.undo(cr, [1], by=2)["done"]
    assert state(cr) == before


def test_circular_keys_that_restrict(cr):
    before = state(cr)
    act(
        cr,
        1,
        "UPDATE a0 SET b = NULL",
        "DELETE FROM b0",
        "DELETE FROM a0",
        "INSERT INTO a0 (id, name) VALUES (10, 'ten')",
        "INSERT INTO b0 (id, a) VALUES (10, 10)",
        "UPDATE a0 SET b = 10",
    )
    after = state(cr)
    assert journal.undo(cr, [1], by=2)["done"]
    assert state(cr) == before
    cr.connection.commit()
    assert journal.undo(cr, [2], by=3)["done"]
    assert state(cr) == after


def test_dependants_five_deep_go_along_when_told_to(cr):
    before = state(cr)
    act(cr, 1, "INSERT INTO l0 (id) VALUES (50)")
    person(cr, *(f"INSERT INTO l{level} (id, up) VALUES (50, 50)" for level in range(1, 6)))
    assert not journal.preview(cr, [1])["done"]
    report = journal.undo(cr, [1], by=2, on_conflict="ours")
    assert report["done"], report
    assert report["touched"] == 6
    assert state(cr) == before


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ("ALTER TABLE a0 ADD COLUMN extra int NOT NULL DEFAULT 7", None),
        ("ALTER TABLE a0 ALTER name TYPE varchar(5)", None),
        ("ALTER TABLE a0 DROP COLUMN name", "name"),
        ("ALTER TABLE a0 RENAME name TO title", "name"),
        ("ALTER TABLE a0 ALTER b TYPE text USING b::text, DROP CONSTRAINT a0_b_fkey", "b"),
        ("DROP TABLE a0 CASCADE", "*"),
    ],
)
def test_a_table_that_was_changed_between(cr, change, gone):
    act(cr, 1, "UPDATE a0 SET name = name || '!', b = NULL", "DELETE FROM l0 WHERE id = 1")
    person(cr, change)
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    report = journal.undo(cr, [1], by=2)
    assert report["done"] is (gone is None), report
    if gone:
        assert {one["type"] for one in report["conflicts"]} == {"schema"}
        assert {tuple(one["columns"] or "*") for one in report["conflicts"]} == {(gone,)}
        assert state(cr) == before
        assert journal.undo(cr, [1], by=2, on_conflict="theirs")["done"]
    cr.execute("SELECT count(*) FROM l5")
    assert cr.fetchone() == (3,)
    if gone not in ("b", "*"):
        cr.execute("SELECT b FROM a0 ORDER BY id")
        assert cr.fetchall() == [(1,), (2,)]


def test_deleted_rows_come_back_without_a_column_that_is_gone(cr):
    person(cr, "INSERT INTO wide (id, n, t) VALUES (1, 1, 'one')")
    act(cr, 1, "DELETE FROM wide")
    person(cr, "ALTER TABLE wide DROP COLUMN t")
    journal.install(cr)
    cr.connection.commit()
    assert not journal.undo(cr, [1], by=2)["done"]
    assert journal.undo(cr, [1], by=2, on_conflict="theirs")["done"]
    cr.execute("SELECT id, n FROM wide")
    assert cr.fetchall() == [(1, 1)]


def test_another_session_holds_the_row(cr, connect):
    act(cr, 1, "UPDATE a0 SET name = 'X' WHERE id = 1")
    other = connect()
    with other.cursor() as held:
        held.execute("UPDATE a0 SET name = 'Y' WHERE id = 1")
        cr.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            journal.undo(cr, [1], by=2)
        cr.connection.rollback()
        other.commit()
    assert [one["type"] for one in journal.undo(cr, [1], by=2)["conflicts"]] == ["changed"]


def test_a_statement_timeout_leaves_nothing_half_done(cr):
    person(cr, "INSERT INTO wide (n, t, x) SELECT i, 'text', i::text FROM generate_series(1, 20000) i")
    act(cr, 1, "UPDATE wide SET n = n + 1")
    before = checksum(cr, "wide")
    cr.connection.commit()
    cr.execute("SET LOCAL statement_timeout = '20ms'")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        journal.undo(cr, [1], by=2)
    cr.connection.rollback()
    assert checksum(cr, "wide") == before
    assert journal.undo(cr, [1], by=2)["done"]


SLOW = """
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE UPDATE ON a0 FOR EACH ROW EXECUTE FUNCTION slow();
"""
ASLEEP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"


def test_a_backend_killed_in_the_middle_of_the_statement_leaves_nothing_half_done(cr, connect):
    act(cr, 1, "UPDATE a0 SET name = 'X' WHERE id = 1", "DELETE FROM l5", "INSERT INTO wide (n) VALUES (7)")
    before = state(cr)
    person(cr, SLOW)
    with ThreadPoolExecutor() as pool:
        undoing = pool.submit(journal.undo, cr, [1], by=2)
        other = connect()
        other.autocommit = True
        with other.cursor() as killer:
            killer.execute(ASLEEP, [cr.connection.get_backend_pid()])
            while not killer.rowcount:
                assert not undoing.done()
                killer.execute(ASLEEP, [cr.connection.get_backend_pid()])
        with pytest.raises(psycopg2.OperationalError):
            undoing.result()
    again = connect().cursor()
    person(again, "DROP TRIGGER slow ON a0")
    assert state(again) == before
    report = journal.undo(again, [1], by=2)
    assert (report["done"], report["touched"]) == (True, 5)


def test_serialization_fails_and_the_next_try_sees_why(cr, connect):
    act(cr, 1, "UPDATE a0 SET name = 'X' WHERE id = 1")
    cr.connection.set_session(isolation_level="REPEATABLE READ")
    cr.execute("SELECT name FROM a0")  # the snapshot is taken
    other = connect()
    person(other.cursor(), "UPDATE a0 SET name = 'Y' WHERE id = 1")
    with pytest.raises(psycopg2.errors.SerializationFailure):
        journal.undo(cr, [1], by=2)
    cr.connection.rollback()
    assert [one["type"] for one in journal.undo(cr, [1], by=2)["conflicts"]] == ["changed"]


def test_an_undo_while_the_agent_goes_on(cr, connect):
    act(cr, 1, "UPDATE a0 SET name = 'X' WHERE id = 1")
    other = connect()
    going_on = threading.Event()

    def agent():
        with other.cursor() as own:
            for number in range(100, 140):
                act(own, number, f"UPDATE a0 SET name = 'n{number}' WHERE id = 2", "INSERT INTO l0 DEFAULT VALUES")
                going_on.set()

    worker = threading.Thread(target=agent)
    worker.start()
    going_on.wait(10)
    assert journal.undo(cr, [1], by=2)["done"]
    cr.connection.commit()
    worker.join()
    cr.execute("SELECT name FROM a0 ORDER BY id")
    assert cr.fetchall() == [("one",), ("n139",)]
    assert journal.undo(cr, list(range(100, 140)), by=3)["done"]
    cr.execute("SELECT name, (SELECT count(*) FROM l0) FROM a0 ORDER BY id")
    assert cr.fetchall() == [("one", 3), ("two", 3)]


def test_values_that_must_be_unique_are_passed_on(cr):
    person(cr, "INSERT INTO wide (id, n, x) SELECT i, i, i::text FROM generate_series(1, 50) i")
    before = state(cr)
    act(
        cr,
        1,
        "UPDATE wide SET x = 'p' || x",
        "UPDATE wide SET x = (51 - id)::text",
        "DELETE FROM wide WHERE id = 7",
        "INSERT INTO wide (id, x) VALUES (99, '44')",
    )
    assert journal.undo(cr, [1], by=2)["done"]
    assert state(cr) == before


def test_a_hundred_thousand_rows(cr):
    act(cr, 1, "INSERT INTO wide (n, t, x) SELECT i, 'text ' || i, i::text FROM generate_series(1, 100000) i")
    full = checksum(cr, "wide")
    cr.connection.commit()
    act(cr, 2, "UPDATE wide SET n = -n, t = t || '!'", "DELETE FROM wide WHERE id % 3 = 0")
    report = journal.undo(cr, [2], by=3)
    assert report["done"]
    assert report["touched"] == 100_000
    assert checksum(cr, "wide") == full
    cr.connection.commit()
    assert journal.undo(cr, [1], by=4)["done"]
    cr.execute("SELECT count(*) FROM wide")
    assert cr.fetchone() == (0,)


def test_a_session_that_only_reads(cr, connect):
    act(cr, 1, "UPDATE a0 SET name = 'X'")
    reading = connect()
    reading.set_session(readonly=True)
    with reading.cursor() as own:
        journal.begin(own, 5)
        own.execute("SELECT name FROM a0")
        assert journal.end(own) == {"operation": 5, "entries": 0, "restore_only": None}
        assert len(journal.changes(own, [1])) == 2
        reading.rollback()
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            journal.undo(own, [1], by=2)


TRIGGERS = """
    CREATE TABLE doc (id serial PRIMARY KEY, title text, words int, edition int DEFAULT 1, parent int REFERENCES doc);
    CREATE TABLE tally (name text PRIMARY KEY, n int);
    CREATE FUNCTION doc_words() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.words := length(NEW.title); RETURN NEW; END';
    CREATE FUNCTION doc_edition() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.edition := OLD.edition + 1; RETURN NEW; END';
    CREATE FUNCTION doc_kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE FUNCTION doc_tally() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN UPDATE tally SET n = n + 1; RETURN NULL; END';
    INSERT INTO doc (title, words) VALUES ('one', 3), ('three', 5);
    INSERT INTO tally VALUES ('docs', 0);
"""


@pytest.mark.parametrize(
    ("trigger", "refused"),
    [
        ("BEFORE UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION doc_words()", None),
        (
            "BEFORE UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION doc_edition()",
            "doc: 1 of 1 rows would not become what they were",
        ),
        ("BEFORE UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION doc_kept()", "0 of 1 rows would become what they were"),
        ("AFTER UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION doc_tally()", "tally: other rows would be changed as well"),
    ],
)
def test_a_trigger_of_the_table_may_not_change_more_than_is_meant(cr, trigger, refused):
    cr.execute(TRIGGERS)
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 1, "UPDATE doc SET title = 'twelve', words = 6 WHERE id = 1")
    cr.execute(f"CREATE TRIGGER own {trigger}")
    cr.connection.commit()
    after = state(cr)
    report = journal.undo(cr, [1], by=2)
    assert report["done"] is (refused is None), report
    assert state(cr) == (after if refused else before)
    if refused:
        assert refused in report["refused"]
    else:
        cr.connection.commit()
        assert journal.undo(cr, [2], by=3)["done"]
        assert state(cr) == after


def test_what_an_undo_deletes_and_others_referred_to_in_the_meantime_is_counted(cr, connect):
    """A foreign key that deletes rows which nobody saw when conflicts were looked for: the server counts them."""
    act(cr, 1, "INSERT INTO l0 (id) VALUES (60)")
    before = state(cr)
    hidden = constraints.dependants
    constraints.dependants = lambda *_arguments: None
    try:
        person(cr, "INSERT INTO l1 (id, up) VALUES (60, 60)")
        report = journal.undo(cr, [1], by=2)
    finally:
        constraints.dependants = hidden
    assert not report["done"]
    assert "l1: other rows would be changed as well" in report["refused"]
    person(cr, "DELETE FROM l1 WHERE id = 60")
    assert state(cr) == before


def test_what_was_previewed_or_refused_is_not_taken_for_a_change(cr, monkeypatch):
    """Only what was rolled back: a table is searched for rows that went past the journal if the counts differ."""
    searched = []
    search = capture._is_short
    monkeypatch.setattr(capture, "_is_short", lambda *given: searched.append(given[2].label) or search(*given))
    act(cr, 1, "UPDATE a0 SET name = 'X'", "DELETE FROM l5")
    person(cr, "UPDATE a0 SET name = 'Y' WHERE id = 1")
    assert journal.preview(cr, [1])["refused"]
    assert journal.preview(cr, [1], on_conflict="skip")["refused"] is None
    assert journal.overlooked(cr) == []
    journal.begin(cr, 2)
    cr.execute("UPDATE wide SET n = 1")
    assert not journal.undo(cr, [1], by=2)["done"]
    assert journal.undo(cr, [1], by=2, on_conflict="skip")["done"]
    assert journal.end(cr)["restore_only"] is None
    assert searched == []
    cr.connection.commit()
    cr.execute("INSERT INTO wide (n) VALUES (1)")
    assert journal.overlooked(cr) == ["wide"]


def test_a_table_that_was_dropped_long_ago_is_nobodys_tampering(cr):
    before = state(cr)
    act(cr, 1, "DELETE FROM l5", "UPDATE a0 SET name = 'X'")
    person(cr, "DROP TABLE wide")
    journal.install(cr)
    cr.connection.commit()
    assert act(cr, 2, "CREATE TEMPORARY TABLE own (n int)", "DROP TABLE own")["restore_only"] is None
    del before["public.wide"]
    assert journal.undo(cr, [1], by=3)["done"]
    assert state(cr) == before
    cr.connection.commit()
    assert "l4 (dropped)" in act(cr, 4, "DROP TABLE l5", "DROP TABLE l4")["restore_only"]


def test_whoever_drops_a_table_does_not_hide_it_by_installing_the_journal_again(cr):
    journal.begin(cr, 1)
    cr.execute("DROP TABLE wide")
    journal.install(cr)
    assert "wide (dropped)" in journal.end(cr)["restore_only"]


UNIQUE = """
    CREATE TABLE badge (id int PRIMARY KEY, code text UNIQUE, name text);
    INSERT INTO badge VALUES (1, 'A', 'x'), (2, 'B', 'y');
    CREATE TABLE place (id int PRIMARY KEY, a int, b int, UNIQUE (a, b));
    INSERT INTO place VALUES (1, 1, 1), (2, 1, 2);
"""


@pytest.fixture
def unique(cr):
    person(cr, UNIQUE)
    journal.install(cr)
    cr.connection.commit()
    return cr


def test_a_value_that_a_person_took_is_a_conflict_although_the_undo_touches_the_holder(unique):
    act(unique, 1, "UPDATE badge SET code = 'Z' WHERE id = 1", "UPDATE badge SET name = 'n' WHERE id = 2")
    person(unique, "UPDATE badge SET code = 'A' WHERE id = 2")
    after = state(unique)
    report = journal.undo(unique, [1], by=2)
    assert [one["type"] for one in report["conflicts"]] == ["unique"]
    assert state(unique) == after
    assert journal.undo(unique, [1], by=2, on_conflict="skip")["done"]
    unique.execute("SELECT id, code, name FROM badge ORDER BY id")
    assert unique.fetchall() == [(1, "Z", "x"), (2, "A", "y")]


def test_values_are_passed_on_in_any_column_of_a_unique_index(unique):
    before = state(unique)
    act(unique, 1, "UPDATE place SET a = 5 WHERE id = 1", "UPDATE place SET b = 1 WHERE id = 2")
    after = state(unique)
    assert journal.undo(unique, [1], by=2)["done"]
    assert state(unique) == before
    unique.connection.commit()
    assert journal.undo(unique, [2], by=3)["done"]
    assert state(unique) == after


# A unique index over more than plain columns -> what an operation does to rows ``one`` and ``two`` of
# (id, name, active, owner_id, place), of which both or the former has the value that is to be unique.
PASSED_ON = {
    "an expression": (
        "(lower(name))",
        ["UPDATE post SET name = NULL WHERE id = {one}", "UPDATE post SET name = 'A{one}' WHERE id = {two}"],
    ),
    "an expression of NULL": (
        "(COALESCE(place, 0))",
        ["UPDATE post SET place = 30 WHERE id = {one}", "UPDATE post SET place = {one} WHERE id = {two}"],
    ),
    "several expressions": (
        "(lower(name), COALESCE(place, 0))",
        [
            "UPDATE post SET place = 30 WHERE id = {one}",
            "UPDATE post SET place = {one}, name = 'A{one}' WHERE id = {two}",
        ],
    ),
    "a predicate": (
        "(lower(kind)) WHERE active",
        ["UPDATE post SET active = false WHERE id = {one}", "UPDATE post SET active = true WHERE id = {two}"],
    ),
    "a predicate over a key": (
        "(kind) WHERE owner_id IS NULL",
        ["UPDATE post SET owner_id = 9 WHERE id = {one}", "UPDATE post SET owner_id = NULL WHERE id = {two}"],
    ),
    "a key that refers": (
        "(owner_id, kind)",
        ["UPDATE post SET owner_id = 8 WHERE id = {one}", "UPDATE post SET owner_id = 9 WHERE id = {two}"],
    ),
}
POSTS = """
    CREATE TABLE post (id int PRIMARY KEY, name text, kind text, active boolean, owner_id int, place int);
    INSERT INTO post VALUES (9, 'nine', 'other', true, NULL, 90), (8, 'eight', 'same', false, 9, 80);
    INSERT INTO post SELECT id, 'A' || id, 'kind', id = {one}, CASE WHEN id = {two} THEN 9 END, id
        FROM unnest(ARRAY[1, 2]) id;
    ALTER TABLE post ADD FOREIGN KEY (owner_id) REFERENCES post;
    CREATE UNIQUE INDEX post_own ON post {index}
"""


@pytest.mark.parametrize(("one", "two"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("kind", PASSED_ON)
def test_values_are_passed_on_that_are_unique_by(cr, kind, one, two):
    index, statements = PASSED_ON[kind]
    places = {"one": one, "two": two}
    person(cr, POSTS.format(index=index, **places))
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 1, *(statement.format(**places) for statement in statements))
    after = state(cr)
    assert before != after
    back_and_forth(cr, before, after)


def test_a_value_that_counts_again_after_the_undo_and_a_person_has_now_is_a_conflict(cr):
    person(cr, POSTS.format(index="(lower(kind)) WHERE active", one=1, two=2))
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, "UPDATE post SET active = false, name = 'gone' WHERE id = 1")
    person(cr, "INSERT INTO post VALUES (3, 'taken', 'KIND', true)")
    after = state(cr)
    report = journal.undo(cr, [1], by=2)
    (conflict,) = report["conflicts"]
    assert (conflict["type"], conflict["key"], conflict["detail"]["by"]) == ("unique", {"id": "1"}, {"id": "3"})
    assert state(cr) == after
    assert journal.undo(cr, [1], by=2, on_conflict="skip")["done"]


def test_values_are_passed_on_under_a_trigger_of_the_table(unique):
    before = state(unique)
    swap = "UPDATE badge SET code = 'T' WHERE id = 1", "UPDATE badge SET code = 'A' WHERE id = 2"
    act(unique, 1, *swap, "UPDATE badge SET code = 'B' WHERE id = 1")
    after = state(unique)
    person(
        unique,
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER own BEFORE UPDATE ON badge FOR EACH ROW EXECUTE FUNCTION same()",
    )
    back_and_forth(unique, before, after)


def test_a_column_that_came_later_and_was_filled_keeps_the_row(cr):
    act(cr, 1, "INSERT INTO l0 (id) VALUES (70), (71)")
    person(cr, "ALTER TABLE l0 ADD note text")
    journal.install(cr)
    person(cr, "UPDATE l0 SET note = 'call them' WHERE id = 70")
    report = journal.undo(cr, [1], by=2)
    assert [(one["key"]["id"], one["columns"]) for one in report["conflicts"]] == [("70", ["note"])]
    assert journal.undo(cr, [1], by=2, on_conflict="skip")["rows"] == {
        "l0": {"restored": 0, "inserted": 0, "deleted": 1}
    }


def test_a_type_that_changed_before_is_no_conflict(cr):
    act(cr, 1, "UPDATE wide SET n = 1", "UPDATE a0 SET name = 'before' WHERE id = 1")
    person(cr, "ALTER TABLE a0 ALTER name TYPE jsonb USING jsonb_build_object('en_US', name)")
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 2, """UPDATE a0 SET name = '{"en_US": "after"}' WHERE id = 1""")
    assert journal.undo(cr, [2], by=3)["done"]
    assert state(cr) == before
    assert "schema" in {one["type"] for one in journal.undo(cr, [1], by=4)["conflicts"]}


def test_rows_that_are_told_apart_by_another_key_now_are_refused(cr):
    person(cr, "CREATE TABLE coded (code text PRIMARY KEY, n int)", "INSERT INTO coded VALUES ('a', 1)")
    journal.install(cr)
    cr.connection.commit()
    act(cr, 1, "INSERT INTO coded VALUES ('b', 2)")
    act(cr, 2, "UPDATE coded SET n = 3")
    person(cr, "ALTER TABLE coded DROP CONSTRAINT coded_pkey")
    journal.install(cr)
    assert [one["type"] for one in journal.undo(cr, [2], by=3)["conflicts"]] == ["schema", "schema"]
    person(cr, "ALTER TABLE coded ADD id serial PRIMARY KEY")
    journal.install(cr)
    cr.connection.commit()
    after = state(cr)
    assert [one["type"] for one in journal.undo(cr, [1], by=3)["conflicts"]] == ["schema"]
    assert state(cr) == after


@pytest.mark.parametrize(
    "key", ["product int, active boolean", "name char(5), host inet", "at timestamptz, amount numeric"]
)
def test_keys_of_any_type(cr, key):
    values = {
        "product int, active boolean": "(1, true), (1, false)",
        "name char(5), host inet": "('ab', '10.0.0.1'), ('ab', '10.0.0.0/8')",
        "at timestamptz, amount numeric": "('2026-01-01 00:00:00.000001+02', 1.50), ('2026-01-01', 1)",
    }[key]
    names = ", ".join(column.split()[0] for column in key.split(", "))
    person(cr, f"CREATE TABLE keyed ({key}, note text, PRIMARY KEY ({names}))")
    person(cr, f"CREATE TABLE referring (id serial, {key}, FOREIGN KEY ({names}) REFERENCES keyed ON DELETE CASCADE)")
    person(cr, f"INSERT INTO keyed ({names}) VALUES {values}", f"INSERT INTO referring ({names}) VALUES {values}")
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 1, "UPDATE keyed SET note = 'x'", "DELETE FROM keyed")
    after = state(cr)
    back_and_forth(cr, before, after)


def test_percent_signs_in_names_and_predicates(cr):
    person(
        cr,
        'CREATE TABLE "100%s" (id serial PRIMARY KEY, "rate %" text, "%(x)s" text)',
        """CREATE UNIQUE INDEX ON "100%s" ("rate %") WHERE "rate %" LIKE 'x%'""",
        """CREATE UNIQUE INDEX ON "100%s" (("%(x)s" || '%'))""",
        """INSERT INTO "100%s" ("rate %", "%(x)s") VALUES ('x1', 'a'), ('x2', 'b')""",
    )
    journal.install(cr)
    cr.connection.commit()
    before = state(cr)
    act(cr, 1, """UPDATE "100%s" SET "rate %" = 'x3%' WHERE id = 1""", """DELETE FROM "100%s" WHERE id = 2""")
    person(cr, """UPDATE "100%s" SET "%(x)s" = '%s' WHERE id = 1""")
    report = journal.undo(cr, [1], by=2)
    assert report["done"], report
    person(cr, """UPDATE "100%s" SET "%(x)s" = 'a' WHERE id = 1""")
    assert state(cr) == before


def test_a_refused_preview_does_not_darken_the_next_transaction(cr):
    act(cr, 1, "TRUNCATE l5")
    act(cr, 2, "DELETE FROM l5", "UPDATE wide SET n = 1")
    assert journal.preview(cr, [1])["refused"]
    cr.connection.commit()
    person(cr, "DELETE FROM l4")
    assert journal.preview(cr, [1])["refused"]
    journal.begin(cr, 3)
    cr.execute("INSERT INTO l0 (id) VALUES (80)")
    assert journal.end(cr)["restore_only"] is None


@pytest.mark.parametrize("fate", ["SET NULL", "SET DEFAULT", "CASCADE", "RESTRICT", "NO ACTION"])
@pytest.mark.parametrize("restored", ["UPDATE leaf SET up = 2 WHERE id = 1", "DELETE FROM leaf WHERE id = 1"])
def test_what_comes_back_may_not_refer_to_what_goes(db, fate, restored):
    """Else the key would empty or delete it again in the same statement, and the refusal would name nothing."""
    with db.cursor() as cr:
        cr.execute("CREATE TABLE root (id int PRIMARY KEY)")
        cr.execute(f"CREATE TABLE leaf (id int PRIMARY KEY, up int REFERENCES root ON DELETE {fate})")
        cr.execute("INSERT INTO root VALUES (2); INSERT INTO leaf VALUES (1)")
        journal.install(cr)
        db.commit()
        act(cr, 1, "INSERT INTO root VALUES (1)")
        person(cr, "UPDATE leaf SET up = 1 WHERE id = 1")
        act(cr, 2, restored)
        before = state(cr)
        report = journal.undo(cr, [1, 2], by=3)
        assert [(one["type"], one["table"], one["key"]) for one in report["conflicts"]] == [
            ("parent", "leaf", {"id": "1"})
        ]
        assert state(cr) == before
        db.rollback()
        report = journal.undo(cr, [1, 2], by=3, on_conflict="skip")
        assert report["done"], report
        cr.execute("SELECT (SELECT count(*) FROM root WHERE id = 1), (SELECT max(up) FROM leaf)")
        assert cr.fetchone() == (0, 2 if restored.startswith("UPDATE") else None)
