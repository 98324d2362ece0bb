"""The drill of a night on the running stack: a Job restores a tenant, checks it, and leaves figures."""

import time
from datetime import UTC, datetime

import pytest
import requests
from test_restore import settled, wait_for  # noqa: F401 (a fixture)

OLD_ENOUGH = 5 * 60 + 15  # seconds; a drill is of a moment that is not of the last five minutes
TOKEN = "file:/etc/pgbackrest-s3/key"  # of the files that the control plane can read, one that a test can read, too
PARAMETER = "loomworks.metrics_token_reference"

pytestmark = pytest.mark.alone  # any tenant may be drilled, and a cluster has no memory for anybody meanwhile


@pytest.fixture
def drill(call):
    """Have the night's cron run; return the drill of a tenant."""
    domain = [["module", "=", "loomworks_snapshot"], ["name", "=", "cron_drill"]]
    (cron,) = call("ir.model.data", "search_read", domain=domain, fields=["res_id"])

    def run():
        known = call("loomworks.restore", "search", domain=[["purpose", "=", "drill"]])
        call("ir.cron", "method_direct_trigger", ids=[cron["res_id"]])
        made = [["purpose", "=", "drill"], ["id", "not in", known]]
        (number,) = call("loomworks.restore", "search", domain=made, limit=1)
        return number

    return run


@pytest.fixture
def figures(call, stack, secret):
    """Read the page of figures as Prometheus does; before a token is named, there is no such page."""
    assert requests.get(f"{stack['LOOMWORKS_URL']}/loomworks/metrics", timeout=30).status_code == 404
    call("ir.config_parameter", "set_param", key=PARAMETER, value=TOKEN)
    token = secret("loomworks", "pgbackrest-s3", "key")

    def read():
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{stack['LOOMWORKS_URL']}/loomworks/metrics", headers=headers, timeout=60)
        lines = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
        return {name.partition("{")[0]: float(value) for name, _, value in lines}

    yield read
    call("ir.config_parameter", "set_param", key=PARAMETER, value=False)


@pytest.fixture
def no_memory(call):
    """No memory, and no disk that is said to be encrypted, for what a restore unpacks."""
    (own,) = call("loomworks.cluster", "search_read", domain=[], fields=["scratch_memory_mib"], limit=1)
    call("loomworks.cluster", "write", ids=[own["id"]], vals={"scratch_memory_mib": 0})
    yield
    call("loomworks.cluster", "write", ids=[own["id"]], vals={"scratch_memory_mib": own["scratch_memory_mib"]})


def age(tenant):
    """Return for how many seconds a tenant has been served."""
    since = datetime.fromisoformat(tenant.read("converged_at")["converged_at"]).replace(tzinfo=UTC)
    return (datetime.now(UTC) - since).total_seconds()


def test_drill_leaves_figures_and_nothing_else(acme, call, kube, server, drill, figures, settled):  # noqa: F811
    wait_for(lambda: age(acme) > OLD_ENOUGH, OLD_ENOUGH + 30)
    began, databases = time.monotonic(), server.databases_of(acme.database)
    row = settled(drill())
    report, seconds = row["report"], row["report"]["seconds"]
    assert report["tables"] > 100
    assert report["rows"] > report["tables"]
    assert seconds["check"] > 0
    assert {"dump", "load"}.isdisjoint(seconds)
    assert 0 < row["total_seconds"] < time.monotonic() - began
    assert row["lost_seconds"] >= 0
    assert (row["new_database"], server.databases_of(acme.database)) == (False, databases)
    for kind in ("Job", "Secret", "NetworkPolicy"):
        assert kube.get(kind, f"restore-{row['id']}", "lw-restores") is None
    found = figures()
    assert found["loomworks_restore_drill_seconds"] == pytest.approx(row["total_seconds"], abs=0.1)
    assert found["loomworks_restore_drill_lost_seconds"] == row["lost_seconds"]
    assert found["loomworks_restore_drill_age_seconds"] < 120


def test_failed_drill_is_an_activity_on_its_tenant(acme, call, drill, no_memory, settled):  # noqa: F811
    wait_for(lambda: age(acme) > OLD_ENOUGH, OLD_ENOUGH + 30)
    row = settled(drill(), "failed")
    assert (row["error_code"], "names no encrypted disk" in row["error_message"]) == ("no_scratch_space", True)
    tenant = row["tenant_id"][0]
    domain = [["res_model", "=", "loomworks.tenant"], ["res_id", "=", tenant]]
    told = call("mail.activity", "search_read", domain=domain, fields=["activity_type_id", "note"])
    assert any("no encrypted disk" in one["note"] for one in told)
