"""What the filter does to a real server's WAL, as PostgreSQL's own reader sees it, checksums included."""

import re
import shutil
import struct

import pytest
from addons.loomworks_snapshot.pitr.errors import WalNotFiltered
from addons.loomworks_snapshot.pitr.wal_filter import PAGE, Selection, WalFilter
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, Segment, between, parse_lsn
from stack.postgres_root import USER_ID

BLOCK = re.compile(r"blkref #\d+: rel \d+/(\d+)/")
RECORD = re.compile(r"rmgr: (\S+) +len \(rec/tot\): *\d+/ *(\d+), tx: *(\d+), lsn: (\S+), prev (\S+), desc: (\w+)")
MESSAGE = 54  # bytes of a logical message of over 200 bytes besides its content
ROOM = 4096  # bytes before the end of a segment up to which a message leads
PAGE_HEADER = struct.Struct("<HH")

TABLES = """
CREATE TABLE line (id serial PRIMARY KEY, name text, note jsonb, place point, big text);
CREATE INDEX ON line USING gin (note);
CREATE INDEX ON line USING gist (place);
CREATE INDEX ON line USING spgist (place);
CREATE INDEX ON line USING hash (name);
CREATE INDEX ON line USING brin (id);
CREATE TABLE small (a int);
"""
FILL = """
INSERT INTO line (name, note, place, big)
    SELECT md5(g::text), jsonb_build_object('g', g), point(g, -g), repeat(md5(g::text), g % 60)
    FROM generate_series(1, 3000) g
"""
WORK = (
    FILL,
    "UPDATE line SET name = name || 'x' WHERE id % 3 = 0",
    "SELECT count(*) FROM (SELECT id FROM line WHERE id % 5 = 0 FOR UPDATE) locked",
    "BEGIN; INSERT INTO small SELECT generate_series(1, 500); ROLLBACK",
    "DELETE FROM line WHERE id % 4 = 0",
    "VACUUM line",
    "CHECKPOINT",
    "UPDATE line SET big = big || 'y' WHERE id % 7 = 0",
    "CREATE TABLE again AS SELECT * FROM line; TRUNCATE again; DROP TABLE again",
    "VACUUM FULL line",
    "REINDEX TABLE line",
)


class Window:
    """The WAL of a server from one moment to another, as files."""

    def __init__(self, server, start, folder):
        self._server = server
        self._folder = server.folder / folder
        [(timeline,)] = server.ask("SELECT timeline_id FROM pg_control_checkpoint()")
        server.ask("SELECT pg_create_restore_point('the end')")
        [(end,)] = server.ask("SELECT pg_walfile_name(pg_switch_wal())")
        self.segments = list(between(Segment.holding(timeline, parse_lsn(start)), Segment.parse(end)))
        self.data = {one.number: (server.data / "pg_wal" / one.name).read_bytes() for one in self.segments}

    def filtered(self, selection):
        """Return the same, filtered, and how many records were passed over."""
        filtering, done = WalFilter(selection, self.segments[0].number), {}
        for number, data in self.data.items():
            done[number] = bytearray(data)
            following = self.data.get(number + 1)
            filtering.segment(
                number, memoryview(done[number]), lambda following=following: following and following[:PAGE]
            )
        return done, filtering.passed

    def records(self, data):
        """Return what PostgreSQL reads there: a line for each record."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for one in self.segments:
            (self._folder / one.name).write_bytes(data[one.number])
        for path in (self._folder, *self._folder.iterdir()):
            shutil.chown(path, USER_ID, USER_ID)
        return self._server.run(
            "pg_waldump", f"--path={self._folder}", self.segments[0].name, self.segments[-1].name
        ).splitlines()


@pytest.fixture(scope="module")
def server(own_cell):
    """A server with three databases, and nobody else at work."""
    own_cell.ask("ALTER SYSTEM SET autovacuum = off")
    own_cell.ask("ALTER SYSTEM SET wal_keep_size = '1GB'")  # it is read where the server has it
    own_cell.ask("SELECT pg_reload_conf()")
    for name in ("mine", "other", "another"):
        own_cell.ask(f"CREATE DATABASE {name} STRATEGY wal_log")
        own_cell.ask(TABLES, name)
    return own_cell


def numbers(server, *names):
    return {
        server.ask("SELECT oid::int8 FROM pg_database WHERE datname = %s", parameters=[name])[0][0] for name in names
    }


def position(server):
    return server.ask("SELECT pg_current_wal_insert_lsn()::text")[0][0]


def assert_only_others_pages_are_passed_over(window, others, selection=None):
    """Compare all records before and after: the same ones, but for those that change pages of ``others``."""
    data, passed = window.filtered(selection or Selection(others))
    before, after = window.records(window.data), window.records(data)
    assert len(after) == len(before)
    count = 0
    for old, new in zip(before, after, strict=True):
        block = BLOCK.search(old)
        if block and int(block[1]) in others:
            (_, *facts, _), (manager, *kept, what) = RECORD.match(old).groups(), RECORD.match(new).groups()
            assert (manager, what, kept) == ("XLOG", "NOOP", facts)
            count += 1
        else:
            assert new == old
    assert count == passed
    return before


def test_records_of_other_databases_do_nothing_and_all_else_is_as_it_was(server):
    start = position(server)
    for statement in WORK:
        for name in ("mine", "other", "another"):
            server.ask(statement, name)
    server.ask("CREATE DATABASE young TEMPLATE other STRATEGY wal_log")
    server.ask(FILL, "young")
    others = numbers(server, "other", "another")
    window = Window(server, start, "work")
    before = assert_only_others_pages_are_passed_over(window, others)
    mine, young = numbers(server, "mine"), numbers(server, "young")
    found = {int(match[1]) for line in before if (match := BLOCK.search(line))}
    assert found >= others | mine | young
    managers = {RECORD.match(line)[1] for line in before}
    assert managers >= {"Heap", "Heap2", "Btree", "Hash", "Gin", "Gist", "SPGist", "BRIN", "Sequence", "Storage"}


@pytest.mark.parametrize("how", ["wal_log", "file_copy"])
def test_databases_that_are_made_on_the_way_are_passed_over_from_their_first_page_on(server, how):
    names = [f"made_{how}_{number}" for number in range(2)]
    start = position(server)
    for name in names:
        server.ask(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY {how}")
        server.ask("CREATE TABLE line AS SELECT generate_series(1, 500)", name)
    server.ask("INSERT INTO small VALUES (1)", "mine")
    mine, known = numbers(server, "mine"), numbers(server, "other", "another")
    first, second = (numbers(server, name) for name in names)
    window = Window(server, start, "made")
    before = assert_only_others_pages_are_passed_over(window, known | first | second, Selection(known, *mine))
    assert {int(match[1]) for line in before if (match := BLOCK.search(line))} >= first | second | mine
    assert_only_others_pages_are_passed_over(window, known | second, Selection(known, *first))
    assert_only_others_pages_are_passed_over(window, known, Selection(known))


def test_what_makes_a_database_may_begin_anywhere_before_the_end_of_a_segment(server):
    """All wanted distances in one run of WAL: what goes before such a record is as long each time."""
    start = position(server)
    with server.connect() as cr:
        cr.execute("CREATE DATABASE aimed_at TEMPLATE template0 STRATEGY wal_log")
        before = lsn_of(cr)
        cr.execute("CREATE DATABASE aimed_00 TEMPLATE template0 STRATEGY wal_log")
        window = Window(server, start, "aim")
        lead = makers(window.records(window.data))[-1] - before
        for distance in range(8, 56, 8):
            message(cr, ROOM)
            message(cr, distance + lead)
            cr.execute(f"CREATE DATABASE aimed_{distance:02} TEMPLATE template0 STRATEGY wal_log")
            cr.execute("SELECT pg_switch_wal()")
    window, mine = Window(server, start, "aimed"), numbers(server, "mine")
    made = numbers(server, "aimed_at", "aimed_00", *(f"aimed_{distance:02}" for distance in range(8, 56, 8)))
    lines = assert_only_others_pages_are_passed_over(window, made, Selection((), *mine))
    assert {-at % SEGMENT_SIZE for at in makers(lines)} >= set(range(8, 56, 8))


def makers(lines):
    """Return where records are that make a database."""
    found = (RECORD.match(line) for line in lines)
    return [parse_lsn(match[4]) for match in found if match[1] == "Database" and match[6].startswith("CREATE")]


@pytest.mark.parametrize("with_image", [False, True], ids=["a change", "a whole page"])
def test_a_record_may_begin_anywhere_before_the_end_of_a_segment(server, with_image):
    start = position(server)
    server.ask("INSERT INTO small VALUES (0)", "other")
    with server.connect() as cr, server.connect("other") as other:
        wanted = [put_record(cr, other, before_end, with_image) for before_end in range(8, 56, 8)]
    before = assert_only_others_pages_are_passed_over(Window(server, start, "ends"), numbers(server, "other"))
    lines = {parse_lsn(RECORD.match(line)[4]): line for line in before}
    assert all(BLOCK.search(lines[lsn]) for lsn in wanted)
    assert any("FPW" in lines[lsn] for lsn in wanted) == with_image


def put_record(cr, other, before_end, with_image):
    """Have a record that changes a page begin so many bytes before the end of a segment; return where."""
    for _ in range(10):
        if with_image:
            cr.execute("CHECKPOINT")
        message(cr, ROOM)
        message(cr, before_end)
        at = lsn_of(cr)
        other.execute("INSERT INTO small VALUES (1)")
        if -at % SEGMENT_SIZE == before_end:
            return at
        cr.execute("SELECT pg_switch_wal()")  # somebody else wrote something meanwhile
    raise AssertionError("the server is not quiet")


def message(cr, before_end):
    """Write what changes nothing up to so many bytes before the end of a segment."""
    at = lsn_of(cr)
    left = -at % SEGMENT_SIZE - before_end
    if left > PAGE:  # a rough one: each page has a header
        left -= left // PAGE * 24
    cr.execute("SELECT pg_logical_emit_message(false, '', repeat('x', %s))", [left - MESSAGE])


def lsn_of(cr):
    cr.execute("SELECT pg_current_wal_insert_lsn()::text")
    return parse_lsn(cr.fetchone()[0])


def test_again_is_as_good_as_once(server):
    start = position(server)
    for statement in WORK[:2]:
        server.ask(statement, "other")
    window, others = Window(server, start, "again"), numbers(server, "other")
    once, passed = window.filtered(Selection(others))
    window.data = {number: bytes(data) for number, data in once.items()}
    assert window.filtered(Selection(others)) == (once, passed)


def test_segments_that_do_not_follow_each_other_are_left_to_the_server(server):
    start = position(server)
    for name in ("other", "mine", "other"):
        server.ask(FILL, name)
        server.ask("SELECT pg_switch_wal()")
    window = Window(server, start, "gap")
    numbers_of = list(window.data)
    filtering, passed = WalFilter(Selection({1}), numbers_of[0]), []
    for number in (numbers_of[0], numbers_of[1], numbers_of[0]):  # one of them again
        filtering.segment(number, memoryview(bytearray(window.data[number])), lambda: None)
        passed.append(filtering.passed)
    with pytest.raises(WalNotFiltered):
        filtering.segment(numbers_of[3], memoryview(bytearray(window.data[numbers_of[3]])), lambda: None)
    with pytest.raises(WalNotFiltered, match="one begins at"):
        filtering.segment(numbers_of[2], memoryview(bytearray(window.data[numbers_of[3]])), lambda: None)


@pytest.mark.parametrize("what", ["version", "page", "hard stop", "length", "size"])
def test_what_is_not_as_expected_is_left_to_the_server(server, what):
    start = position(server)
    server.ask(FILL, "other")
    window = Window(server, start, "odd")
    number, data = next(iter(window.data.items()))
    data = bytearray(data)
    if what == "version":
        for at in range(0, SEGMENT_SIZE, PAGE):
            PAGE_HEADER.pack_into(data, at, 0xD118, PAGE_HEADER.unpack_from(data, at)[1])
    elif what == "page":
        data[PAGE : 2 * PAGE] = bytes(PAGE)
    elif what == "hard stop":
        PAGE_HEADER.pack_into(data, PAGE, PAGE_HEADER.unpack_from(data, PAGE)[0], 8)
    elif what == "length":
        at = parse_lsn(start) % SEGMENT_SIZE
        data[at : at + 4] = (7).to_bytes(4, "little")
    else:
        del data[-PAGE:]
    with pytest.raises(WalNotFiltered):
        WalFilter(Selection({1}), number).segment(number, memoryview(data), lambda: None)
