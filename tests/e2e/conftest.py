"""The running stack, as a script of its users sees it: build/dev/env, JSON-2, the edge, and the cluster itself."""

import base64
import contextlib
import os
import re
import secrets
import shlex
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from harness import engines
from harness.cluster import control_sql, in_odoo
from psycopg2 import sql

engines.register()

from addons.loomworks_tenant.kube import names  # noqa: E402  (only importable once registered)
from addons.loomworks_tenant.kube.client import KubeClient  # noqa: E402
from addons.loomworks_tenant.postgres.server import DatabaseServer  # noqa: E402
from addons.loomworks_tenant.reconciler.spec import ServerSpec  # noqa: E402

ENV_FILE = Path(os.environ.get("LOOMWORKS_STATE") or Path(__file__).parents[2] / "build" / "dev") / "env"
PASSWORD = "correct horse battery staple"
PATIENCE = int(os.environ.get("LOOMWORKS_E2E_PATIENCE", "300"))  # seconds; a template may have to be built
EXPORT = re.compile(r"^export (\w+)=(.*)$")
BUSINESS = ("res_partner", "res_company", "res_users", "ir_attachment", "ir_sequence", "ir_model_data")


def pytest_collection_modifyitems(items):
    """Everything here needs the cluster."""
    for item in items:
        item.add_marker("cluster")


def read_env():
    """Return what ``make up`` wrote for scripts."""
    found = (EXPORT.match(line) for line in ENV_FILE.read_text().splitlines())
    return {match[1]: shlex.split(match[2])[0] for match in found if match}


@pytest.fixture(scope="session")
def stack():
    """What ``make up`` wrote for scripts."""
    if not ENV_FILE.exists():
        pytest.fail("the stack is not up: run `make up` first")
    return read_env()


class Refused(Exception):
    """The control plane answered a call with an error; its text is the message."""


@dataclass
class Json2:
    """Calls of methods by JSON-2, as README.md documents them."""

    url: str
    key: str
    host: str | None = None

    def __call__(self, model, method, **arguments):
        headers = {"Authorization": f"bearer {self.key}", **({"Host": self.host} if self.host else {})}
        answer = requests.post(f"{self.url}/json/2/{model}/{method}", json=arguments, headers=headers, timeout=60)
        if answer.status_code != 200:
            raise Refused(f"{answer.status_code} {_text(answer)}")
        return answer.json()


def _text(answer):
    try:
        return answer.json().get("message") or answer.text
    except ValueError:
        return answer.text[:300]


@pytest.fixture(scope="session")
def call(stack):
    """Call a method of the control plane as the operator, once it answers."""
    end = time.monotonic() + PATIENCE
    while requests.get(f"{stack['LOOMWORKS_URL']}/web/health", timeout=30).status_code != 200:
        assert time.monotonic() < end, "the control plane does not answer"
        time.sleep(0.5)
    return Json2(stack["LOOMWORKS_URL"], stack["LOOMWORKS_API_KEY"])


@pytest.fixture(scope="session")
def kube(stack):
    """The cluster, as its administrator."""
    return KubeClient(f"file:{stack['KUBECONFIG']}")


class LookedInto(DatabaseServer):
    """The server for tests that read what tenants have; the product itself reads their tables as their owners only."""

    def connect(self, database=None, *, search_path="public", **options):
        return super().connect(database, search_path=search_path, **options)


def provisioning_server(kube):
    """Return the database server as the provisioning role; reached by its cluster address."""
    address = kube.get("Service", "postgres", "loomworks")["spec"]["clusterIP"]
    if address == "None":
        address = kube.get("Pod", "postgres-0", "loomworks")["status"]["podIP"]
    secret = kube.get("Secret", "postgres-credentials", "loomworks")["data"]["provisioner-password"]
    os.environ["LOOMWORKS_E2E_PROVISIONER"] = base64.b64decode(secret).decode()
    return LookedInto(ServerSpec(address, 5432, "loomworks_provisioner", "env:LOOMWORKS_E2E_PROVISIONER"))


@pytest.fixture(scope="session")
def server(kube):
    """The database server, as the provisioning role."""
    return provisioning_server(kube)


@dataclass
class Tenant:
    """One tenant of the running control plane."""

    call: Json2
    stack: dict
    id: int
    uuid: str
    subdomain: str
    database: str

    @property
    def namespace(self):
        return names.namespace(self.uuid)

    @property
    def host(self):
        return f"{self.subdomain}.{self.stack['LOOMWORKS_DOMAIN']}"

    def act(self, action, **arguments):
        return self.call("loomworks.tenant", action, ids=[self.id], **arguments)

    def read(self, *fields):
        return self.call("loomworks.tenant", "read", ids=[self.id], fields=list(fields))[0]

    def steps(self):
        domain = [["tenant_id", "=", self.id]]
        fields = ["code", "state", "message", "error_code", "attempts"]
        rows = self.call("loomworks.tenant.step", "search_read", domain=domain, fields=fields)
        return {row["code"]: row for row in rows}

    def wait(self, reached, seconds=PATIENCE):
        """Return the tenant's values once ``reached(values)`` holds."""
        end = time.monotonic() + seconds
        while True:
            values = self.read("state", "working", "error_message", "error_code", "current_step", "erased_at")
            if reached(values):
                return values
            assert time.monotonic() < end, f"not reached in {seconds} s: {values}, {self.steps()}"
            time.sleep(0.2)

    def wait_settled(self, state):
        return self.wait(lambda values: values["state"] == state and not values["working"])

    def get(self, path, **options):
        """GET a page of the tenant through the edge, by its own name."""
        url = f"http://{self.stack['LOOMWORKS_EDGE']}{path}"
        return requests.get(url, headers={"Host": self.host}, timeout=60, allow_redirects=False, **options)


@pytest.fixture(scope="session")
def make_tenant(call, stack):
    """Make tenants; whatever a test leaves is erased at the end."""
    yield from tenant_maker(call, stack)


def tenant_maker(call, stack):
    """Yield what makes tenants, and erase them when asked for more."""
    made = []

    def make(*, provision=True, **values):
        subdomain = values.pop("subdomain", f"e2e-{secrets.token_hex(4)}")
        plan = call("loomworks.plan", "search", domain=[["code", "=", values.pop("plan", "basic")]])
        values = {"name": subdomain.title(), "subdomain": subdomain, "plan_id": plan[0], **values}
        tenant_id = call("loomworks.tenant", "create", vals_list=[values])[0]
        row = call("loomworks.tenant", "read", ids=[tenant_id], fields=["uuid", "database_name"])[0]
        tenant = Tenant(call, stack, tenant_id, row["uuid"], subdomain, row["database_name"])
        made.append(tenant)
        if provision:
            tenant.act("action_provision")
        return tenant

    try:
        yield make
    finally:
        erase(made)


def erase(tenants):
    """Archive and erase tenants, and wait until nothing of them is left."""
    for tenant in tenants:
        with contextlib.suppress(Refused):
            tenant.act("action_archive", reason="the test is over")
        with contextlib.suppress(Refused):
            tenant.act("action_erase", confirm_name=tenant.read("name")["name"], reason="the test is over")
    for tenant in tenants:
        with contextlib.suppress(Refused):
            tenant.wait(lambda values: values["erased_at"])


@pytest.fixture(scope="session")
def acme(make_tenant):
    """A tenant that serves, shared by the tests that only look at it."""
    tenant = make_tenant()
    tenant.wait_settled("active")
    return tenant


@pytest.fixture(scope="session")
def globex(make_tenant):
    """Another one, to be kept apart from the first."""
    tenant = make_tenant()
    tenant.wait_settled("active")
    return tenant


def first_login(tenant):
    """Follow the one-time link as the tenant's administrator; return the session and the link's path."""
    link = tenant.act("action_first_login_link")["params"]["links"][0]["url"]
    path = "/" + link.split("/", 3)[3]
    session = requests.Session()
    session.headers["Host"] = tenant.host
    url = f"http://{tenant.stack['LOOMWORKS_EDGE']}{path}"
    page = session.get(url, timeout=60)
    assert page.status_code == 200, page.text[:500]
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]
    fields = {"csrf_token": token, "password": PASSWORD, "confirm_password": PASSWORD}
    done = session.post(url, data=fields, timeout=60, allow_redirects=False)
    assert done.status_code in (302, 303), done.text[:500]
    return session, path


@dataclass
class Administrator:
    """The administrator of a tenant, at work in its own Odoo."""

    tenant: Tenant
    session: requests.Session

    def __call__(self, model, method, *args, **kwargs):
        url = f"http://{self.tenant.stack['LOOMWORKS_EDGE']}/web/dataset/call_kw"
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        body = {"jsonrpc": "2.0", "method": "call", "params": params}
        answer = self.session.post(url, json=body, timeout=60).json()
        if "error" in answer:
            raise Refused(answer["error"]["data"]["message"])
        return answer["result"]


@pytest.fixture
def administrator():
    """Log in to a tenant for the first time and work there."""
    return lambda tenant: Administrator(tenant, first_login(tenant)[0])


@pytest.fixture
def in_pod(stack):
    """Run a command in a tenant's Odoo."""
    return lambda tenant, *command: in_odoo(stack, tenant.namespace, *command)


@pytest.fixture
def secret(kube):
    """Read one value of a Secret."""

    def read(namespace, name, key):
        return base64.b64decode(kube.get("Secret", name, namespace)["data"][key]).decode()

    return read


@pytest.fixture(scope="session")
def customer(call):
    """Somebody who may be a tenant's administrator: id and address."""
    address = f"{secrets.token_hex(4)}@customer.example"
    domain = [["name", "=", "group_tenant_admin"], ["model", "=", "res.groups"]]
    (group,) = call("ir.model.data", "search_read", domain=domain, fields=["res_id"])
    values = {"name": "A customer", "login": address, "email": address, "group_ids": [[6, 0, [group["res_id"]]]]}
    (number,) = call("res.users", "create", vals_list=[values])
    yield number, address
    call("res.users", "write", ids=[number], vals={"active": False})


MAILS = """
    SELECT subject FROM mail_mail JOIN mail_message ON mail_message.id = mail_message_id
     WHERE model = 'loomworks.tenant' AND mail_message.res_id = {tenant} AND (email_to LIKE '%{address}%' OR EXISTS
           (SELECT FROM mail_mail_res_partner_rel JOIN res_partner ON res_partner.id = res_partner_id
             WHERE mail_mail_id = mail_mail.id AND email = '{address}'))
     ORDER BY mail_mail.id
"""


@pytest.fixture
def mails(stack, customer):
    """Read the subjects of what is or was in the control plane's queue about a tenant for the customer."""

    def read(tenant):
        return control_sql(stack, MAILS.format(tenant=tenant.id, address=customer[1]))

    return read


@contextlib.contextmanager
def repeated(work, pause):
    """Do ``work`` again and again beside the block, ``pause`` seconds apart; raise what it raised."""
    over = threading.Event()

    def run():
        while not over.wait(pause):
            work()

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(run)
        try:
            yield
        finally:
            over.set()
        going.result()


def business(server, database):
    """Return a checksum of each table that no cron of an idle Odoo writes to."""
    found = {}
    with server.connect(database) as cr:
        for table in BUSINESS:
            query = "SELECT count(*) AS count, md5(string_agg(t::text, '|' ORDER BY t::text)) AS sum FROM {} t"
            cr.execute(sql.SQL(query).format(sql.Identifier(table)))
            found[table] = tuple(cr.fetchone().values())
    return found


@dataclass
class Mistaken:
    """A tenant whose partner was "as it was" at ``moment``, when its tables were ``before``, and is no longer."""

    tenant: object
    work: object
    partner: int
    moment: str
    before: dict

    def name(self):
        return self.work("res.partner", "read", [self.partner], ["name"])[0]["name"]

    def take_back(self):
        """Have the tenant restored; return the restore's id."""
        return self.tenant.act("restore_to", moment=self.moment)


@pytest.fixture
def mistaken(make_tenant, administrator, server):
    """Make such a tenant."""
    tenant = make_tenant()
    tenant.wait_settled("active")
    work = administrator(tenant)
    (partner,) = work("res.partner", "create", [{"name": "as it was"}])
    time.sleep(1.1)  # moments are given in whole seconds
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    time.sleep(1.1)
    before = business(server, tenant.database)
    work("res.partner", "write", [partner], {"name": "a mistake"})
    return Mistaken(tenant, work, partner, moment, before)
