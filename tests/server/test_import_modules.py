"""What is installed in a database that was brought in: a plain Odoo's, or one that has what this platform has not."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
from harness.databases import OdooDatabases
from stack import odoo_host
from stack.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "infrastructure/docker/odoo/bin/loomworks-import-modules"
MODULES = ("base", "web", "loomworks_client", "loomworks_ai")


@pytest.fixture
def plain():
    """The database of an Odoo that knows nothing of this platform."""
    with OdooDatabases(Settings.from_environment()).plain(["base", "web"], "import_modules") as made:
        yield made.name


@pytest.fixture
def run(server_url, tmp_path):
    """Run the script on a database; return the exit code and what it said last."""

    def run(database, **changes):
        url = urlsplit(server_url)
        environment = {"PGHOST": url.hostname, "PGPORT": str(url.port), "PGUSER": url.username}
        environment |= {"PGPASSWORD": url.password, "PGDATABASE": database, "LOOMWORKS_PRIVATE_CHANNELS": "1"}
        own = {"LOOMWORKS_ADDONS": str(REPOSITORY), "LOOMWORKS_IMPORT_DATA": str(tmp_path / "data")}
        host = odoo_host.ensure(Settings.from_environment())
        own |= {
            "LOOMWORKS_ADDONS_PATH": f"{host.addons_path},{REPOSITORY}",
            "LOOMWORKS_IMPORT_MODULES": ",".join(MODULES),
        }
        environment = {**os.environ, **environment, **own, **changes}
        done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    return run


def ask(server_url, database, statement):
    with closing(psycopg2.connect(urlsplit(server_url)._replace(path=f"/{database}").geturl())) as connection:
        cr = connection.cursor()
        cr.execute(statement)
        found = cr.fetchall() if cr.description else None
        connection.commit()
        return found


def test_plain_odoo_gets_what_every_tenant_has_and_once_more_changes_nothing(plain, run, server_url):
    code, said = run(plain)
    assert code == 0, said
    assert set(said["report"]["installed"]) == {"loomworks_client", "loomworks_ai"}
    found = ask(
        server_url,
        plain,
        "SELECT count(*) FROM ir_model_data WHERE module = 'loomworks_client' AND name = 'user_service'",
    )
    assert found == [(1,)]
    code, said = run(plain)
    assert (code, said["report"]["installed"]) == (0, [])


def test_module_that_this_platform_lacks_is_named_and_nothing_is_installed(plain, run, server_url):
    ask(server_url, plain, "INSERT INTO ir_module_module (name, state) VALUES ('their_saas_client', 'installed')")
    code, said = run(plain)
    assert (code, said["error"]["code"], said["error"]["retryable"]) == (1, "import_modules_unknown", False)
    assert "their_saas_client" in said["error"]["message"]
    states = ask(server_url, plain, "SELECT DISTINCT state FROM ir_module_module WHERE name LIKE 'loomworks%'")
    assert ("installed",) not in states


def test_module_that_cannot_be_installed_fails_in_words(plain, run):
    code, said = run(plain, LOOMWORKS_IMPORT_MODULES="base,no_such_module")
    assert code == 1
    assert said["error"]["code"] == "import_modules_failed"


def test_database_that_is_away_is_worth_another_try(plain, run):
    code, said = run(plain, PGPASSWORD="wrong")
    assert (code, said["error"]["retryable"]) == (75, True)
