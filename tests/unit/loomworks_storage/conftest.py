"""A real S3 server for all tests of the filestore."""

import shutil
import tempfile
from pathlib import Path

import pytest
from addons.loomworks_storage.filestore.key import Key
from addons.loomworks_storage.filestore.vault import Vault
from filestores import BUCKET, location_of, open_store
from harness.s3_server import S3Server
from stack.settings import Settings


@pytest.fixture(scope="session")
def s3():
    """One server for all; who stops it starts it again."""
    folder = Path(tempfile.mkdtemp(prefix="loomworks-s3-", dir="/tmp"))
    server = S3Server(Settings.from_environment(), folder / "s3")
    try:
        server.start()
        server.client().create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


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
