"""A database server that archives to a real S3: one for all tests that leave its archive whole."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from addons.loomworks_snapshot.repository.location import Location
from addons.loomworks_snapshot.repository.store import Store
from harness.cell import BUCKET, CIPHER_PASS, Cell
from harness.s3_server import REGION, S3Server
from stack.settings import Settings


@contextmanager
def a_cell():
    """Offer a running server with its stanza, and leave nothing of it behind."""
    folder = Path(tempfile.mkdtemp(prefix="loomworks-cell-"))
    folder.chmod(0o755)  # PostgreSQL is another user
    settings = Settings.from_environment()
    s3 = S3Server(settings, folder / "s3")
    one = Cell(settings, folder / "cell", s3)
    try:
        s3.start()
        one.make()
        yield one
    finally:
        one.stop()
        s3.stop()
        shutil.rmtree(folder)


def location_of(cell, **changes):
    """Return where the cell's repository is."""
    values = {
        "endpoint": cell.s3.endpoint,
        "bucket": BUCKET,
        "region": REGION,
        "key": cell.s3.key,
        "key_secret": cell.s3.key_secret,
        "cipher_pass": CIPHER_PASS,
        "ca_file": str(cell.s3.ca_file),
    }
    return Location(**{**values, **changes})


@pytest.fixture(scope="session")
def cell():
    """A server with one full base backup."""
    with a_cell() as one:
        one.backup()
        yield one


@pytest.fixture(scope="module")
def own_cell():
    """A server without a backup, of which the tests of one file may do what they like."""
    with a_cell() as one:
        yield one


@pytest.fixture(scope="session")
def store(cell):
    """Its repository."""
    return Store(location_of(cell))
