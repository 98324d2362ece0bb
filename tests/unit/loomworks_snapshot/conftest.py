"""A real database server that archives to a real S3 server, one for all tests of a file, without the cluster."""

import shutil
import tempfile
from pathlib import Path

import pytest
from harness.cell import Cell
from harness.s3_server import S3Server
from stack.settings import Settings


@pytest.fixture(scope="module")
def s3():
    folder = Path(tempfile.mkdtemp(prefix="loomworks-s3-", dir="/tmp"))
    server = S3Server(Settings.from_environment(), folder / "s3")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cell(s3):
    """A server with a stanza, and neither databases nor a backup."""
    folder = Path(tempfile.mkdtemp(prefix="loomworks-cell-", dir="/tmp"))
    folder.chmod(0o755)
    made = Cell(Settings.from_environment(), folder, s3)
    try:
        made.make()
        yield made
    finally:
        made.remove()
