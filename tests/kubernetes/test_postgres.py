"""The database server of the running stack: who gets in, what they may do, and that all of it is archived."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import psycopg2
import pytest
from api_server import Kubectl, Refused, wait_until
from psycopg2 import errors

pytestmark = pytest.mark.cluster

POD = ("--namespace", "loomworks", "postgres-0")
Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def inside(kubectl: Kubectl) -> Callable[..., str]:
    """Run a command beside the server, as its own user."""
    return lambda *command: kubectl("exec", *POD, "--container=steward", "--", *command)


@pytest.fixture(scope="module")
def superuser(inside: Callable[..., str]) -> Callable[[str], str]:
    """Run SQL as the superuser through the pod's socket."""
    return lambda sql: inside("psql", "-XAtU", "postgres", "-d", "postgres", "-c", sql).strip()


@pytest.fixture(scope="module")
def connect(kubectl: Kubectl) -> Connect:
    """Connect over the network, as a pod would."""
    address = kubectl.get("service", "postgres", "--namespace", "loomworks")["spec"]["clusterIP"]
    secret = decoded(kubectl.get("secret", "postgres-credentials", "--namespace", "loomworks"))
    passwords = {f"loomworks_{role}": secret[f"{role}-password"] for role in ("provisioner", "control")}

    @contextmanager
    def open_connection(user: str, database: str = "postgres", **options: Any) -> Iterator[Any]:
        values = {"sslmode": "require", "password": passwords.get(user, "wrong"), **options}
        with closing(psycopg2.connect(host=address, user=user, dbname=database, connect_timeout=5, **values)) as found:
            found.autocommit = True
            yield found.cursor()

    return open_connection


@pytest.fixture
def tenant(connect: Connect) -> Iterator[str]:
    """A role and a database of a tenant, made and removed as the control plane does."""
    name = f"t_{uuid4().hex}"
    with connect("loomworks_provisioner") as cr:
        cr.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'probe'")
        cr.execute(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
        cr.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        yield name
        cr.execute(f"DROP DATABASE {name}")
        cr.execute(f"DROP ROLE {name}")


# --- the door ------------------------------------------------------------------------------------


def test_a_connection_without_tls_is_refused(connect: Connect) -> None:
    with (
        pytest.raises(psycopg2.OperationalError, match="no encryption"),
        connect("loomworks_control", sslmode="disable"),
    ):
        pass


def test_the_certificate_is_the_authoritys(kubectl: Kubectl, connect: Connect, tmp_path: Any) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text(decoded(kubectl.get("secret", "postgres-tls", "--namespace", "loomworks"))["ca.crt"])
    with connect("loomworks_control", sslmode="verify-ca", sslrootcert=str(authority)) as cr:
        cr.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert cr.fetchone()[0] >= "TLSv1.2"


def test_the_superuser_does_not_come_over_the_network(connect: Connect) -> None:
    with pytest.raises(psycopg2.OperationalError, match="rejects connection"), connect("postgres"):
        pass


def test_a_wrong_password_is_refused(connect: Connect) -> None:
    with (
        pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
        connect("loomworks_control", password="wrong"),
    ):
        pass


def test_passwords_are_kept_as_scram(superuser: Callable[[str], str]) -> None:
    stored = superuser("SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname LIKE 'loomworks\\_%' AND rolcanlogin")
    assert set(stored.split()) == {"SCRAM-SHA-256$"}


# --- the roles -----------------------------------------------------------------------------------


def test_no_role_of_ours_is_a_superuser(superuser: Callable[[str], str]) -> None:
    assert superuser("SELECT rolname FROM pg_roles WHERE rolsuper OR rolreplication OR rolbypassrls") == "postgres"


def test_the_provisioner_owns_what_it_makes_for_a_tenant(connect: Connect, tenant: str) -> None:
    """It works in the tenant's database as the tenant: what it makes there is the tenant's."""
    with connect("loomworks_provisioner", tenant) as cr:
        cr.execute(f"SET ROLE {tenant}")
        cr.execute("CREATE TABLE probe (id int)")
        cr.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'probe'")
        assert cr.fetchone()[0] == tenant


def test_the_provisioner_reads_no_password(connect: Connect) -> None:
    with connect("loomworks_provisioner") as cr, pytest.raises(errors.InsufficientPrivilege):
        cr.execute("SELECT rolpassword FROM pg_authid")


def test_the_provisioner_does_not_enter_the_control_planes_database(connect: Connect) -> None:
    with (
        pytest.raises(psycopg2.OperationalError, match="permission denied"),
        connect("loomworks_provisioner", "loomworks"),
    ):
        pass


def test_the_control_role_makes_neither_roles_nor_databases(connect: Connect) -> None:
    with connect("loomworks_control") as cr:
        for statement in ("CREATE ROLE probe", "CREATE DATABASE probe"):
            with pytest.raises(errors.InsufficientPrivilege):
                cr.execute(statement)


@pytest.mark.parametrize("database", ["postgres", "template1", "loomworks"])
def test_a_tenant_connects_to_its_own_database_only(connect: Connect, tenant: str, database: str) -> None:
    with connect(tenant, tenant, password="probe") as cr:
        cr.execute("SELECT current_database()")
        assert cr.fetchone()[0] == tenant
    with (
        pytest.raises(psycopg2.OperationalError, match="permission denied"),
        connect(tenant, database, password="probe"),
    ):
        pass


def test_a_tenant_does_not_enter_another_tenants_database(connect: Connect, tenant: str) -> None:
    other = f"t_{uuid4().hex}"
    with connect("loomworks_provisioner") as cr:
        cr.execute(f"CREATE ROLE {other} LOGIN PASSWORD 'probe'")
        try:
            with (
                pytest.raises(psycopg2.OperationalError, match="permission denied"),
                connect(other, tenant, password="probe"),
            ):
                pass
        finally:
            cr.execute(f"DROP ROLE {other}")


# --- what restoring needs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_checksums", "on"),
        ("full_page_writes", "on"),
        ("wal_level", "replica"),
        ("archive_mode", "on"),
        ("fsync", "on"),
        ("password_encryption", "scram-sha-256"),
    ],
)
def test_a_setting_is_what_restoring_needs(superuser: Callable[[str], str], name: str, value: str) -> None:
    assert superuser(f"SHOW {name}") == value


def information(inside: Callable[..., str]) -> dict[str, Any]:
    """Return what the repository itself says of the server's stanza."""
    return json.loads(inside("pgbackrest", "--stanza=main", "--output=json", "info"))[0]


def test_the_repository_holds_a_backup_and_is_encrypted(inside: Callable[..., str]) -> None:
    wait_until(lambda: information(inside)["backup"])
    found = information(inside)
    assert found["status"]["message"] == "ok"
    assert found["cipher"] == "aes-256-cbc"


def test_a_segment_that_is_switched_reaches_the_repository(
    inside: Callable[..., str], superuser: Callable[[str], str]
) -> None:
    superuser(f"SELECT pg_create_restore_point('probe-{time.time()}')")
    segment = superuser("SELECT pg_walfile_name(pg_switch_wal())")
    wait_until(lambda: information(inside)["archive"][0]["max"] >= segment)


@dataclass(frozen=True)
class Bucket:
    """The repository's bucket, with the repository's own keys, from this machine."""

    client: Any
    name: str

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def keys(self, prefix: str) -> set[str]:
        """Return the keys of all objects below ``prefix``."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}


@pytest.fixture(scope="module")
def bucket(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """The bucket in which the running server's repository is."""
    secret = decoded(kubectl.get("secret", "pgbackrest-s3", "--namespace", "loomworks"))
    where = repository(kubectl)
    endpoint = kubectl.get("endpointslice", "s3", "--namespace", "loomworks")
    authority = tmp_path_factory.mktemp("s3") / "ca.crt"
    authority.write_text(secret["ca.crt"])
    client = boto3.client(
        "s3",
        endpoint_url=f"https://{endpoint['endpoints'][0]['addresses'][0]}:{endpoint['ports'][0]['port']}",
        region_name=where["PGBACKREST_REPO1_S3_REGION"],
        aws_access_key_id=secret["key"],
        aws_secret_access_key=secret["key-secret"],
        verify=str(authority),
    )
    return Bucket(client, where["PGBACKREST_REPO1_S3_BUCKET"])


def decoded(secret: dict[str, Any]) -> dict[str, str]:
    """The values of a Secret."""
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def repository(kubectl: Kubectl) -> dict[str, str]:
    """Where the running server's repository is."""
    maps = kubectl.get("configmap", "--namespace", "loomworks", "--sort-by=.metadata.creationTimestamp")["items"]
    return [item["data"] for item in maps if item["metadata"]["name"].startswith("pgbackrest-config-")][-1]


def test_the_objects_in_the_bucket_are_not_readable(bucket: Bucket) -> None:
    """What lies there begins like anything that OpenSSL has salted, whatever it is of."""
    body = bucket.read("pgbackrest/backup/main/backup.info")
    assert body.startswith(b"Salted__")
    assert b"[backrest]" not in body


def steward(kubectl: Kubectl) -> dict[str, Any]:
    """The state of the steward's container."""
    states = kubectl.get("pod", *POD)["status"]["containerStatuses"]
    return next(state for state in states if state["name"] == "steward")


# --- work that the control plane asks for ---------------------------------------------------------

Ask = Callable[..., int]
Ended = Callable[[int], dict[str, Any]]


@pytest.fixture(scope="module")
def ask(connect: Connect) -> Ask:
    """Ask the steward for a piece of work, as the control plane does; return its number."""

    def asked(kind: str, argument: str | None = None) -> int:
        with connect("loomworks_provisioner") as cr:
            cr.execute(
                "INSERT INTO loomworks.repository_work (kind, argument) VALUES (%s, %s) RETURNING id", [kind, argument]
            )
            return cr.fetchone()[0]

    return asked


@pytest.fixture(scope="module")
def ended(connect: Connect) -> Ended:
    """Wait until a piece of work has ended and the repository was looked at again; return its row."""
    columns = "kind, exit_code, message, label, started_at, finished_at"

    def wait(number: int) -> dict[str, Any]:
        def row() -> dict[str, Any] | None:
            # Without its steward the pod is not ready, and its Service leads nowhere.
            with suppress(psycopg2.OperationalError), connect("loomworks_provisioner") as cr:
                cr.execute(
                    f"SELECT {columns} FROM loomworks.repository_work, loomworks.repository_info"
                    " WHERE repository_work.id = %s AND finished_at < tried_at",
                    [number],
                )
                found = cr.fetchone()
                return dict(zip(columns.split(", "), found, strict=True)) if found else None
            return None

        wait_until(row, 120)
        return row() or {}

    return wait


def backups(connect: Connect) -> dict[str, dict[str, Any]]:
    """What the steward last wrote of the backups, by label."""
    with connect("loomworks_provisioner") as cr:
        cr.execute("SELECT info FROM loomworks.repository_info")
        return {one["label"]: one for one in cr.fetchone()[0][0]["backup"]}


def test_backups_that_were_asked_for_are_made_and_listed_with_their_range(
    connect: Connect, ask: Ask, ended: Ended
) -> None:
    full, incremental = (ended(ask(kind)) for kind in ("full", "incr"))
    assert (full["exit_code"], incremental["exit_code"]) == (0, 0), incremental["message"]
    first, second = (backups(connect)[row["label"]] for row in (full, incremental))
    assert (first["type"], second["type"], second["prior"]) == ("full", "incr", first["label"])
    assert first["archive"]["start"] <= first["archive"]["stop"] <= second["archive"]["start"]
    assert first["lsn"]["start"] < first["lsn"]["stop"]


@pytest.mark.alone
def test_steward_that_ended_during_a_backup_starts_again_and_makes_the_next_one(
    kubectl: Kubectl, connect: Connect, inside: Callable[..., str], ask: Ask, ended: Ended
) -> None:
    number, restarts, before = ask("full"), steward(kubectl)["restartCount"], backups(connect).keys()
    with connect("loomworks_provisioner") as cr:
        started = "SELECT FROM loomworks.repository_work WHERE id = %s AND started_at IS NOT NULL"
        wait_until(lambda: cr.execute(started, [number]) or cr.rowcount)
    with suppress(Refused):  # the call may end with the container that it is in
        inside("kill", "-TERM", "1")
    row = ended(number)
    wait_until(lambda: steward(kubectl)["restartCount"] > restarts and steward(kubectl)["ready"])
    assert (row["exit_code"], row["label"]) == (-1, None)
    assert row["message"].startswith("interrupted")
    assert backups(connect).keys() >= before  # it may have ended in the very moment
    assert ended(ask("incr"))["exit_code"] == 0


@pytest.mark.alone
def test_expiry_of_the_oldest_set_removes_it_with_its_wal_and_nothing_else(
    connect: Connect, bucket: Bucket, ask: Ask, ended: Ended
) -> None:
    assert ended(ask("full"))["exit_code"] == 0  # the last one is never removed
    oldest = min(label for label, one in backups(connect).items() if one["type"] == "full")
    before = bucket.keys("pgbackrest/")
    row = ended(ask("expire", oldest))
    assert row["exit_code"] == 0, row["message"]
    left = backups(connect)
    gone = before - bucket.keys("pgbackrest/")
    first = min(one["archive"]["start"] for one in left.values())
    folders = [f"pgbackrest/backup/main/{oldest}{end}" for end in ("/", "_")]
    segments = {key for key in before if key.startswith("pgbackrest/archive/main/17-1/") and key[-1] != "/"}
    expected = {key for key in before if key.startswith(tuple(folders))}
    expected |= {key for key in segments if key.rpartition("/")[2][:24] < first and key.count("/") == 5}
    assert gone == expected
    assert not [label for label in left if label.startswith(oldest)]


@pytest.fixture
def unreachable_repository(kubectl: Kubectl) -> Iterator[Callable[[], None]]:
    """Have S3's address lead nowhere in the cluster, until the function is called."""
    where = ("endpointslice", "s3", "--namespace", "loomworks")
    endpoints = kubectl.get(*where)["endpoints"]

    def lead_to(found: list[dict[str, Any]]) -> None:
        kubectl("patch", *where, "--type=merge", "--patch", json.dumps({"endpoints": found}))

    lead_to([])
    yield lambda: lead_to(endpoints)
    lead_to(endpoints)


@pytest.mark.alone
def test_archive_waits_while_the_repository_is_away_and_catches_up_afterwards(
    unreachable_repository: Callable[[], None], connect: Connect
) -> None:
    """What the steward's work says then is tested on a server without a cluster: tests/server/test_steward.py."""
    waiting = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
    failed = "SELECT failed_count FROM pg_stat_archiver"
    with connect("loomworks_provisioner") as cr:

        def value(query: str) -> int:
            cr.execute(query)
            return cr.fetchone()[0]

        before = value(failed)
        cr.execute("SELECT pg_create_restore_point('waiting'), pg_switch_wal()")
        wait_until(lambda: value(failed) > before)
        assert value(waiting) > 0
        unreachable_repository()
        wait_until(lambda: value(waiting) == 0, 120)
