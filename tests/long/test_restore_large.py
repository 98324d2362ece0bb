"""A tenant of 5 GB, with tables of several files, restored out of a server with a small neighbour."""

import pytest
from harness import engines

engines.register()

from harness.cell import a_cell  # noqa: E402
from harness.restoring import named, restore, whole  # noqa: E402

pytestmark = pytest.mark.timeout(3600)
ROWS = 44_000_000  # 124 bytes a row with its index


def test_five_gigabytes():
    with a_cell() as cell:
        for name in ("t_large", "t_small"):
            cell.ask(f"CREATE DATABASE {name} STRATEGY wal_log")
            cell.ask("CREATE TABLE line (g int PRIMARY KEY, body text)", name)
        fill = "INSERT INTO line SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(%s, %s) g"
        cell.ask(fill, "t_large", [1, ROWS])
        cell.ask(fill, "t_small", [1, 1000])
        assert cell.ask("SELECT pg_database_size('t_large')")[0][0] > 5 * 2**30
        cell.backup("full")
        cell.ask("UPDATE line SET body = 'changed' WHERE g % 1000 = 0", "t_large")
        cell.backup("incr")
        cell.ask("DELETE FROM line WHERE g % 1001 = 0", "t_large")
        before = checksum(cell, "t_large")
        target = named(cell, "target")
        neighbour = whole(cell, "t_small")
        report = restore(cell, "t_large", target, "t_back")
        print(report)
        assert checksum(cell, "t_back") == before
        assert whole(cell, "t_small") == neighbour


def checksum(cell, database):
    """Sum the rows' hashes: sorting so many for one hash would take longer than everything else."""
    return cell.ask("SELECT count(*), sum(hashtextextended(t::text, 0)) FROM line t", database)
