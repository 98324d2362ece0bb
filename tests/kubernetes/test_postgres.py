"""The database server of the running stack: who gets in, what they may do, and that all of it is archived."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
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


@pytest.fixture(scope="module")
def bucket(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Read an object of the repository's bucket with the repository's own keys, from this machine."""
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
    name = where["PGBACKREST_REPO1_S3_BUCKET"]
    return lambda key: client.get_object(Bucket=name, Key=key)["Body"].read()


def decoded(secret: dict[str, Any]) -> dict[str, str]:
    """The values of a Secret."""
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def repository(kubectl: Kubectl) -> dict[str, str]:
    """Where the running server's repository is."""
    maps = kubectl.get("configmap", "--namespace", "loomworks", "--sort-by=.metadata.creationTimestamp")["items"]
    return [item["data"] for item in maps if item["metadata"]["name"].startswith("pgbackrest-config-")][-1]


def test_the_objects_in_the_bucket_are_not_readable(bucket: Callable[[str], bytes]) -> None:
    """What lies there begins like anything that OpenSSL has salted, whatever it is of."""
    body = bucket("pgbackrest/backup/main/backup.info")
    assert body.startswith(b"Salted__")
    assert b"[backrest]" not in body


def test_the_steward_starts_again_where_it_was(kubectl: Kubectl, inside: Callable[..., str]) -> None:
    """Its work is done again without harm: roles, stanza and backup are there already."""
    before = len(information(inside)["backup"])
    restarts = steward(kubectl)["restartCount"]
    with suppress(Refused):  # the call may end with the container that it is in
        inside("kill", "-TERM", "1")
    wait_until(lambda: steward(kubectl)["restartCount"] > restarts and steward(kubectl)["ready"])
    wait_until(lambda: "first_backup: done" in kubectl("logs", *POD, "--container=steward"))
    assert len(information(inside)["backup"]) == before


def steward(kubectl: Kubectl) -> dict[str, Any]:
    """The state of the steward's container."""
    states = kubectl.get("pod", *POD)["status"]["containerStatuses"]
    return next(state for state in states if state["name"] == "steward")
