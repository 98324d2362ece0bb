"""Volumes of the development cluster: real sizes, growth while mounted, and what becomes of the data.

The pod runs the edge's image, which the stack has built: any image with a shell would do.
"""

import json
import shutil
import subprocess
import time
import uuid

import pytest
from stack import images, kubectl, leftovers
from stack.settings import Settings

pytestmark = pytest.mark.cluster

MIB = 1024**2
PATIENCE = 60  # seconds
NODE = "loomworks"


@pytest.fixture(scope="module")
def stack():
    """The running stack."""
    found = Settings.from_environment()
    if not found.kubeconfig.exists():
        pytest.fail("the stack is not up: run `make up` first")
    return found


@pytest.fixture
def namespace(stack):
    """A namespace that lasts as long as its test."""
    name = f"test-volumes-{uuid.uuid4().hex[:8]}"
    kubectl.run(stack, "create", "namespace", name)
    kubectl.run(stack, "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl.run(stack, "delete", "namespace", name, "--timeout=60s")


def until(condition):
    """Wait for ``condition()`` and return what it returned."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)
    return found


def claim(namespace, storage="400Mi", storage_class="loomworks-dev", **spec):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": storage}},
            **spec,
        },
    }


def pod(stack, namespace):
    user = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
    container = {
        "name": "shell",
        "image": images.references(stack)["loomworks-edge"],
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "user", "namespace": namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }


def get(stack, *arguments):
    return json.loads(kubectl.run(stack, "get", *arguments, "-o", "json"))


def bound_volume(stack, namespace):
    """The name of the volume that the claim got."""

    def phase():
        found = get(stack, "-n", namespace, "pvc", "data")
        return found["spec"].get("volumeName") if found["status"].get("phase") == "Bound" else None

    return until(phase)


def in_pod(stack, namespace, script):
    return kubectl.run(stack, "-n", namespace, "exec", "user", "--", "sh", "-c", script, check=False)


def size_in_pod(stack, namespace):
    """Bytes of the file system, as the pod sees it."""
    return int(in_pod(stack, namespace, "df -k /data | tail -1").split()[1]) * 1024


@pytest.fixture
def user(stack, namespace):
    """The namespace of a ready pod with a volume of 400 MiB."""
    kubectl.apply(stack, claim(namespace), pod(stack, namespace))
    kubectl.run(stack, "-n", namespace, "wait", "pod/user", "--for=condition=Ready", f"--timeout={PATIENCE}s")
    return namespace


def test_volume_is_bound_within_a_second(stack, namespace):
    began = time.monotonic()
    kubectl.apply(stack, claim(namespace))
    bound_volume(stack, namespace)
    assert time.monotonic() - began < 3  # a second for the volume, the rest for kubectl


def test_volume_is_full_at_its_size(stack, user):
    written = in_pod(stack, user, "head -c 600000000 /dev/zero > /data/file 2>/tmp/why || stat -c %s /data/file")
    assert 250 * MIB < int(written) < 400 * MIB


def test_volume_grows_while_it_is_mounted(stack, user):
    in_pod(stack, user, "echo kept > /data/file")
    assert size_in_pod(stack, user) < 400 * MIB
    patch = {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    kubectl.run(stack, "-n", user, "patch", "pvc", "data", "--patch", json.dumps(patch))
    until(lambda: get(stack, "-n", user, "pvc", "data")["status"]["capacity"]["storage"] == "1Gi")
    assert size_in_pod(stack, user) > 900 * MIB
    assert in_pod(stack, user, "cat /data/file") == "kept\n"
    assert get(stack, "pv", bound_volume(stack, user))["spec"]["capacity"]["storage"] == "1Gi"


def test_kubelet_reports_usage_of_the_volume(stack, user):
    in_pod(stack, user, "head -c 100000000 /dev/zero > /data/file; sync")

    def usage():
        summary = json.loads(kubectl.run(stack, "get", "--raw", f"/api/v1/nodes/{NODE}/proxy/stats/summary"))
        volumes = [one for found in summary["pods"] for one in found.get("volume", ())]
        used = [one for one in volumes if one.get("pvcRef", {}).get("namespace") == user]
        return used[0] if used and used[0]["usedBytes"] > 100_000_000 else None

    assert usage_in_bounds(until(usage))


def usage_in_bounds(stats):
    return stats["usedBytes"] < 200_000_000 and 300 * MIB < stats["capacityBytes"] < 400 * MIB


def test_deleted_claim_takes_its_volume_and_its_disk_along(stack, namespace):
    kubectl.apply(stack, claim(namespace))
    volume = bound_volume(stack, namespace)
    disk = stack.state / "volumes" / f"{volume}.img"
    assert disk.exists()
    kubectl.run(stack, "-n", namespace, "delete", "pvc", "data")
    until(lambda: not kubectl.run(stack, "get", "pv", volume, "--ignore-not-found"))
    assert not disk.exists()
    assert not any(volume in device for device in loop_devices())


def test_retained_volume_outlives_its_claim_until_it_is_deleted_itself(stack, namespace):
    kubectl.apply(stack, claim(namespace))
    volume = bound_volume(stack, namespace)
    patch = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    kubectl.run(stack, "patch", "pv", volume, "--patch", json.dumps(patch))
    kubectl.run(stack, "-n", namespace, "delete", "pvc", "data")
    until(lambda: get(stack, "pv", volume)["status"]["phase"] == "Released")
    assert (stack.state / "volumes" / f"{volume}.img").exists()
    kubectl.run(stack, "delete", "pv", volume, "--timeout=30s")
    kept = stack.state / "volumes" / f"{volume}.retained"
    assert kept.exists()
    kept.unlink()


def test_refused_claim_says_why(stack, namespace):
    kubectl.apply(stack, claim(namespace, volumeMode="Block"))

    def events():
        found = get(stack, "-n", namespace, "events", "--field-selector=reason=ProvisioningFailed")["items"]
        return [event["message"] for event in found]

    assert until(events)[0] == "only volumeMode Filesystem is provided"


def test_killed_provisioner_goes_on_where_it_was(stack, namespace):
    for pid in provisioner_processes():
        subprocess.run(["kill", "-9", pid], check=True)
    kubectl.apply(stack, claim(namespace))
    bound_volume(stack, namespace)


def provisioner_processes():
    listing = subprocess.run(["pgrep", "-f", "stack.provisioner --node"], text=True, capture_output=True, check=True)
    return listing.stdout.split()


def loop_devices():
    command = [shutil.which("losetup"), "--list", "--noheadings", "--output", "NAME,BACK-FILE"]
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout.splitlines()


def test_traces_name_what_runs(stack):
    found = leftovers.traces(stack)
    assert "table ip loomworks" in found
    assert "loomworks0" in found
