"""One database out of a server's repository: as it was at the moment, whatever the neighbours did meanwhile."""

import shutil

import psycopg2
import pytest
from addons.loomworks_snapshot.pitr.request import Request, Target, TargetKind
from harness.restoring import a_restore, at_lsn, named, restore, sequences, whole

CONTENT = """
CREATE TABLE line (id serial PRIMARY KEY, name text UNIQUE, note jsonb, big text);
INSERT INTO line (name, note, big)
    SELECT 'n' || g, jsonb_build_object('g', g), repeat(md5(g::text), 200) FROM generate_series(1, 3000) g;
CREATE TABLE child (id serial PRIMARY KEY, line_id int REFERENCES line ON DELETE CASCADE);
INSERT INTO child (line_id) SELECT id FROM line;
CREATE TABLE "Odd ""name"" %" (a int, b bytea);
INSERT INTO "Odd ""name"" %" VALUES (1, '\\x00ff');
CREATE TABLE loose (line_id int);
INSERT INTO loose VALUES (99999);
ALTER TABLE loose ADD CONSTRAINT broken FOREIGN KEY (line_id) REFERENCES line NOT VALID;
CREATE VIEW first_lines AS SELECT * FROM line WHERE id < 10;
CREATE INDEX ON line USING gin (note);
SELECT lo_from_bytea(0, 'a large object');
"""
NEIGHBOURS = ("t_n1", "t_n2", "t_n3", "t_n4")


@pytest.fixture(scope="module")
def server(own_cell):
    """A server with a tenant and its neighbours, a full backup and two incremental ones with changes between them."""
    for name in ("t_mine", *NEIGHBOURS):
        own_cell.ask(f"CREATE DATABASE {name} STRATEGY wal_log")
        own_cell.ask(CONTENT, name)
    own_cell.backup("full")
    own_cell.ask("UPDATE line SET big = big || 'x' WHERE id % 10 = 0", "t_mine")
    own_cell.ask("UPDATE line SET big = big || 'x' WHERE id % 3 = 0", "t_n1")
    own_cell.backup("incr")
    own_cell.ask("DELETE FROM line WHERE id % 7 = 0", "t_mine")
    own_cell.ask("VACUUM line", "t_mine")
    own_cell.backup("incr")
    return own_cell


def test_tables_are_as_they_were_at_the_restore_point(server):
    server.ask("INSERT INTO line (name) VALUES ('just before')", "t_mine")
    before, given = whole(server, "t_mine"), sequences(server, "t_mine")
    target = named(server, "point")
    server.ask("INSERT INTO line (name) SELECT 'after' || g FROM generate_series(1, 100) g; DROP TABLE child", "t_mine")
    report = restore(server, "t_mine", target, "t_back")
    assert whole(server, "t_back") == before
    back = sequences(server, "t_back")
    assert back.keys() == given.keys()
    # WAL tells of the next 32 values beforehand (SEQ_LOG_VALS), as after any crash of a server.
    assert all(0 <= back[name] - value <= 32 for name, value in given.items())
    assert report.database_number
    assert not (server.folder / "scratch" / "restore").exists()


def test_a_position_holds_what_was_committed_before_it_and_no_more(server):
    before = whole(server, "t_mine")
    target = at_lsn(server)
    server.ask("INSERT INTO line (name) VALUES ('the very next transaction')", "t_mine")
    restore(server, "t_mine", target, "t_back")
    assert whole(server, "t_back") == before


def test_a_time_holds_what_was_committed_until_then(server):
    server.ask("UPDATE line SET name = name || '.'", "t_n1")
    before = whole(server, "t_mine")
    [(moment, seconds)] = server.ask("SELECT clock_timestamp()::text, extract(epoch FROM clock_timestamp())::int")
    server.ask("INSERT INTO line (name) VALUES ('after the time')", "t_mine")
    server.archive()
    report = restore(server, "t_mine", Target(TargetKind.TIME, moment, timestamp=seconds), "t_back")
    assert (report.passed > 1000, report.note) == (True, "")
    assert whole(server, "t_back") == before


def test_what_neighbours_do_in_the_window_changes_nothing(server):
    before = whole(server, "t_mine")
    server.ask("DROP DATABASE t_n4")
    server.ask("CREATE DATABASE t_n4 STRATEGY wal_log")
    server.ask("CREATE DATABASE t_n5 TEMPLATE t_n2 STRATEGY wal_log")
    server.ask("TRUNCATE line CASCADE", "t_n1")
    server.ask("VACUUM FULL", "t_n2")
    server.ask("REINDEX DATABASE t_n3", "t_n3")
    server.ask("CLUSTER line USING line_pkey", "t_n3")
    server.ask(
        "DROP TABLE child; CREATE TABLE child (id int); INSERT INTO child SELECT generate_series(1, 1000)", "t_n3"
    )
    server.ask("CREATE UNLOGGED TABLE quick AS SELECT generate_series(1, 10)", "t_n2")
    target = named(server, "busy neighbours")
    others = {name: whole(server, name) for name in (*NEIGHBOURS, "t_n5")}
    report = restore(server, "t_mine", target, "t_back")
    assert (report.passed > 1000, report.note) == (True, "")
    assert whole(server, "t_back") == before
    assert {name: whole(server, name) for name in others} == others


def test_pages_of_neighbours_never_come_to_scratch_space(server):
    server.ask("UPDATE line SET big = big || 'z'", "t_n1")
    server.ask("VACUUM FULL line", "t_n1")
    [(number,)] = server.ask("SELECT oid::int8 FROM pg_database WHERE datname = 't_n1'")
    sizes = []

    def tell(stage, share):
        if (stage, share) == ("check", 0.0):
            folder = server.folder / "scratch" / "restore" / "data" / "base" / str(number)
            sizes.append(sum(file.stat().st_size for file in folder.iterdir()) if folder.exists() else 0)

    restore(server, "t_mine", named(server, "strangers"), "t_back", tell=tell)
    assert sizes == [0]


def test_neighbours_made_after_the_backup_never_come_to_scratch_space(server):
    names = [f"t_later{number}" for number in range(3)]
    for name in names:
        server.ask(f"CREATE DATABASE {name} TEMPLATE t_n2 STRATEGY wal_log")
        server.ask("UPDATE line SET big = big || 'l'", name)
        server.ask("VACUUM FULL line", name)
    numbers = [number for [number] in server.ask("SELECT oid::int8 FROM pg_database WHERE datname LIKE 't_later%%'")]
    before = whole(server, "t_mine")
    sizes, restored = {}, []

    def tell(stage, share):
        if (stage, share) == ("check", 0.0):
            data = server.folder / "scratch" / "restore" / "data"
            restored.extend(data.glob("base/*"))
            for number in numbers:
                sizes[number] = sum(file.stat().st_size for file in data.glob(f"base/{number}/[0-9]*"))

    report = restore(server, "t_mine", named(server, "later neighbours"), "t_back", tell=tell)
    assert (len(restored) > len(numbers), sizes, report.note) == (True, dict.fromkeys(numbers, 0), "")
    assert whole(server, "t_back") == before
    for name in names:
        server.ask(f"DROP DATABASE {name}")


def test_the_name_has_gone_to_a_database_that_was_made_after_the_backup(server):
    server.ask("ALTER DATABASE t_n3 RENAME TO t_moved")
    server.ask("CREATE DATABASE t_new TEMPLATE t_n2 STRATEGY wal_log")
    server.ask("UPDATE line SET big = big || 'n' WHERE id % 2 = 0", "t_new")
    server.ask("ALTER DATABASE t_new RENAME TO t_n3")
    before = whole(server, "t_n3")
    target = named(server, "new and renamed")
    report = restore(server, "t_n3", target, "t_back")
    assert (report.passed > 1000, report.note) == (True, "")
    assert whole(server, "t_back") == before
    server.ask("DROP DATABASE t_n3")
    server.ask("ALTER DATABASE t_moved RENAME TO t_n3")


def test_replayed_wal_leaves_the_scratch_space(server):
    for _ in range(30):
        server.ask("UPDATE line SET big = big || 'w'; SELECT pg_switch_wal()", "t_mine")
    before, held = whole(server, "t_mine"), []

    def tell(stage, share):
        if stage == "replay":
            segments = (server.folder / "scratch" / "restore" / "data" / "pg_wal").glob("0*")
            held.append(sum(file.stat().st_size > 0 for file in segments if file.is_file()))

    report = restore(server, "t_mine", named(server, "much WAL"), "t_back", tell=tell)
    assert report.segments > 24
    assert max(held) < 24
    assert whole(server, "t_back") == before


def test_transaction_that_was_prepared_long_before_the_moment_is_no_obstacle(server):
    server.ask("ALTER SYSTEM SET max_prepared_transactions = 5")
    server.stop()
    server.start()
    with server.connect("t_mine") as cr:
        cr.execute("BEGIN; INSERT INTO line (name) VALUES ('prepared'); PREPARE TRANSACTION 'long'")
    for _ in range(12):
        server.ask("UPDATE line SET big = big || 'p'; SELECT pg_switch_wal()", "t_n2")
    before = whole(server, "t_mine")
    report = restore(server, "t_mine", named(server, "prepared"), "t_back")
    assert "All WAL was replayed" in report.note
    assert whole(server, "t_back") == before
    with server.connect("t_mine") as cr:
        cr.execute("ROLLBACK PREPARED 'long'")


def test_tables_dropped_created_and_rewritten_in_the_window(server):
    server.ask("CREATE TABLE new AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g", "t_n2")
    server.ask("DROP TABLE child; CREATE TABLE child AS SELECT 1 AS one", "t_n2")
    server.ask("TRUNCATE new; INSERT INTO new VALUES (7, 'seven')", "t_n2")
    server.ask("VACUUM FULL line", "t_n2")
    server.ask("ALTER TABLE line ADD COLUMN later int DEFAULT 3; REINDEX TABLE line", "t_n2")
    before = whole(server, "t_n2")
    restore(server, "t_n2", named(server, "rewritten"), "t_back")
    assert whole(server, "t_back") == before


def test_a_tenant_younger_than_the_last_backup_comes_from_wal_alone(server):
    server.ask("CREATE DATABASE t_young TEMPLATE template0 STRATEGY wal_log")
    server.ask(CONTENT, "t_young")
    before = whole(server, "t_young")
    target = named(server, "young")
    server.ask("DROP DATABASE t_young")
    restore(server, "t_young", target, "t_back")
    assert whole(server, "t_back") == before


def test_a_tenant_that_was_cloned_from_a_database_of_the_backup(server):
    server.ask("UPDATE line SET big = big || 'c' WHERE id % 5 = 0", "t_n2")
    server.ask("CREATE DATABASE t_clone TEMPLATE t_n2 STRATEGY wal_log")
    server.ask("UPDATE line SET big = big || 'd' WHERE id % 2 = 0", "t_clone")
    server.ask("UPDATE line SET big = big || 'e' WHERE id % 2 = 0", "t_n2")
    before = whole(server, "t_clone")
    report = restore(server, "t_clone", named(server, "cloned"), "t_back")
    assert (report.passed > 1000, report.note) == (True, "")
    assert whole(server, "t_back") == before


def test_the_name_had_another_database_in_the_backup(server):
    server.ask("ALTER DATABASE t_n3 RENAME TO t_moved")
    server.ask("ALTER DATABASE t_n1 RENAME TO t_n3")
    before = whole(server, "t_n3")
    target = named(server, "renamed")
    restore(server, "t_n3", target, "t_back")
    assert whole(server, "t_back") == before
    server.ask("ALTER DATABASE t_n3 RENAME TO t_n1")
    server.ask("ALTER DATABASE t_moved RENAME TO t_n3")


def test_a_tablespace_of_its_own(server):
    space = server.folder / "space"
    space.mkdir()

    shutil.chown(space, server.data.stat().st_uid, server.data.stat().st_gid)
    server.ask(f"CREATE TABLESPACE fast LOCATION '{space}'")
    server.ask(
        "CREATE TABLE there (a int) TABLESPACE fast; INSERT INTO there SELECT generate_series(1, 9999)", "t_mine"
    )
    server.ask("CREATE TABLE there (a int) TABLESPACE fast", "t_n1")
    server.backup("incr")
    server.ask("UPDATE there SET a = a + 1", "t_mine")
    before = whole(server, "t_mine")
    restore(server, "t_mine", named(server, "space"), "t_back")
    assert whole(server, "t_back") == before


def test_a_drill_restores_and_checks_and_puts_nothing_anywhere(server):
    databases = server.ask("SELECT datname FROM pg_database ORDER BY 1")
    request = Request("t_mine", named(server, "drill"), drill=True)
    server.ask("DELETE FROM loose", "t_mine")
    server.ask("ALTER TABLE loose VALIDATE CONSTRAINT broken", "t_mine")
    report = a_restore(server, request).drill()
    [(rows,)] = server.ask("SELECT count(*) FROM line", "t_mine")
    assert report.tables >= 3
    assert report.unchecked_keys == ["public.loose.broken"]  # as it was at the moment
    assert report.rows > rows
    assert "load" not in report.seconds
    assert server.ask("SELECT datname FROM pg_database ORDER BY 1") == databases
    assert not (server.folder / "scratch" / "restore").exists()


AMBUSH = """
    CREATE FUNCTION ambush() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN
            IF current_setting('is_superuser') = 'on' THEN RAISE 'a tenant has become superuser'; END IF;
            RETURN true;
        END $$;
    CREATE TABLE line (g int);
    INSERT INTO line SELECT generate_series(1, 100);
    CREATE INDEX ON line (g) WHERE ambush();
"""


def test_what_a_tenant_hangs_on_its_tables_runs_with_no_rights_but_its_own(own_cell):
    own_cell.ask("CREATE ROLE t_sly LOGIN")
    own_cell.ask("CREATE DATABASE t_sly OWNER t_sly STRATEGY wal_log")
    own_cell.ask("ALTER SCHEMA public OWNER TO t_sly", "t_sly")
    own_cell.ask(f"SET ROLE t_sly; {AMBUSH}", "t_sly")
    own_cell.backup("full")
    target = named(own_cell, "sly")
    own_cell.archive()
    with pytest.raises(psycopg2.Error, match="become superuser"):
        own_cell.ask("SELECT count(*) FROM line", "t_sly")  # the ambush works, on whoever is not careful
    report = a_restore(own_cell, Request("t_sly", target, drill=True)).drill()
    assert (report.tables, report.rows) == (1, 100)
