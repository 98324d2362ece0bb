"""What was erased is looked for, byte by byte, in all that a real repository holds once its time is over."""

import json
import shutil
import time

import pytest
from addons.loomworks_snapshot.backup.base_backup import read_info
from addons.loomworks_snapshot.backup.expiry import expendable
from addons.loomworks_snapshot.repository import catalog
from addons.loomworks_snapshot.repository.store import Store
from harness.restoring import location
from stack.postgres_root import USER_ID

NAME, DATA = b"Erased & Sons", b"their secret 4711"


@pytest.fixture
def folder(own_cell):
    """A folder for what is unpacked."""
    path = own_cell.folder / "unpacked"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def holding(cell, folder):
    """Return which base backups and WAL segments hold the tenant's name or data."""
    store = Store(location(cell))
    found = [one.label for one in catalog.read(store).backups if is_in_backup(cell, folder, one.label)]
    names = {item.name.rpartition("/")[2].partition("-")[0] for item in store.list("archive/main")}
    segments = sorted(name for name in names if len(name) == 24)
    return found, [name for name in segments if is_in_segment(cell, folder, name)]


def emptied(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.chown(folder, USER_ID, USER_ID)
    folder.chmod(0o700)


def is_in_backup(cell, folder, label):
    emptied(folder)
    where = [f"--pg1-path={folder}", f"--lock-path={cell.folder}/lock-of-search", f"--set={label}"]
    cell.run("pgbackrest", "--stanza=main", *where, "--type=none", "--log-level-file=off", "restore")
    return any(holds(path) for path in folder.rglob("*") if path.is_file())


def is_in_segment(cell, folder, name):
    emptied(folder)
    cell.run("pgbackrest", "--stanza=main", "archive-get", name, folder / name)
    return holds(folder / name)


def holds(path):
    content = path.read_bytes()
    return NAME in content or DATA in content


def expire(cell):
    """Remove what the product's rule gives up once the window has passed, by the command of its steward."""
    backups = read_info(json.loads(cell.run("pgbackrest", "--stanza=main", "--output=json", "info")))
    labels = expendable(backups, time.time(), ())
    for done, label in enumerate(labels, 1):
        left = f"--repo1-retention-archive={len(backups) - done}"
        cell.run("pgbackrest", "--stanza=main", f"--set={label}", left, "expire")


def test_nothing_of_an_erased_tenant_is_left_after_its_time(own_cell, folder):
    cell = own_cell
    cell.ask("CREATE DATABASE t_stays STRATEGY wal_log")
    cell.ask("CREATE DATABASE t_erased STRATEGY wal_log")
    cell.ask(f"CREATE TABLE line AS SELECT '{NAME.decode()}' name, '{DATA.decode()}' note", "t_erased")
    first = cell.backup("full")
    cell.ask("UPDATE line SET note = note || '!'", "t_erased")
    cell.archive()
    cell.ask("DROP DATABASE t_erased")
    cell.archive()
    backups, segments = holding(cell, folder)
    assert backups == [first]  # the search finds what there is
    assert segments
    second = cell.backup("full")
    time.sleep(1.1)
    expire(cell)
    assert holding(cell, folder) == ([], [])
    assert [one.label for one in catalog.read(Store(location(cell))).backups] == [second]
