"""A database server that has lost its volume: nothing is made beside its backups, and it is restored from them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from api_server import Kubectl, Refused, wait_until

pytestmark = pytest.mark.cluster

HOME = ("--namespace", "loomworks")
SECRETS = ("postgres-credentials", "postgres-tls", "pgbackrest-s3")
NAME = "postgres-lost"
Start = Callable[..., "Server"]


class Server:
    """One pod like the running server's, on an empty volume that goes with it, and a repository of its own."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl, self._where = kubectl, ("--namespace", namespace)

    def kubectl(self, *words: str) -> str:
        return self._kubectl(*words, *self._where)

    def wait_ready(self) -> None:
        self.kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=120s")

    def wait_backed_up(self) -> None:
        wait_until(lambda: "first_backup: done" in self.log("steward"), 90)

    def log(self, container: str = "postgres", *options: str) -> str:
        try:
            return self.kubectl("logs", NAME, "-c", container, *options)
        except Refused:
            return ""  # it has not begun

    def sql(self, text: str, database: str = "postgres") -> str:
        command = ("--", "psql", "-XAtU", "postgres", "-d", database, "-c", text)
        return self._kubectl("exec", NAME, *self._where, "-c", "steward", *command).strip()

    def restarts(self) -> int:
        pod = self._kubectl.get("pod", NAME, *self._where)
        return max(one["restartCount"] for one in pod["status"]["containerStatuses"] if one["name"] == "postgres")

    def lose(self) -> None:
        """Kill it; its volume goes with it."""
        self.kubectl("delete", "pod", NAME, "--grace-period=0", "--force", "--ignore-not-found")
        wait_until(lambda: not self.kubectl("get", "pod", NAME, "--ignore-not-found"))


@pytest.fixture
def start(kubectl: Kubectl, tenant_namespace: str) -> Iterator[Start]:
    """Start it, with variables for its own container."""
    server = Server(kubectl, tenant_namespace)
    spec = kubectl.get("statefulset", "postgres", *HOME)["spec"]["template"]["spec"]
    (place,) = {one["configMapRef"]["name"] for container in spec["containers"] for one in container["envFrom"]}
    for kind, name in [("Secret", one) for one in SECRETS] + [("ConfigMap", place)]:
        data = kubectl.get(kind, name, *HOME)["data"]
        metadata = {"name": name, "namespace": tenant_namespace}
        kubectl.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data})
    spec["volumes"].append({"name": "data", "emptyDir": {}})
    path = f"/lost-{secrets.token_hex(4)}"
    for container in spec["containers"]:
        container["env"].append({"name": "PGBACKREST_REPO1_PATH", "value": path})
    own = next(one for one in spec["containers"] if one["name"] == "postgres")
    before = list(own["env"])

    def run(**variables: str) -> Server:
        own["env"] = before + [{"name": name, "value": value} for name, value in variables.items()]
        metadata = {"name": NAME, "namespace": tenant_namespace}
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        return server

    yield run
    server.lose()


def test_server_that_lost_its_volume_is_restored_and_never_made_anew(start: Start) -> None:
    server = start()
    server.wait_ready()
    system = server.sql("SELECT system_identifier FROM pg_control_system()")
    server.wait_backed_up()
    server.sql("CREATE DATABASE customers")
    server.sql("CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id", "customers")
    moment = server.sql("SELECT clock_timestamp()")
    server.sql("DELETE FROM orders WHERE id > 500", "customers")
    segment = server.sql("SELECT pg_walfile_name(pg_switch_wal())")
    wait_until(lambda: server.sql("SELECT last_archived_wal FROM pg_stat_archiver") >= segment, 60)

    server.lose()
    start()
    wait_until(lambda: server.restarts() > 0, 60)
    said = server.log("postgres", "--previous")
    assert "the repository has backups of this server. Nothing has been made." in said
    assert "POSTGRES_EMPTY_VOLUME=restore" in said

    server.lose()
    start(POSTGRES_EMPTY_VOLUME="restore")
    server.wait_ready()
    wait_until(lambda: server.sql("SELECT pg_is_in_recovery()") == "f", 60)
    assert server.sql("SELECT system_identifier FROM pg_control_system()") == system
    assert server.sql("SELECT count(*) FROM orders", "customers") == "500"
    assert server.sql("SELECT timeline_id FROM pg_control_checkpoint()") == "2"
    wait_until(lambda: "archive: done" in server.log("steward"), 60)

    server.lose()
    start(POSTGRES_EMPTY_VOLUME="restore", POSTGRES_RESTORE_TO=moment, POSTGRES_ARCHIVE_MODE="off")
    server.wait_ready()
    wait_until(lambda: server.sql("SELECT pg_is_in_recovery()") == "f", 60)
    assert server.sql("SELECT count(*) FROM orders", "customers") == "1000"


def test_new_server_waits_for_a_repository_that_does_not_answer(start: Start) -> None:
    server = start(PGBACKREST_REPO1_S3_ENDPOINT="https://127.0.0.1:1", PGBACKREST_IO_TIMEOUT="1")
    wait_until(lambda: "does not say whether it is a new server's" in server.log(), 90)
    assert not server.restarts()
    server.kubectl("delete", "pod", NAME, "--timeout=30s")  # and hears that it is to end
