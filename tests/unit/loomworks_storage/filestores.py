"""Filestores for tests: folders with files as Odoo writes them, and stores in which something happens."""

import hashlib
import os
import time
from uuid import uuid4

from addons.loomworks_storage.filestore import store as stores
from addons.loomworks_storage.filestore.folder import Folder
from addons.loomworks_storage.filestore.location import Location
from addons.loomworks_storage.filestore.store import Store
from harness.s3_server import REGION

BUCKET = "loomworks-filestores"
AGO = 3600  # seconds


class Killed(Exception):
    """The run ends here."""


def digest_of(content):
    return hashlib.sha1(content).hexdigest()


def write(folder, content, digest="", age=AGO):
    """Write a file as Odoo does, ``age`` seconds ago; return its digest."""
    digest = digest or digest_of(content)
    path = folder.path(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - age
    os.utime(path, (then, then))
    return digest


def settle(folder, at=None):
    """Have all directories be last changed long ago, at a time if one is given."""
    for path in folder.root.iterdir():
        then = time.time() - AGO if at is None else at
        os.utime(path, (then, then))


def contents(folder):
    """Return what is in a folder, by path."""
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in folder.root.glob("[0-9a-f][0-9a-f]/*")}


def a_folder(path, *files):
    """Make a folder with these contents."""
    folder = Folder(path)
    path.mkdir(parents=True, exist_ok=True)
    for content in files:
        write(folder, content)
    settle(folder)
    return folder


def location_of(s3, tenant=""):
    return Location(
        tenant=tenant or str(uuid4()),
        endpoint=s3.endpoint,
        bucket=BUCKET,
        region=REGION,
        key=s3.key,
        key_secret=s3.key_secret,
        ca_file=str(s3.ca_file),
    )


def open_store(location, kind=Store, *arguments):
    """Return a store on the connections that other tests have left open."""
    store = kind(location, *arguments)
    account = (location.endpoint, location.key_secret, stores.ATTEMPTS)
    store._client = _clients.setdefault(account, store._client)
    return store


_clients = {}


class EventfulStore(Store):
    """A store where something happens before one of the objects is written."""

    def __init__(self, location, at, event):
        super().__init__(location)
        self.written = []
        self.prepare(at, event)

    def prepare(self, at, event):
        """Have ``event`` happen before the object that is the ``at``-th from now on; never, when that is negative."""
        self._left, self._event = at, event

    def put(self, name, data, *, replace=False):
        self._count()
        done = super().put(name, data, replace=replace)
        self.written += [name] * done
        return done

    def put_parts(self, name, parts, *, replace=False):
        self._count()
        done = super().put_parts(name, parts, replace=replace)
        self.written += [name] * done
        return done

    def _count(self):
        self._left -= 1
        if self._left == -1:
            self._event()


def killed():
    raise Killed
