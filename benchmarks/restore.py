"""What restoring one tenant takes, as ratios to the other ways, in one run (build/bench/restore.jsonl).

On a real PostgreSQL 17 that archives with pgBackRest to a real S3 over TLS, encrypted, without the cluster: servers of
several numbers of equal tenants, one full base backup, then WAL of all tenants alike. Each round restores one tenant
selectively (the product's own way, with every check, into the server), by pgBackRest's ``--db-include`` and by a full
restore (both replayed to the same target, and nothing more), and copies the living tenant by ``pg_dump | pg_restore``.
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import threading
import time
from pathlib import Path

from figures import Figures
from harness import engines
from stack.postgres_root import USER_ID

engines.register()

from addons.loomworks_snapshot.pitr.programs import Programs  # noqa: E402  (only importable once registered)
from addons.loomworks_snapshot.pitr.request import Request, Target, TargetKind  # noqa: E402
from addons.loomworks_snapshot.pitr.restore import Restore, choose_backup  # noqa: E402
from addons.loomworks_snapshot.pitr.scratch import Scratch  # noqa: E402
from addons.loomworks_snapshot.pitr.scratch_server import ScratchServer  # noqa: E402
from addons.loomworks_snapshot.pitr.wal import WalFeed  # noqa: E402
from addons.loomworks_snapshot.repository import catalog as catalogs  # noqa: E402
from addons.loomworks_snapshot.repository.location import Location  # noqa: E402
from addons.loomworks_snapshot.repository.segments import SEGMENT_SIZE, Segment, parse_lsn  # noqa: E402
from addons.loomworks_snapshot.repository.store import Store  # noqa: E402
from harness.cell import PATHS, a_cell  # noqa: E402

# A database with as many files as a small Odoo's, most of them nearly empty, and a few large tables.
TABLES = """
DO $$ BEGIN
    FOR i IN 1..%(tables)s LOOP
        EXECUTE format('CREATE TABLE small_%%s (id serial PRIMARY KEY, name varchar UNIQUE, note jsonb)', i);
        EXECUTE format('INSERT INTO small_%%s (name) SELECT ''n'' || g FROM generate_series(1, 20) g', i);
    END LOOP;
END $$;
CREATE TABLE large (id serial PRIMARY KEY, name varchar, body text, at timestamp DEFAULT now());
INSERT INTO large (name, body) SELECT 'n' || g, md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text)
    FROM generate_series(1, %(rows)s) g;
CREATE INDEX ON large (name);
"""
CHANGE = "UPDATE large SET body = md5(body) || body WHERE id %% %s = %s"
ROWS_OF_A_MEBIBYTE = 4600  # of the large table with its indexes
SCRATCH_MIB = 12 << 10  # memory that is taken as it is needed; the full restore needs most
# Of a processor in thousands, by 1.024, as the kubelet gives them: what the server's pod asks for in the overlay for
# production (2), and the restore's Job (100m), with which the object store counts here.
CGROUPS = Path("/sys/fs/cgroup/cpu")
SHARES = {"server": 2048, "restore": 102}
NEIGHBOURS = 2  # connections, each in a database of its own server's neighbours
QUIET = 10  # seconds of the neighbours' work before the restore
LEAST = 8  # seconds of it beside restores: a short one is done again
SECOND = re.compile(r"progress: [0-9.]+ s, ([0-9.]+) tps")


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", default="10,40,120")
    parser.add_argument("--size", type=int, default=50, help="MiB of each tenant")
    parser.add_argument("--large", type=int, default=1024, help="MiB of one more tenant; 0: none")
    parser.add_argument("--wal", type=int, default=1024, help="MiB of WAL after the backup")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=int, default=1, help="rounds in which the other ways run, too")
    options = parser.parse_args()
    figures = Figures("restore")
    spent: dict[int, dict[int, list[float]]] = {}  # MiB of the tenant -> tenants -> seconds without replay
    for count in map(int, options.tenants.split(",")):
        with a_cell() as cell, in_memory(cell):
            target = fill(cell, count, options)
            for database, size in tenants_to_restore(options):
                for number in range(options.rounds):
                    facts = {"tenants": count, "size_mib": size}
                    without = measure(figures, cell, Request(database, target), number < options.peers, facts)
                    spent.setdefault(size, {}).setdefault(count, []).append(without)
            neighbours(figures, cell, target, {"tenants": count, "size_mib": options.size})
    for size, seconds in spent.items():
        grown(figures, size, {count: statistics.median(several) for count, several in seconds.items()})


def grown(figures, size, medians):
    """Write down how all but replay grows from the fewest tenants to the most."""
    fewest, most = min(medians), max(medians)
    if fewest != most:
        facts = {"tenants": f"{fewest} to {most}", "size_mib": size}
        ratio = medians[most] / medians[fewest]
        figures.add("growth without replay", medians[most], "s", ratio, 1.2, **facts)


@contextlib.contextmanager
def in_memory(cell):
    """Have scratch space be memory, as the product chooses it for databases of these sizes."""
    folder = cell.folder / "scratch"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SCRATCH_MIB}m,uid={USER_ID},gid={USER_ID}", "tmpfs", folder], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def tenants_to_restore(options):
    """Return the databases that are restored, with their sizes in MiB."""
    return [("t_1", options.size), *([("t_large", options.large)] if options.large else [])]


def make(cell, name, size):
    """Make a database of so many MiB."""
    cell.ask(f"CREATE DATABASE {name} STRATEGY wal_log")
    with cell.connect(name) as cr:
        cr.execute(TABLES, {"tables": 450, "rows": max(1, size - 25) * ROWS_OF_A_MEBIBYTE})
        cr.execute("VACUUM FREEZE ANALYZE")


def fill(cell, count, options):
    """Make tenants, a backup, and WAL after it; return the target."""
    make(cell, "golden", options.size)
    for number in range(count):
        cell.ask(f"CREATE DATABASE t_{number} TEMPLATE golden STRATEGY wal_log")
    if options.large:
        make(cell, "t_large", options.large)
    cell.backup("full")
    [(start,)] = cell.ask("SELECT pg_current_wal_lsn()::text")
    share = 0
    while written(cell, start) < options.wal << 20:
        for name in [f"t_{number}" for number in range(count)] + ["t_large"] * bool(options.large):
            cell.ask(CHANGE % (100 if name != "t_large" else 2000, share % 100), name)
            if written(cell, start) >= options.wal << 20:
                break
        share += 1
    return Target(TargetKind.NAME, "target", timeline=1, lsn=parse_lsn(cell.restore_point("target")))


def written(cell, start):
    """Return the bytes of WAL since a position."""
    return int(cell.ask("SELECT pg_current_wal_lsn() - %s::pg_lsn", parameters=[start])[0][0])


def measure(figures, cell, request, peers, facts):
    """Do one round and write down its figures; return the seconds of the restore without replay."""
    store = Store(Location.from_environment(cell.environment()))
    programs = Programs(lambda argv: cell.command(*argv), PATHS)
    selective, report = timed(lambda: restored(cell, request, store, programs))
    stages = report.seconds
    replayed = report.segments * SEGMENT_SIZE / 2**20
    without = selective - stages["replay"]
    more = {"stages": stages, "fetched_mib": round(report.fetched / 2**20, 1), "wal_mib": round(replayed), **facts}
    figures.add("selective restore", selective, "s", **more)
    figures.add("selective restore without replay", without, "s", **facts)
    figures.add("replay", replayed / stages["replay"], "MiB/s", goal=100, **facts)
    if peers:
        compare(figures, cell, request, (store, programs), (selective, without), facts)
    return without


def compare(figures, cell, request, ways, ours, facts):
    """Do it in the other ways, and write down ours as ratios to them."""
    (store, programs), (selective, without) = ways, ours
    for name, options in (("db-include", [f"--db-include={request.database}"]), ("full restore", [])):
        seconds, parts = timed(lambda options=options: by_pgbackrest(cell, request, store, programs, options))
        goal = 0.15 if name == "full restore" else None
        figures.add(f"selective over {name}", seconds, "s", selective / seconds, goal, stages=parts, **facts)
    copy, _ = timed(lambda: copied(cell, request.database))
    figures.add("selective without replay over dump and restore", copy, "s", without / copy, goal=2, **facts)


def timed(work):
    """Return the seconds that ``work`` takes, and what it returns."""
    began = time.monotonic()
    found = work()
    return time.monotonic() - began, found


def empty(cell):
    """Make the empty database that is filled; return its address."""
    cell.ask("DROP DATABASE IF EXISTS back")
    cell.ask("CREATE DATABASE back TEMPLATE template0 STRATEGY wal_log")
    return {"PGHOST": f"{cell.folder}/socket", "PGPORT": str(cell.port), "PGUSER": "postgres", "PGDATABASE": "back"}


def restored(cell, request, store, programs):
    """Restore selectively, the product's way."""
    scratch = Scratch(cell.folder / "scratch" / "one", USER_ID)
    return Restore(request, store, scratch, programs).to_server(empty(cell))


def neighbours(figures, cell, target, facts):
    """Restore while others work on the server, and compare what they get done with the seconds before.

    Processors are shared out as the kernel does it for the pods of production: see :data:`SHARES`.
    """
    with shares() as join:
        join("restore", os.getpid(), cell.s3.pid)
        join("server", *cell.pids())
        at_work_beside(figures, cell, target, facts, join)


@contextlib.contextmanager
def shares():
    """Offer a function that has processes, and what they start from then on, be in one of the groups."""
    groups = {name: CGROUPS / f"loomworks-bench-{name}" for name in SHARES}
    for name, folder in groups.items():
        folder.mkdir()
        (folder / "cpu.shares").write_text(str(SHARES[name]))

    def join(name, *pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (groups[name] / "cgroup.procs").write_text(str(pid))

    try:
        yield join
    finally:
        for folder in groups.values():
            dissolve(folder)


def dissolve(folder):
    """Have the processes of a group be in none, and remove it; a server goes on making new ones meanwhile."""
    for tries_left in reversed(range(100)):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (CGROUPS / "cgroup.procs").write_text(pid)
        try:
            folder.rmdir()
            return
        except OSError:
            if not tries_left:
                raise
        time.sleep(0.05)


def at_work_beside(figures, cell, target, facts, join):
    """Measure what the neighbours get done as fast as they can, and at half of that."""
    store = Store(Location.from_environment(cell.environment()))
    programs = Programs(lambda argv: cell.command(*argv), PATHS)
    request = Request("t_1", target)
    cell.ask("CREATE DATABASE neighbour STRATEGY wal_log")
    with at_work(cell, "--initialize", "--scale=20", "--quiet") as process:
        process.wait()
    full = None
    for name in ("neighbours as fast as they can", "neighbours at half of that"):
        pace = [f"--rate={full / 2:.0f}"] if full else []
        seconds = []  # when, and how many transactions
        with at_work(cell, f"--client={NEIGHBOURS}", "--time=600", "--progress=1", *pace) as process:
            join("server", process.pid, *cell.pids())
            thread = threading.Thread(target=listen, args=(process, seconds))
            thread.start()
            time.sleep(QUIET)
            began = time.monotonic()
            while time.monotonic() - began < LEAST:
                restored(cell, request, store, programs)
            over = time.monotonic()
            process.terminate()
            thread.join()
        calm = statistics.mean(count for at, count in seconds if at <= began)
        busy = statistics.mean(count for at, count in seconds if began < at <= over)
        figures.add(name, busy, "transactions a second", busy / calm, 0.95 if full else None, before=calm, **facts)
        full = full or calm


@contextlib.contextmanager
def at_work(cell, *options):
    """Offer pgbench at work in the neighbour's database."""
    address = {**cell.environment(), "PGHOST": f"{cell.folder}/socket", "PGPORT": str(cell.port), "PGUSER": "postgres"}
    argv = cell.command("pgbench", *options, "neighbour")
    process = subprocess.Popen(argv, env=address, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def listen(process, seconds):
    """Keep when each second's report came, and its transactions."""
    for line in process.stderr:
        if found := SECOND.match(line):
            seconds.append((time.monotonic(), float(found[1])))


def by_pgbackrest(cell, request, store, programs, options):
    """Restore with pgBackRest alone and replay; return the seconds of both."""
    scratch = Scratch(cell.folder / "scratch" / "one", USER_ID)
    scratch.prepare()
    catalog = catalogs.read(store)
    backup = choose_backup(catalog, request)
    feed = WalFeed(store, programs, scratch, catalog.archive_id, Segment.parse(backup.first_segment))
    server = ScratchServer(programs, scratch, store.location, request)
    try:
        feed.open()
        fetched, _ = timed(lambda: server.restore_whole(backup.label, feed.command, options))
        feed.unpack()
        replayed, _ = timed(server.replay)
        return {"restore": round(fetched, 2), "replay": round(replayed, 2)}
    finally:
        server.stop()
        feed.close()
        scratch.wipe()


def copied(cell, database):
    """Copy the living tenant by pg_dump and pg_restore, as fast as they can."""
    address = empty(cell)
    folder = cell.folder / "scratch" / "copy"
    options = ["--format=directory", "--compress=none", "--jobs=2", f"--file={folder}", f"--dbname={database}"]
    cell.run("pg_dump", *options, env=address)
    cell.run("pg_restore", "--exit-on-error", "--no-owner", "--jobs=2", "--dbname=back", folder, env=address)
    subprocess.run(["rm", "-rf", folder], check=True)


if __name__ == "__main__":
    main()
