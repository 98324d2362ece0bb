"""What the journal costs and what an undo takes, as ratios in one run, as the database's ordinary owner.

An Odoo mix (create, confirm, write, cancel, delete orders; some thousand row changes) is done in two databases of one
template: one without the journal, one with it, idle and capturing by turns. Medians of interleaved pairs, with the
interval that 95 % of resampled medians fall in. Each result is one JSON object a line in ``build/bench/undo.jsonl``.
"""

import argparse
import contextlib
import random
import statistics
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
for folder in ("tests/scenes", "tests", "infrastructure/dev"):
    sys.path.insert(0, str(REPOSITORY / folder))

import conftest as scenes  # noqa: E402
import emaj  # noqa: E402
from agents import Agent, Office  # noqa: E402
from figures import Figures  # noqa: E402
from harness.databases import OdooDatabases  # noqa: E402
from stack.settings import Settings  # noqa: E402

RAW_ROWS = 20_000
SIZES = (1_000, 10_000, 100_000, 1_000_000)
SIZE_ROUNDS = 7
PARTS = 10  # of a mix, where two are done by turns
RESAMPLED = 2_000
# A table as wide as Odoo's are.
WIDE = ", ".join(
    [f"n{i} integer DEFAULT {i}" for i in range(14)]
    + [f"t{i} varchar DEFAULT 'some text {i}'" for i in range(12)]
    + [f"a{i} numeric DEFAULT 1.5" for i in range(4)]
    + ["d timestamp DEFAULT now()", 'j jsonb DEFAULT \'{"en_US": "Name"}\'']
)


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--rows", type=int, default=SIZES[-1], help="the most rows of the growth")
    parser.add_argument("--only", default="idle,mix,raw,partners,growth,records,sizes,months", help="what to measure")
    arguments = parser.parse_args()
    figures = Figures("undo")
    databases = OdooDatabases(Settings.from_environment())
    with contextlib.ExitStack() as stack:
        with_journal = stack.enter_context(databases.cloned_with("loomworks_ai", scenes.MODULES))
        scenes._configure_odoo(with_journal.configuration)

        def clone(suffix):
            return stack.enter_context(databases.cloned_with("loomworks_ai", scenes.MODULES, suffix=suffix)).name

        office, none = Office(with_journal.name), plain(clone("_none"))
        parts = {
            "idle": lambda: idle(
                figures, Office(clone("_resting")), [plain(clone(f"_bare{i}")) for i in (1, 2)], arguments
            ),
            "mix": lambda: mix(figures, office, none, arguments),
            "raw": lambda: raw(figures, office, arguments.pairs),
            "partners": lambda: partners(figures, office, none, arguments.pairs),
            "records": lambda: records(figures, office, arguments.rows),
            "growth": lambda: growth(figures, office, arguments.rows),
            "sizes": lambda: database_sizes(figures, office, arguments.rows),
            "months": lambda: months(figures, office),
        }
        for name in arguments.only.split(","):
            parts[name]()


def plain(name):
    """Return an office whose database has no journal."""
    from odoo.addons.loomworks_ai.models.ir_model import IrModel

    office = Office(name)
    IrModel._install_capture = lambda self: {}  # nor gets one when a registry is loaded again
    with office.person() as env:
        env["ir.model"]._uninstall_capture()
    return office


# --- the mix ---


def day(env, orders, tag):
    """A day's work: orders made, confirmed, changed, cancelled, deleted."""
    partners = env["res.partner"].create([{"name": f"{tag} {number}"} for number in range(orders)])
    product = env["product.product"].search([("name", "=", "Bench")], limit=1)
    lines = [(0, 0, {"product_id": product.id, "product_uom_qty": number}) for number in range(1, 5)]
    sales = env["sale.order"].create([{"partner_id": partner.id, "order_line": lines} for partner in partners])
    sales.action_confirm()
    sales.order_line.write({"price_unit": 12})
    partners.write({"street": "Elm Street", "comment": "seen"})
    half = sales[: orders // 2]
    half._action_cancel()
    half.unlink()
    env.flush_all()


def as_person(office, work):
    """Time ``work`` as a person does it; return seconds and bytes of WAL."""
    with office.person() as env:
        return timed(env.cr, lambda: work(env))


def as_agent(office, agent, work):
    """Time ``work`` as an agent's request, with its commit."""
    with office.cursor() as cr:
        before = wal(cr)
    began = time.perf_counter()
    with agent.request() as env:
        work(env)
    seconds = time.perf_counter() - began
    with office.cursor() as cr:
        return seconds, wal(cr) - before


def timed(cr, work):
    """Time ``work`` with its commit."""
    before = wal(cr)
    began = time.perf_counter()
    work()
    cr.commit()
    seconds = time.perf_counter() - began
    return seconds, wal(cr) - before


def clocked(work):
    """Return the seconds of ``work``, and what it returned."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def wal(cr):
    """Return the position in the write-ahead log, in bytes."""
    cr.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return int(cr.fetchone()[0])


def mix(figures, office, none, arguments):
    """Compare the mix without journal and captured, and its undo."""
    agent = Agent(office)
    for one in (office, none):
        with one.person() as env:
            env["product.product"].create({"name": "Bench", "type": "consu", "is_storable": True})
    seconds = {name: [] for name in ("none", "captured", "undo")}
    written = {name: [] for name in ("none", "captured")}
    rows = 0
    for pair in range(arguments.pairs + 1):  # the first one warms up
        runs = {
            "none": lambda tag: as_person(none, lambda env: day(env, arguments.orders, tag)),
            "captured": lambda tag: as_agent(office, agent, lambda env: day(env, arguments.orders, tag)),
        }
        took = {}
        for name in random.sample(sorted(runs), 2):
            took[name], size = runs[name](f"{name} {pair}")
            if pair:
                written[name].append(size)
        took["undo"], report = clocked(agent.undo)
        assert report["done"], report
        rows = sum(sum(counts.values()) for counts in report["rows"].values())
        for name in seconds if pair else ():
            seconds[name].append(took[name])
    figures.add("mix_seconds", statistics.median(seconds["none"]), "s", 1.0)
    figures.add("mix_net_rows", rows, "rows", 1.0)
    compare(figures, "mix_captured", seconds["captured"], seconds["none"], 1.05)
    compare(figures, "mix_wal_captured", written["captured"], written["none"], None)
    compare(figures, "mix_undo", seconds["undo"], seconds["captured"], 0.05)
    preview(figures, office, agent, arguments)


def preview(figures, office, agent, arguments):
    """Compare what is shown of an undo, names and values, with doing; apart, as it reads what the undo reads."""
    seconds = {"captured": [], "preview": []}
    for number in range(max(3, arguments.pairs // 3)):
        took, _size = as_agent(office, agent, lambda env, tag=f"shown {number}": day(env, arguments.orders, tag))
        seconds["captured"].append(took)
        took, shown = clocked(agent.preview)
        seconds["preview"].append(took)
        assert agent.undo()["rows"] == shown["rows"]
    compare(figures, "mix_preview", seconds["preview"], seconds["captured"], None)


def idle(figures, resting, bare, arguments):
    """Compare the mix with resting triggers and without journal, in two databases: clones of one template differ, too.

    None of the databases has ever seen an agent: what captures and undos leave behind is not what resting costs.
    """
    offices = {"bare": bare[0], "same": bare[1], "idle": resting}
    for one in offices.values():
        with one.person() as env:
            env["product.product"].create({"name": "Bench", "type": "consu", "is_storable": True})
    seconds = {name: [] for name in offices}
    for pair in range(arguments.pairs + 1):  # the first one warms up
        took = by_turns(offices, arguments.orders, pair)
        for name in seconds if pair else ():
            seconds[name].append(took[name])
    compare(figures, "mix_same", seconds["same"], seconds["bare"], None)
    floor = [statistics.mean(both) for both in zip(seconds["bare"], seconds["same"], strict=True)]
    compare(figures, "mix_idle", seconds["idle"], floor, 1.03)


def by_turns(offices, orders, pair):
    """Do the mix as a person in each of the offices, a part of it in each by turns; return the seconds of each.

    What resting triggers cost is less than what a machine's pace changes from one whole mix to the next.
    """
    took = dict.fromkeys(offices, 0.0)
    for part in range(PARTS):
        for name in random.sample(sorted(offices), len(offices)):
            tag = f"{name} {pair} {part}"
            took[name] += as_person(offices[name], lambda env, tag=tag: day(env, orders // PARTS, tag))[0]
    return took


def compare(figures, name, values, floor, goal):
    """Write the median of the ratios, and the interval around it."""
    ratios = [value / least for value, least in zip(values, floor, strict=True)]
    medians = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _time in range(RESAMPLED))
    low, high = medians[int(RESAMPLED * 0.025)], medians[int(RESAMPLED * 0.975) - 1]
    figures.add(name, statistics.median(values), "", statistics.median(ratios), goal)
    figures.add(f"{name}_interval", round(high - low, 4), f"{low:.3f} to {high:.3f}", high, goal)


# --- plain rows ---


def wide(office, name, rows, journalled):
    """Make a wide table."""
    from odoo.addons.loomworks_ai import journal

    with office.cursor() as cr:
        cr.execute(f"DROP TABLE IF EXISTS {name}")
        cr.execute(f"CREATE TABLE {name} (id serial PRIMARY KEY, {WIDE})")
        cr.execute(f"INSERT INTO {name} SELECT FROM generate_series(1, %s)", [rows])
        with cr._cnx.cursor() as own:
            journal.install(own)
            if not journalled:
                own.execute(f'DROP TRIGGER "00_loomworks_capture" ON {name}')
    with office.cursor() as cr:
        cr.execute(f"ANALYZE {name}")


def update(env, name, where=""):
    """Change three columns of every row."""
    env.cr.execute(f"UPDATE {name} SET n1 = n1 + 1, t1 = 'x' || n1, d = clock_timestamp() {where}")


def raw(figures, office, pairs):
    """Compare an UPDATE of many rows of a plain table without trigger, idle and captured, and its undo.

    A table with one index makes the UPDATE as cheap as it gets, and capture as dear.
    """
    wide(office, "bench_none", RAW_ROWS, journalled=False)
    wide(office, "bench_idle", RAW_ROWS, journalled=True)
    agent = Agent(office)
    runs = {
        "none": lambda: as_person(office, lambda env: update(env, "bench_none"))[0],
        "idle": lambda: as_person(office, lambda env: update(env, "bench_idle"))[0],
        "captured": lambda: as_agent(office, agent, lambda env: update(env, "bench_idle"))[0],
    }
    seconds = by_pairs(runs, agent, pairs, lambda: vacuum(office, "bench_none", "bench_idle"))
    compare(figures, "raw_idle", seconds["idle"], seconds["none"], None)
    compare(figures, "raw_captured", seconds["captured"], seconds["none"], None)
    compare(figures, "raw_undo", seconds["undo"], seconds["captured"], 1.0)


def partners(figures, office, none, pairs):
    """Compare an UPDATE of many partners by SQL without trigger, idle, captured, with E-Maj's; and its undo."""
    first = {one: many_partners(one) for one in (office, none)}
    agent = Agent(office)
    with none.cursor() as cr:
        emaj.make(cr, "res_partner")

    def change(one):
        return lambda env: env.cr.execute(
            "UPDATE res_partner SET street = 'x' || id, color = coalesce(color, 0) + 1, write_date = clock_timestamp()"
            " WHERE id > %s",
            [first[one]],
        )

    def without(peer):
        with none.cursor() as cr:
            emaj.switch(cr, "res_partner", peer)
        return as_person(none, change(none))[0]

    runs = {
        "none": lambda: without(peer=False),
        "emaj": lambda: without(peer=True),
        "idle": lambda: as_person(office, change(office))[0],
        "captured": lambda: as_agent(office, agent, change(office))[0],
    }
    seconds = by_pairs(runs, agent, pairs, lambda: [vacuum(one, "res_partner") for one in (office, none)])
    compare(figures, "partners_idle", seconds["idle"], seconds["none"], None)
    compare(figures, "partners_emaj", seconds["emaj"], seconds["none"], None)
    compare(figures, "partners_captured", seconds["captured"], seconds["none"], 2.5)
    compare(figures, "partners_undo", seconds["undo"], seconds["captured"], 1.0)


def many_partners(office):
    """Make many partners as one that Odoo makes; return the number of the last one before them."""
    with office.person() as env:
        like = env["res.partner"].create({"name": "Bench", "street": "Elm Street", "city": "Town", "phone": "+1 23"})
        env.flush_all()
        env.cr.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_name = 'res_partner' AND is_generated = 'NEVER' AND column_name <> 'id'"
        )
        (columns,) = env.cr.fetchone()
        env.cr.execute(
            f"INSERT INTO res_partner ({columns})"
            f" SELECT {columns} FROM res_partner, generate_series(1, %s) WHERE id = %s",
            [RAW_ROWS, like.id],
        )
        env.cr.commit()
    vacuum(office, "res_partner")
    return like.id


def by_pairs(runs, agent, pairs, tidy):
    """Run each of ``runs`` in random order, ``pairs`` times, and the undo of what was captured; return the seconds."""
    seconds = {name: [] for name in (*runs, "undo")}
    for _pair in range(pairs):
        for name in random.sample(sorted(runs), len(runs)):
            seconds[name].append(runs[name]())
            if name == "captured":
                began = time.perf_counter()
                assert agent.undo()["done"]
                seconds["undo"].append(time.perf_counter() - began)
            tidy()
    return seconds


def vacuum(office, *names):
    """Tidy up between runs, as autovacuum would at some time."""
    with office.cursor() as cr:
        cr._cnx.rollback()
        cr._cnx.autocommit = True
        for name in names:
            cr.execute(f"VACUUM ANALYZE {name}")
        cr._cnx.autocommit = False


def records(figures, office, most):
    """Time undos of more and more records of a model, whose numbers go through Odoo, and say what memory that takes."""
    agent, first = Agent(office), None
    for rows in (size for size in SIZES if size <= most):
        with office.cursor() as cr:
            cr.execute("DELETE FROM res_partner_category WHERE name->>'en_US' LIKE 'bench %%'")
            cr.execute(
                """
                INSERT INTO res_partner_category (name, color, active)
                SELECT jsonb_build_object('en_US', 'bench ' || i), 0, true FROM generate_series(1, %s) i
                """,
                [rows],
            )
        vacuum(office, "res_partner_category")
        change = "UPDATE res_partner_category SET color = color + 1 WHERE name->>'en_US' LIKE 'bench %%'"
        as_agent(office, agent, lambda env, change=change: env.cr.execute(change))
        began = time.perf_counter()
        assert agent.undo()["done"]
        each = (time.perf_counter() - began) / rows
        first = first or each
        figures.add(f"undo_{rows}_records", each * 1e6, "us a record", each / first, **most_memory(office))


def growth(figures, office, most):
    """Time undos of more and more rows; linear is a ratio of 1 a row."""
    agent, first = Agent(office), None
    for rows in (size for size in SIZES if size <= most):
        wide(office, "bench_growth", rows, journalled=True)
        as_agent(office, agent, lambda env: update(env, "bench_growth"))
        began = time.perf_counter()
        assert agent.undo()["done"]
        each = (time.perf_counter() - began) / rows
        first = first or each
        figures.add(f"undo_{rows}_rows", each * 1e6, "us a row", each / first, **most_memory(office))


def most_memory(office):
    """Return the most memory that this process and the server's for it have had so far, in MiB.

    The server's has the shared buffers that it has touched in it, of 256 MiB. It is on this machine.
    """
    with office.cursor() as cr:  # of the pool: the one that was given back last
        cr.execute("SELECT pg_backend_pid()")
        (server,) = cr.fetchone()
    found = {}
    for name, process in (("odoo_mib", "self"), ("server_mib", server)):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        found[name] = round(int(status["VmHWM"].split()[0]) / 1024)
    return found


def database_sizes(figures, office, most):
    """Time the undo of as many rows in larger and larger tables; independent of their size is a ratio of 1."""
    agent, first = Agent(office), None
    for rows in (size for size in SIZES if size <= most):
        wide(office, "bench_size", rows, journalled=True)
        seconds = []
        for _time in range(SIZE_ROUNDS):
            as_agent(office, agent, lambda env: update(env, "bench_size", f"WHERE id <= {SIZES[0]}"))
            began = time.perf_counter()
            assert agent.undo()["done"]
            seconds.append(time.perf_counter() - began)
        took = statistics.median(seconds)
        first = first or took
        figures.add(f"undo_{SIZES[0]}_of_{rows}", took * 1e3, "ms", took / first, 1.0)


def months(figures, office):
    """Time dropping a month of the journal."""
    from odoo.addons.loomworks_ai import journal

    with office.cursor() as cr, cr._cnx.cursor() as own:
        own.execute("SELECT count(*) FROM loomworks.entry")
        (entries,) = own.fetchone()
        began = time.perf_counter()
        journal.drop_months(own, "9999_01")
        cr._cnx.commit()
        figures.add("drop_months", time.perf_counter() - began, f"s for {entries} entries", 1.0, None)


if __name__ == "__main__":
    main()
