"""An Odoo that starts itself anew, as it does when a thread of it hangs: in the same container."""

import time

import pytest
import requests
from addons.loomworks_tenant.kube import names
from conftest import PATIENCE
from harness.cluster import kubectl
from test_killed_control_plane import CONTROL_PLANE


class Pod:
    """The one pod of a Deployment, looked at from outside."""

    def __init__(self, kube, stack, namespace, selector):
        self.kube, self.stack, self.namespace, self.selector = kube, stack, namespace, selector

    @property
    def status(self):
        """Its name, and how often each of its containers has been started again."""
        (pod,) = self.kube.list("Pod", self.namespace, label_selector=self.selector)
        return pod["metadata"]["name"], [one["restartCount"] for one in pod["status"]["containerStatuses"]]

    def kubectl(self, *words):
        """Run kubectl about it."""
        return kubectl(self.stack, "-n", self.namespace, *words)

    def starts(self):
        """How often its log says that Odoo listens."""
        return self.kubectl("logs", self.status[0]).count("HTTP service (werkzeug) running")


def reload(pod, answers):
    """Have Odoo start itself anew; wait until it has, and answers."""
    before, starts = pod.status, pod.starts()
    assert starts
    pod.kubectl("exec", before[0], "--", "sh", "-c", "kill -HUP 1")
    end = time.monotonic() + PATIENCE
    while not (pod.starts() > starts and answers()):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert pod.status == before


@pytest.mark.alone
def test_control_plane(kube, stack):
    def answers():
        try:
            return requests.get(f"{stack['LOOMWORKS_URL']}/web/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    reload(Pod(kube, stack, *CONTROL_PLANE), answers)


@pytest.mark.alone
def test_tenant(make_tenant, kube, stack):
    tenant = make_tenant()
    tenant.wait_settled("active")
    pod = Pod(kube, stack, tenant.namespace, f"{names.COMPONENT_LABEL}={names.ODOO}")
    reload(pod, lambda: tenant.get("/web/login").status_code == 200)
