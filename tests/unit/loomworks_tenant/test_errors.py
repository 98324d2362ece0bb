"""How the answers of the outside world become this project's errors."""

import json

import psycopg2
import psycopg2.errors
import pytest
from addons.loomworks_tenant import errors, secret_reference
from addons.loomworks_tenant.kube.client import translate as translate_http
from addons.loomworks_tenant.postgres.server import DatabaseServer, translate, translate_connect
from factories import server_spec


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (403, "pods is forbidden: exceeded quota: tenant", errors.QuotaExceeded),
        (403, "secrets is forbidden: User cannot", errors.Forbidden),
        (401, "Unauthorized", errors.Forbidden),
        (409, "already exists", errors.Conflict),
        (422, "spec.ports: Invalid value", errors.InvalidManifest),
        (404, "namespaces not found", errors.InvalidManifest),
        (429, "too many requests", errors.ClusterUnreachable),
        (503, "etcd is down", errors.ClusterUnreachable),
    ],
)
def test_answer_of_the_api_server(status, message, expected):
    error = translate_http(status, json.dumps({"message": message}), "PATCH /x")
    assert type(error) is expected
    assert message in str(error)


def test_answer_that_is_no_status_still_says_what_was_asked():
    assert "GET /x was answered with 502" in str(translate_http(502, "<html>", "GET /x"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg2.errors.DiskFull("no space"), errors.ServerFull),
        (psycopg2.errors.ObjectInUse("template is being accessed"), errors.RetryableError),
        (psycopg2.errors.DeadlockDetected("deadlock"), errors.RetryableError),
        (psycopg2.OperationalError("server closed the connection"), errors.ServerUnreachable),
        (psycopg2.errors.InsufficientPrivilege("must be owner"), errors.DatabaseRefused),
    ],
)
def test_error_of_a_statement(error, expected):
    assert type(translate(error)) is expected


def test_full_server_and_unreachable_server_are_told_apart():
    full = translate_connect(psycopg2.OperationalError("FATAL: too many connections for role"), server_spec())
    gone = translate_connect(psycopg2.OperationalError("Connection refused"), server_spec())
    assert type(full) is errors.RetryableError
    assert type(gone) is errors.ServerUnreachable


def test_unreachable_server_says_which_and_shows_no_password(monkeypatch):
    monkeypatch.setenv("PASSWORD", "hunter2")
    server = DatabaseServer(server_spec(host="127.0.0.1", port=1))
    with pytest.raises(errors.ServerUnreachable) as caught, server.connect():
        pass
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secret_is_read_from_a_file_or_a_variable(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv("SOME_SECRET", "from variable")
    assert secret_reference.read(f"file:{tmp_path}/secret") == "from file"
    assert secret_reference.read("env:SOME_SECRET") == "from variable"


@pytest.mark.parametrize("reference", ["", "hunter2", "file:", "http://x", "env:LOOMWORKS_NOT_SET", "file:/no/such"])
def test_reference_that_leads_nowhere_is_refused(reference):
    with pytest.raises(errors.SecretUnavailable):
        secret_reference.read(reference)
