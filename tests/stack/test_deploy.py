"""What is set on top of the overlay, and which pods are beyond waiting."""

import pytest
from stack import deploy, rollout


def make_pod(state, restarts=0, kind="containerStatuses"):
    status = {kind: [{"name": "odoo", "state": state, "restartCount": restarts}]}
    return {"metadata": {"name": "pod-1"}, "status": status}


def waiting(reason):
    return {"waiting": {"reason": reason}}


def test_images_and_address_are_set_on_top(settings):
    names = ("loomworks-odoo", "loomworks-postgres")
    images = {name: f"10.231.0.1:5000/{name}:abc" for name in names}
    made = deploy.kustomization(settings, images, "../overlay")
    assert made["resources"] == ["../overlay"]
    assert made["images"] == [{"name": name, "newName": f"10.231.0.1:5000/{name}", "newTag": "abc"} for name in names]
    assert made["configMapGenerator"][0]["literals"] == [
        f"LOOMWORKS_DOMAIN={settings.domain}",
        f"LOOMWORKS_PUBLIC_URL=http://{settings.domain}:{settings.edge_port}",
        "LOOMWORKS_ODOO_IMAGE=10.231.0.1:5000/loomworks-odoo:abc",
        "LOOMWORKS_POSTGRES_IMAGE=10.231.0.1:5000/loomworks-postgres:abc",
    ]


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (make_pod(waiting("CrashLoopBackOff"), restarts=5), "CrashLoopBackOff"),
        (make_pod(waiting("ImagePullBackOff")), "ImagePullBackOff"),
        (make_pod(waiting("CreateContainerConfigError"), kind="initContainerStatuses"), "CreateContainerConfigError"),
    ],
)
def test_pod_that_will_not_start_is_hopeless(pod, reason):
    assert rollout.hopeless(pod) == ("pod-1", "odoo", reason)


@pytest.mark.parametrize(
    "pod",
    [
        make_pod(waiting("CrashLoopBackOff"), restarts=1),
        make_pod(waiting("PodInitializing")),
        make_pod({"running": {}}, restarts=9),
        {"metadata": {"name": "new"}, "status": {}},
    ],
)
def test_pod_that_may_still_start_is_waited_for(pod):
    assert rollout.hopeless(pod) is None
