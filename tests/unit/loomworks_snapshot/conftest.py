"""A database server that archives to a real S3: one for all tests that leave its archive whole."""

import pytest
from addons.loomworks_snapshot.repository.location import Location
from addons.loomworks_snapshot.repository.store import Store
from harness.cell import BUCKET, CIPHER_PASS, a_cell
from harness.s3_server import REGION


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
