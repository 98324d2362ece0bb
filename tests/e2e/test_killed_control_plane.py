"""The control plane's own process killed with SIGKILL while it works on a tenant: the next one ends the work."""

import time

import pytest
import requests
from harness.cluster import kubectl

CONTROL_PLANE = ("loomworks", "app.kubernetes.io/name=control-plane")
RESTART_SECONDS = 180


def kill(kube, stack):
    """Delete the control plane's pod with no time to end: the kubelet kills it."""
    namespace, selector = CONTROL_PLANE
    pods = [pod["metadata"]["name"] for pod in kube.list("Pod", namespace, label_selector=selector)]
    assert pods
    kubectl(stack, "-n", namespace, "delete", "pod", "--grace-period=0", "--force", "--wait=false", *pods)


def wait_back(stack):
    """Wait until the control plane has gone and answers again."""
    end = time.monotonic() + RESTART_SECONDS
    gone = False
    while time.monotonic() < end:
        try:
            answers = requests.get(f"{stack['LOOMWORKS_URL']}/web/health", timeout=5).status_code == 200
        except requests.RequestException:
            answers = False
        if answers and gone:
            return
        gone = gone or not answers
        time.sleep(0.2)
    raise AssertionError("the control plane does not come back")


@pytest.mark.alone
@pytest.mark.parametrize(
    "step",
    ["database", pytest.param("namespace", marks=pytest.mark.long), pytest.param("health", marks=pytest.mark.long)],
)
def test_tenant_is_finished_by_the_next_control_plane(make_tenant, kube, stack, server, step, acme):
    tenant = make_tenant()
    while tenant.steps().get(step, {}).get("state") in (None, "pending"):
        time.sleep(0.01)
    kill(kube, stack)
    wait_back(stack)
    values = tenant.wait_settled("active")
    assert not values["error_message"]
    assert tenant.get("/web/login").status_code == 200
    assert server.database(tenant.database)["owner"]
    assert len(list(kube.list("Deployment", tenant.namespace))) == 1
    assert acme.get("/web/login").status_code == 200
