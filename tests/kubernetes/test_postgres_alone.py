"""A database server whose repository cannot be reached, and that crashes: it serves, and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_server import Kubectl, wait_until

pytestmark = pytest.mark.cluster

HOME = ("--namespace", "loomworks")
SECRETS = ("postgres-credentials", "postgres-tls", "pgbackrest-s3")
CONFIGURED_TIMEOUT, TIMEOUT = 15, 3  # seconds: archive-timeout in the image, and here
NOWHERE = {
    "POSTGRES_EMPTY_VOLUME": "make",  # or it would wait for a repository that says whether it is new
    "PGBACKREST_ARCHIVE_TIMEOUT": str(TIMEOUT),
    "PGBACKREST_REPO1_S3_ENDPOINT": "https://127.0.0.1:1",
    "PGBACKREST_REPO1_S3_BUCKET": "nowhere",
    "PGBACKREST_REPO1_S3_REGION": "us-east-1",
}
Sql = Callable[[str], str]


@pytest.fixture(scope="module")
def server(kubectl: Kubectl, tenant_namespace: str) -> Iterator[tuple[str, ...]]:
    """kubectl's words for a pod like the running server's, with a volume of its own and no repository."""
    for name in SECRETS:
        data = kubectl.get("secret", name, *HOME)["data"]
        metadata = {"name": name, "namespace": tenant_namespace}
        kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    spec = kubectl.get("statefulset", "postgres", *HOME)["spec"]["template"]["spec"]
    spec["volumes"].append({"name": "data", "emptyDir": {}})
    for container in spec["containers"]:
        del container["envFrom"]
        container["env"] += [{"name": name, "value": value} for name, value in NOWHERE.items()]
    metadata = {"name": "postgres-alone", "namespace": tenant_namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    where = ("--namespace", tenant_namespace)
    kubectl("wait", "--for=condition=Ready", "pod/postgres-alone", *where, "--timeout=60s")
    yield ("postgres-alone", *where)
    kubectl("delete", "pod", "postgres-alone", *where, "--ignore-not-found")


@pytest.fixture(scope="module")
def sql(kubectl: Kubectl, server: tuple[str, ...]) -> Sql:
    """Run SQL there as the superuser."""
    command = ("--container=steward", "--", "psql", "-XAtU", "postgres", "-d", "postgres", "-c")
    return lambda text: kubectl("exec", *server, *command, text).strip()


def state(kubectl: Kubectl, server: tuple[str, ...]) -> dict[str, Any]:
    """The state of the server's own container."""
    states = kubectl.get("pod", *server)["status"]["containerStatuses"]
    return next(found for found in states if found["name"] == "postgres")


def test_it_serves_with_its_roles_while_the_repository_is_away(sql: Sql) -> None:
    assert sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'loomworks\\_%'") == "2"


def test_it_keeps_the_segments_that_it_could_not_archive(sql: Sql) -> None:
    sql("SELECT pg_create_restore_point('kept')")
    segment = sql("SELECT pg_walfile_name(pg_switch_wal())")
    wait_until(lambda: int(sql("SELECT failed_count FROM pg_stat_archiver")) > 0)
    assert sql("SELECT archived_count FROM pg_stat_archiver") == "0"
    assert sql(f"SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name = '{segment}.ready'") == "1"


def test_the_steward_says_what_it_is_waiting_for(kubectl: Kubectl, server: tuple[str, ...]) -> None:
    wait_until(lambda: "stanza failed, next attempt in" in kubectl("logs", *server, "--container=steward"))


def test_what_was_committed_survives_a_crash(kubectl: Kubectl, server: tuple[str, ...], sql: Sql) -> None:
    sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    restarts = state(kubectl, server)["restartCount"]
    kubectl("exec", *server, "--container=postgres", "--", "kill", "-QUIT", "1")
    wait_until(lambda: state(kubectl, server)["restartCount"] > restarts and state(kubectl, server)["ready"])
    assert sql("SELECT count(*) FROM kept") == "1000"


def test_it_ends_in_time_even_then(kubectl: Kubectl, server: tuple[str, ...]) -> None:
    """The archiver's last attempts must not use up the time after which the pod is killed."""
    patience = kubectl.get("pod", *server)["spec"]["terminationGracePeriodSeconds"]
    began = time.monotonic()
    kubectl("delete", "pod", *server)
    assert time.monotonic() - began < patience * TIMEOUT / CONFIGURED_TIMEOUT
