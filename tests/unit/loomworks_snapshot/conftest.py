"""A database server that archives to a real S3: one for all tests that leave its archive whole."""

import pytest
from addons.loomworks_snapshot.repository.store import Store
from harness.cell import a_cell
from harness.restoring import location


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
    return Store(location(cell))
