"""A tenant of another platform: a plain Odoo with its own data, users and files, as a dump and a filestore."""

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stack import odoo_host, postgres_root, test_database
from stack.settings import Settings

from .databases import OdooDatabases

MODULES = ["base", "web", "mail"]  # nothing of ours
LOGIN, LOGIN_PASSWORD = "clerk@example.com", "her own password"
CONTENTS = {"photograph": os.urandom(300_000), "letter": b"Dear all", "empty": b""}
LIVED = f"""
import base64
from datetime import datetime, timedelta
contents = {CONTENTS!r}
customer = env["res.partner"].create({{"name": "An old customer"}})
place = {{"res_model": "res.partner", "res_id": customer.id}}
for name, content in contents.items():
    env["ir.attachment"].create({{"name": name, "datas": base64.b64encode(content), **place}})
user = env["res.users"].create({{"name": "Clerk", "login": {LOGIN!r}, "password": {LOGIN_PASSWORD!r}}})
env["ir.mail_server"].create({{"name": "own", "smtp_host": "smtp.example.com"}})
env["ir.config_parameter"].set_param("web.base.url", "https://acme.old.example")
env["ir.config_parameter"].set_param("report.url", "https://acme.old.example")
tomorrow = datetime.now() + timedelta(days=1)
env["res.users.apikeys"].with_user(user)._generate("rpc", "a program", tomorrow)
env.cr.commit()
"""


@dataclass
class OtherPlatform:
    """One tenant there."""

    settings: Settings
    database: str
    configuration: Path
    folder: Path  # of its files

    def live(self):
        """Let somebody work there."""
        host = odoo_host.ensure(self.settings)
        command = [host.python, host.bin, "shell", "-c", self.configuration, "--no-http", "--log-level=error"]
        done = subprocess.run(command, input=LIVED, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "Traceback" not in done.stderr + done.stdout, (done.stderr + done.stdout)[-3000:]

    def dump(self, *options):
        """Return a dump of its database."""
        url = urlsplit(test_database.url(self.settings))
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": url.password, "PGHOST": url.hostname}
        environment |= {"PGPORT": str(url.port), "PGUSER": url.username, "PGDATABASE": self.database}
        argv = [f"{postgres_root.BINARIES}/pg_dump", "--no-owner", "--no-privileges", *options]
        inside = postgres_root.inside(self.settings, argv, {})
        return subprocess.run(inside, env=environment, capture_output=True, check=True).stdout

    def files(self):
        """Return its files by their names below the filestore."""
        found = self.folder.glob("[0-9a-f][0-9a-f]/*")
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def packed(self, files=None):
        """Return a zip as Odoo's own backup is one."""
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (self.files() if files is None else files).items():
                archive.writestr(f"filestore/{name}", content)
            archive.writestr("manifest.json", json.dumps({"odoo_dump": "1"}))
            archive.writestr("dump.sql", self.dump())
        return stream.getvalue()


@contextmanager
def other_platform() -> Iterator[OtherPlatform]:
    """Offer a tenant of another platform, who has worked there."""
    settings = Settings.from_environment()
    databases = OdooDatabases(settings)
    with databases.plain(MODULES, "other_platform") as made:
        one = OtherPlatform(settings, made.name, made.configuration, databases.files(made.name))
        one.live()
        yield one
