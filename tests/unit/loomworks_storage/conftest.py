"""A real S3 server for all tests of the filestore."""

import pytest
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.vault import Vault
from filestores import BUCKET, location_of, open_store
from harness.s3_server import serving


@pytest.fixture(scope="session")
def s3():
    """One server for all; who stops it starts it again."""
    with serving(BUCKET) as server:
        yield server


@pytest.fixture
def key():
    return Key.generate()


@pytest.fixture
def location(s3):
    """The part of a new tenant."""
    return location_of(s3)


@pytest.fixture
def vault(location, key):
    return Vault(open_store(location), key)
